"""Photos of near sizes, padded to one size, so that one compiled program serves them all.

A side between two powers of two is rounded up to a multiple of an eighth of the lower one: 8
sizes an octave, and at most an eighth of a side is padding. The padding is outside the likelihood
(`solver.prepare`), and it is cropped from the results.
"""

from typing import Any, NamedTuple

import numpy as np

from dem_jax.solver import Solver

_MIN_STEP = 8  # pixels


class Padded(NamedTuple):
    """A photo in its bucket."""

    pixels: np.ndarray  # [H, W, C], the bucket's size; the photo is at its origin
    size: np.ndarray  # [2] int32 rows and columns of the photo


def bucket_side(length: int) -> int:
    """The side of the bucket for photos with a side of `length` pixels."""
    step = max(_MIN_STEP, 2 ** ((length - 1).bit_length() - 1) // 8)
    return -(-length // step) * step


def pad(pixels: np.ndarray) -> Padded:
    """The photo [h, w, C] in its bucket."""
    height, width, channels = pixels.shape
    padded = np.zeros((bucket_side(height), bucket_side(width), channels), pixels.dtype)
    padded[:height, :width] = pixels
    return Padded(padded, np.array([height, width], np.int32))


def padding_solver(solver: Solver) -> Solver:
    """`solver`, with a `prepare` that takes a `Padded` in place of the photo's pixels."""

    def prepare(key: Any, photo: Padded, config: Any) -> Any:
        return solver.prepare(key, photo.pixels, config, size=photo.size)

    return solver._replace(prepare=prepare)
