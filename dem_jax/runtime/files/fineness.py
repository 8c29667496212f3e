"""How many pixels a photo needs: many hold nothing as fine as their pixels.

An enlarged picture, or one of many megapixels that is soft all over, is deblurred as well in a
quarter of its pixels: in a quarter of the time, and with kernels in which its own softness is not
taken for shake. What deblurring changed is then enlarged and added to the photo, so that its noise
stays, and what did not change is the photo itself.
"""

import numpy as np
from PIL import Image

# Sides of the trial: nothing finer than 2.5 pixels is left in it. A photo that stands this could be
# halved, and would still hold nothing as fine as its new pixels.
_TRIAL = 2.5
_PART = 16  # pixels along the sides of the parts that are compared
_LEAST_SIDE = 384  # pixels of a photo that is halved once more, at least
_NOISE = 1.25  # a part's noise over the median part's: most by chance
_VISIBLE = 0.35 / 255  # image units: no eye sees less
_FINEST = 0.99  # quantile of the parts that must stand it


def reductions(pixels: np.ndarray, gain: float = 1.0) -> int:
    """How many times in turn a photo [H, W, C] can be `halved` and nothing is lost.

    Args:
      pixels: in the file's scale.
      gain: what brings them to [0, 1].
    """
    plane = pixels.mean(axis=-1, keepdims=True, dtype=np.float32) * np.float32(gain)
    times = 0
    while min(plane.shape[:2]) >= 2 * _LEAST_SIDE and not _is_fine(plane[..., 0]):
        plane, times = halved(plane, 1), times + 1
    return times


def halved(pixels: np.ndarray, times: int) -> np.ndarray:
    """[H, W, C] as means over 2 x 2 pixels, that many times; its edge is continued where needed.

    >>> halved(np.arange(6.0).reshape(2, 3, 1), 1)[..., 0]
    array([[2. , 3.5]])
    """
    side = 2**times
    rows, cols, channels = pixels.shape
    full = np.pad(pixels, ((0, -rows % side), (0, -cols % side), (0, 0)), mode="edge")
    blocks = full.reshape(len(full) // side, side, full.shape[1] // side, side, channels)
    return blocks.mean(axis=(1, 3), dtype=pixels.dtype)


def enlarged(pixels: np.ndarray, times: int, shape: tuple[int, ...]) -> np.ndarray:
    """[h, w, C] back in the [H, W] pixels that were `halved` that many times."""
    rows, cols = (n * 2**times for n in pixels.shape[:2])
    planes = [
        np.asarray(Image.fromarray(plane).resize((cols, rows), Image.Resampling.BICUBIC))
        for plane in np.moveaxis(pixels.astype(np.float32), -1, 0)
    ]
    return np.stack(planes, axis=-1).astype(pixels.dtype)[: shape[0], : shape[1]]


def _is_fine(plane: np.ndarray) -> bool:
    """Whether fewer pixels would take anything away from a plane [H, W] but noise."""
    plane = np.ascontiguousarray(plane)
    rows, cols = plane.shape
    small = Image.fromarray(plane).resize(
        (round(cols / _TRIAL), round(rows / _TRIAL)), Image.Resampling.LANCZOS
    )
    lost = plane - np.asarray(small.resize((cols, rows), Image.Resampling.LANCZOS))
    rows, cols = (n // _PART - 2 for n in plane.shape)  # not at the border, where resizing differs
    inner = lost[_PART : _PART * (rows + 1), _PART : _PART * (cols + 1)]
    parts = np.sqrt(np.mean(inner.reshape(rows, _PART, cols, _PART) ** 2, axis=(1, 3)))
    noise = _NOISE * np.median(parts)
    return bool(np.quantile(parts, _FINEST) ** 2 > noise**2 + _VISIBLE**2)
