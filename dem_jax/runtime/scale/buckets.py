"""Photos of near sizes, padded to one size, so that one compiled program serves them all.

A side between two powers of two is rounded up to a multiple of an eighth of the lower one: 8
sizes an octave, and at most an eighth of a side is padding. The padding is outside the likelihood
(`solver.prepare`), and it is cropped from the results.
"""

import numpy as np

from dem_jax.types import Given

_MIN_STEP = 8  # pixels


def bucket_side(length: int) -> int:
    """The side of the bucket for photos with a side of `length` pixels."""
    step = max(_MIN_STEP, 2 ** ((length - 1).bit_length() - 1) // 8)
    return -(-length // step) * step


def pad(pixels: np.ndarray) -> Given:
    """The photo [h, w, C] at the origin of its bucket [H, W, C]."""
    height, width, channels = pixels.shape
    padded = np.zeros((bucket_side(height), bucket_side(width), channels), pixels.dtype)
    padded[:height, :width] = pixels
    return Given(padded, np.array([height, width], np.int32))
