"""Results for a part of a photo, or for it in fewer pixels, put back into the whole picture.

What `framing` has cut off stays as it was.
"""

import numpy as np

from dem_jax.runtime.files import fineness
from dem_jax.runtime.files.photo import Photo


def complete(part: np.ndarray, photo: Photo) -> np.ndarray:
    """A result [h, w, C] for a framed photo as a whole picture [H, W, C], in the file's scale."""
    behind = photo.behind
    if behind is None:
        return part
    whole = behind.pixels.astype(part.dtype)
    part = part / part.dtype.type(behind.gain)
    if behind.halvings:
        before = whole[behind.rows, behind.cols]
        change = part - fineness.halved(before, behind.halvings)
        part = before + fineness.enlarged(change, behind.halvings, before.shape)
        part = np.clip(part, 0, 1)
    return _put(whole, part, photo)


def complete_spread(std: np.ndarray, photo: Photo) -> np.ndarray:
    """The same for a standard deviation, which is zero where nothing was changed."""
    behind = photo.behind
    if behind is None:
        return std
    whole, std = np.zeros(behind.pixels.shape, std.dtype), std / std.dtype.type(behind.gain)
    if behind.halvings:
        shape = whole[behind.rows, behind.cols].shape
        std = np.maximum(fineness.enlarged(std, behind.halvings, shape), 0)
    return _put(whole, std, photo)


def _put(whole: np.ndarray, part: np.ndarray, photo: Photo) -> np.ndarray:
    assert photo.behind is not None
    place = photo.behind.rows, photo.behind.cols
    if photo.weight is not None:
        part = np.where(photo.weight[..., None] > 0, part, whole[place])
    whole[place] = part
    return whole
