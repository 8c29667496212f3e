"""Photos of near sizes, padded to one size, so that one compiled program serves them all.

A side between two powers of two is rounded up to a multiple of an eighth of the lower one: 8
sizes an octave, and at most an eighth of a side is padding. The padding is outside the likelihood
(`start.problem`), and it is cropped from the results.
"""

import numpy as np

from dem_jax.types import Given

_MIN_STEP = 8  # pixels


def bucket_side(length: int) -> int:
    """The side of the bucket for photos with a side of `length` pixels."""
    step = max(_MIN_STEP, 2 ** ((length - 1).bit_length() - 1) // 8)
    return -(-length // step) * step


def pad(given: Given) -> Given:
    """The photo [h, w, C], and its weight [h, w] if any, at the origin of its bucket [H, W, C]."""
    height, width, _ = given.pixels.shape
    gap = (0, bucket_side(height) - height), (0, bucket_side(width) - width)
    return given._replace(
        pixels=np.pad(given.pixels, (*gap, (0, 0))),
        size=np.array([height, width], np.int32),
        weight=None if given.weight is None else np.pad(given.weight, gap),
    )
