"""Photos of near sizes, padded to one size, so that one compiled program serves them all.

Sides are those of `start.look.shared_side`. The padding is outside the likelihood
(`start.problem`), and it is cropped from the results.
"""

import numpy as np

from dem_jax.start.look import shared_side
from dem_jax.types import Given


def pad(given: Given) -> Given:
    """The photo [h, w, C], and its weight [h, w] if any, at the origin of its bucket [H, W, C]."""
    height, width, _ = given.pixels.shape
    gap = (0, shared_side(height) - height), (0, shared_side(width) - width)
    return given._replace(
        pixels=np.pad(given.pixels, (*gap, (0, 0))),
        size=np.array([height, width], np.int32),
        weight=None if given.weight is None else np.pad(given.weight, gap),
    )
