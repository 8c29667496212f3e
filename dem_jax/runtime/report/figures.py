"""Pictures of the HTML report: previews, the places that gained most, kernels over the photo.

Pictures are uint8, [h, w, 3] or [h, w]; photos [H, W, C] float in [0, 1].
"""

import base64
import io

import numpy as np
from PIL import Image

from dem_jax.model.blur import patch_centres
from dem_jax.runtime.report.pictures import grey_or_rgb

PREVIEW = 1600  # pixels along the longer side: enough for a screen, little for a 12 Mpixel photo
_OVERLAY = 1000  # pixels along the longer side of the photo under its kernels
_QUALITY = 86  # of WebP previews
_DIMMED = 0.45  # brightness of the photo under its kernels
_TILE_SHARE = 0.7  # of the distance between kernels that a kernel's tile takes


def data_uri(
    picture: np.ndarray, *, exact: bool = False, icc: bytes | None = None
) -> tuple[str, tuple[int, int]]:
    """`picture` as a WebP data URI for a page, scaled down to `PREVIEW`; its (width, height)."""
    image = shrink(picture, PREVIEW)
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=_QUALITY, lossless=exact, icc_profile=icc or b"")
    text = base64.b64encode(buffer.getvalue()).decode()
    return f"data:image/webp;base64,{text}", image.size


def shrink(picture: np.ndarray, longest: int) -> Image.Image:
    """`picture`, no side longer than `longest` pixels."""
    image = Image.fromarray(picture).convert("RGB")
    scale = min(1.0, longest / max(image.size))
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image if scale == 1 else image.resize(size, Image.Resampling.LANCZOS)


def gains(
    before: np.ndarray, after: np.ndarray, *, count: int = 4, side: int | None = None
) -> list[tuple[slice, slice]]:
    """The `count` squares, apart from each other, whose fine contrast grew most.

    Contrast is the mean squared difference of neighbouring pixels of the brightness.

    Args:
      before: [H, W, C].
      after: [H, W, C].
      count: fewer are returned where nothing was gained, or no room is left.
      side: of a square in pixels; None: a sixth of the photo's shorter side, 48 to 160.
    """
    from scipy import ndimage

    rows, cols, _ = before.shape
    side = min(side or int(np.clip(min(rows, cols) // 6, 48, 160)), rows, cols)

    def contrast(photo: np.ndarray) -> np.ndarray:
        plane = photo.mean(axis=-1, dtype=np.float32)
        power = np.zeros_like(plane)
        power[1:] += np.diff(plane, axis=0) ** 2
        power[:, 1:] += np.diff(plane, axis=1) ** 2
        return ndimage.uniform_filter(power, side, mode="nearest")

    half = side // 2
    gain = contrast(after) - contrast(before)
    # Centres whose square lies inside the photo.
    gain = gain[half : rows - (side - half) + 1, half : cols - (side - half) + 1]
    found = []
    for _ in range(count):
        top, left = np.unravel_index(np.argmax(gain), gain.shape)
        if not gain[top, left] > 0:
            break
        found.append((slice(int(top), int(top) + side), slice(int(left), int(left) + side)))
        gain[max(0, top - side) : top + side, max(0, left - side) : left + side] = -np.inf
    return found


def kernels_over_photo(
    photo: np.ndarray, kernels: np.ndarray, grid: tuple[int, int]
) -> tuple[np.ndarray, float]:
    """Kernels [P, k, k] drawn at the centres of their patches on the dimmed photo.

    Returns:
      The picture, and how many times larger than life the kernels are drawn.
    """
    rows, cols, _ = photo.shape
    size = kernels.shape[-1]
    page = shrink(np.rint(_DIMMED * grey_or_rgb(photo)).astype(np.uint8), _OVERLAY)
    scale = page.width / cols
    centres = patch_centres((rows + size - 1, cols + size - 1), grid) - size // 2
    apart = scale * min(rows / grid[0], cols / grid[1])
    side = max(size, round(_TILE_SHARE * apart if max(grid) > 1 else 0.45 * apart))
    side = max(4, min(side, min(page.size) - 4))
    for kernel, (y, x) in zip(kernels, scale * centres, strict=True):
        levels = np.rint(255 * kernel / max(float(kernel.max()), 1e-12)).astype(np.uint8)
        tile = Image.new("L", (side + 2, side + 2), 200)
        method = Image.Resampling.NEAREST if side >= size else Image.Resampling.BOX
        tile.paste(Image.fromarray(levels).resize((side, side), method), (1, 1))
        left = int(np.clip(x - side / 2, 0, page.width - side - 2))
        top = int(np.clip(y - side / 2, 0, page.height - side - 2))
        page.paste(tile, (left, top))
    return np.asarray(page), side / size / scale
