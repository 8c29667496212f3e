"""A part of a photo, marked by two corners on a picture of it that is small enough for a page."""

from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from dem_jax.runtime.files import images
from dem_jax.runtime.report import figures, pictures

_LONGEST = 1000  # pixels of the picture's longer side
_INK = (255, 60, 0)
_WIDE = 3  # pixels of a line, and of half a corner's mark


class Part(NamedTuple):
    """A picture of the photo, and up to two corners on it."""

    picture: Image.Image  # RGB
    size: tuple[int, int]  # columns and rows of the photo
    corners: tuple[tuple[int, int], ...] = ()  # columns and rows of the photo, none of it


def open_photo(path: str) -> Part:
    """The whole photo, nothing marked.

    Raises:
      PhotoError: when it cannot be read.
    """
    pixels = images.read_photo(path).pixels
    picture = figures.shrink(pictures.grey_or_rgb(pixels), _LONGEST)
    return Part(picture, (pixels.shape[1], pixels.shape[0]))


def mark(part: Part, column: int, row: int) -> Part:
    """One corner more, at a pixel of the picture; a third one begins anew."""
    across, down = _scale(part)
    corner = round(column / across), round(row / down)
    earlier = part.corners if len(part.corners) < 2 else ()
    return part._replace(corners=(*earlier, corner))


def crop(part: Part) -> str:
    """What `--crop` says of the rectangle; "" until it has both corners, and for an empty one."""
    if len(part.corners) < 2:
        return ""
    (left, right), (top, bottom) = (sorted(ends) for ends in zip(*part.corners, strict=True))
    if left == right or top == bottom:
        return ""
    return f"{left},{top},{right - left},{bottom - top}"


def drawn(part: Part) -> np.ndarray:
    """The picture with what is marked, [h, w, 3] uint8."""
    picture = part.picture.copy()
    draw = ImageDraw.Draw(picture)
    across, down = _scale(part)
    points = [(x * across, y * down) for x, y in part.corners]
    for x, y in points:
        draw.ellipse((x - _WIDE, y - _WIDE, x + _WIDE, y + _WIDE), fill=_INK)
    if len(points) == 2:
        (left, right), (top, bottom) = (sorted(ends) for ends in zip(*points, strict=True))
        draw.rectangle((left, top, right, bottom), outline=_INK, width=_WIDE)
    return np.asarray(picture)


def _scale(part: Part) -> tuple[float, float]:
    """Pixels of the picture, across and down, to a pixel of the photo."""
    return part.picture.width / part.size[0], part.picture.height / part.size[1]
