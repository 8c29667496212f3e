"""What of a photo is deblurred: not its borders of one colour, nor what is transparent or missing.

Bars that a film or a scanner put around a picture are sharp; deblurring would make rings of their
edges. They are cut off before and put back after (`completion`). Inside, a pixel counts as far as
it is opaque, and where it hardly is the picture is continued smoothly. Samples of 10, 12 or 14 bits
in files of 16 are brought to their own white level. A photo that needs fewer pixels than it has
(`fineness`) is deblurred in fewer.
"""

import dataclasses

import numpy as np

from dem_jax.runtime.files import fineness
from dem_jax.runtime.files.photo import Behind, Photo

_SAME = 1.5 / 255  # values that differ by no more are one colour
_AT_ONCE = 32  # rows that are compared; most photos have no border, so that these are all
_EDGE = 16  # rows that a JPEG may have smeared between a border and what it surrounds
_SHARP = 0.5  # part of the difference that one row makes; a scene that fades takes several
_DEEPER = 8  # rows behind the edge, whose mean difference from the border is the difference
_LEAST_JUMP = 0.02  # mean difference of the picture from its border
_LEAST_BORDER = 2  # pixels; a single line may be chance
_LEAST_SIDE = 0.25  # of the photo that must be left, and
_LEAST_PIXELS = 32
_SOLID = 0.5  # alpha from which on a pixel is believed to be black
_FAINT = 0.05  # alpha below which no colour is believed
_SMOOTHINGS = 12  # of what continues the picture, at every scale: no edge may remain
_WHITE_BITS = (10, 12, 14)  # of converters that write into 16 bits


def frame(photo: Photo, *, every_pixel: bool = False) -> Photo:
    """The part of a photo that is deblurred, with what is `behind` it; the photo where it is all.

    The photo's notes say what was left out. With `every_pixel` it is never halved.
    """
    weight = _weight(photo)
    rows, cols = _known(photo, weight)
    notes = list(photo.notes)
    if _is_clear(photo):
        notes.append("it is wholly transparent, and so will the result be")
    inner = _inside_borders(photo.pixels[rows, cols])
    rows, cols = (
        slice(outer.start + part.start, outer.start + part.stop)
        for outer, part in zip((rows, cols), inner, strict=True)
    )
    height, width = photo.pixels.shape[:2]
    if _length(rows) < height or _length(cols) < width:
        notes.append(
            f"only {_length(cols)}x{_length(rows)} pixels of it are deblurred; what is around them "
            "is a border, transparent or missing"
        )
    gain, bits = _gain(photo)
    if gain != 1:
        notes.append(f"its values fill {bits} of 16 bits, so {2**bits - 1} is taken for white")
    weight = None if weight is None else np.ascontiguousarray(weight[rows, cols])
    weight = None if weight is None or weight.min() == 1 else weight
    whole = rows == slice(0, height) and cols == slice(0, width)
    halvings = 0
    if weight is None and not every_pixel:
        halvings = fineness.reductions(photo.pixels[rows, cols], gain)
    if whole and gain == 1 and weight is None and not halvings:
        return dataclasses.replace(photo, notes=tuple(notes))
    pixels = np.ascontiguousarray(photo.pixels[rows, cols]) * np.float32(gain)
    if halvings:
        pixels = fineness.halved(pixels, halvings)
        notes.append(
            f"nothing in it is finer than {2**halvings} pixels, so that it is deblurred in "
            f"{pixels.shape[1]}x{pixels.shape[0]}; kernels are in these pixels"
        )
    if weight is not None:
        if weight.min() == 0:
            notes.append("transparent and missing pixels are not used")
        pixels = _continued(pixels, weight)
    behind = Behind(photo.pixels, rows, cols, gain, halvings)
    return dataclasses.replace(
        photo, pixels=pixels, notes=tuple(notes), weight=weight, behind=behind
    )


def inside(picture: np.ndarray, photo: Photo) -> np.ndarray:
    """The part of another picture [H, W, C] of the same scene that a framed photo shows.

    It is brought to the photo's white level unless it is there already.
    """
    behind = photo.behind
    if behind is None or picture.shape[:2] != behind.pixels.shape[:2]:
        return picture
    part = picture[behind.rows, behind.cols]
    if behind.halvings:
        part = fineness.halved(part, behind.halvings)
    return part * np.float32(behind.gain) if part.max() * behind.gain <= 1.01 else part


def _is_clear(photo: Photo) -> bool:
    """Whether nothing of a picture can be seen: a mistake, for what is there is a picture."""
    return photo.alpha is not None and _opacity(photo.alpha).max() < _FAINT


def _opacity(alpha: np.ndarray) -> np.ndarray:
    """[H, W] in [0, 1]."""
    peak = np.iinfo(alpha.dtype).max if alpha.dtype.kind == "u" else 1
    return np.clip(alpha / np.float32(peak), 0, 1).astype(np.float32)


def _weight(photo: Photo) -> np.ndarray | None:
    """[H, W] how much of each pixel is known; None for all of all."""
    weight = photo.weight
    if photo.alpha is not None and not _is_clear(photo):
        alpha = _opacity(photo.alpha)
        weight = alpha if weight is None else weight * alpha
    if weight is None:
        return None
    emptied = (weight < _SOLID) & ~photo.pixels.any(axis=-1)  # black, as editors leave behind
    weight = np.where(emptied | (weight < _FAINT), 0, weight)
    return None if weight.min() == 1 or weight.max() == 0 else weight


def _known(photo: Photo, weight: np.ndarray | None) -> tuple[slice, slice]:
    """Rows and columns that hold anything."""
    if weight is None:
        height, width = photo.pixels.shape[:2]
        return slice(0, height), slice(0, width)
    spans = []
    for axis in (1, 0):
        known = np.flatnonzero(weight.max(axis=axis))
        spans.append(slice(int(known[0]), int(known[-1]) + 1))
    return spans[0], spans[1]


def _inside_borders(pixels: np.ndarray) -> tuple[slice, slice]:
    """Rows and columns without borders of one colour, each side's its own."""
    height, width = pixels.shape[:2]
    rows, cols = _span(pixels), slice(0, width)
    cols = _span(pixels[rows].swapaxes(0, 1))
    if rows == slice(0, height):  # columns may have hidden them
        rows = _span(pixels[:, cols])
    sides = (_length(rows), height), (_length(cols), width)
    if any(left < max(_LEAST_PIXELS, _LEAST_SIDE * all_) for left, all_ in sides):
        return slice(0, height), slice(0, width)
    return rows, cols


def _span(pixels: np.ndarray) -> slice:
    """Rows between the borders at the top and at the bottom."""
    return slice(_border(pixels), len(pixels) - _border(pixels[::-1]))


def _border(pixels: np.ndarray) -> int:
    """Rows of one colour at the top that end sharply; 0 where there are none."""
    if not pixels.size:  # borders that meet: nothing is between them
        return 0
    first = _first_unlike(pixels)
    if first < _LEAST_BORDER:
        return 0
    near = pixels[first : first + _EDGE + _DEEPER]
    distance = np.abs(near - pixels[0, 0]).max(axis=-1).mean(axis=1)
    for row, step in enumerate(np.diff(distance[:_EDGE], prepend=0.0)):
        behind = distance[row : row + _DEEPER].mean()
        if behind >= _LEAST_JUMP and step >= _SHARP * behind:
            return first + row
    return 0


def _first_unlike(pixels: np.ndarray) -> int:
    """The first row that is not all of the corner's colour; 0 where there is none.

    It reads no further than there: a photo has many rows, and its border few.
    """
    for start in range(0, len(pixels), _AT_ONCE):
        unlike = np.abs(pixels[start : start + _AT_ONCE] - pixels[0, 0]) > _SAME
        if unlike.any():
            return start + int(unlike.any(axis=(1, 2)).argmax())
    return 0


def _gain(photo: Photo) -> tuple[float, int]:
    """What brings the values to their own white level, and its bits."""
    peak = float(photo.pixels.max())
    if photo.bit_depth == 16:
        for bits in _WHITE_BITS:
            white = (2**bits - 1) / 65535
            if 0 < peak <= white * (1 + 1e-6):
                return 1 / white, bits
    return 1.0, 16


def _continued(pixels: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """The picture with smooth values where the weight is zero, from the known ones around.

    From coarse to fine: what a coarser picture knows fills what a finer one does not.
    """
    known = weight[..., None] > 0
    if known.all():
        return pixels
    height, width = weight.shape
    if min(height, width) == 1:
        mean = pixels[known[..., 0]].mean(axis=0)
        return np.where(known, pixels, mean).astype(pixels.dtype)
    even = ((0, height % 2), (0, width % 2))
    values = np.pad(np.where(known, pixels, 0), (*even, (0, 0)))
    counts = np.pad(known.astype(pixels.dtype), (*even, (0, 0)))
    values, counts = (_halved(x) for x in (values, counts))
    coarse = _continued(
        np.where(counts > 0, values / np.maximum(counts, 1e-6), 0).astype(pixels.dtype),
        counts[..., 0],
    )
    filled = coarse.repeat(2, axis=0).repeat(2, axis=1)[:height, :width]
    for _ in range(_SMOOTHINGS):
        filled = np.where(known, pixels, _smoothed(filled))
    return filled.astype(pixels.dtype)


def _halved(x: np.ndarray) -> np.ndarray:
    rows, cols, channels = x.shape
    return x.reshape(rows // 2, 2, cols // 2, 2, channels).sum(axis=(1, 3))


def _smoothed(x: np.ndarray) -> np.ndarray:
    """Means over 3 x 3 pixels, so that repeated pixels leave no steps."""
    padded = np.pad(x, ((1, 1), (1, 1), (0, 0)), mode="edge")
    rows = padded[:-2] + padded[1:-1] + padded[2:]
    return (rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:]) / 9


def _length(span: slice) -> int:
    return span.stop - span.start
