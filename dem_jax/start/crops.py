"""Crops of a view, in which a photo's kernel may be another one than elsewhere."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from dem_jax.start import choice, views
from dem_jax.start.views import View

_ALONG = 3  # crops, along rows and columns
COUNT = _ALONG**2
LEAST_CROP = 96  # pixels along each side, where the view has as many
ITERATIONS = 20  # of the deconvolutions that judge kernels on crops
_TELLING = 2.0  # mean |grad g|^2 of a crop, in `choice.judging_weight`s: below, noise is half of it


class Crops(NamedTuple):
    """Parts of a view, all of one shape, row by row."""

    whole: View  # [H, W]
    corners: np.ndarray  # [C, 2] their first rows and columns
    shape: tuple[int, int]

    @property
    def centres(self) -> np.ndarray:  # [C, 2]
        return self.corners + (np.asarray(self.shape) - 1) / 2

    def crop(self, corner: jax.Array) -> View:
        return views.view(self.whole, self.shape, 1.0, corner)


def cut(whole: View, part: tuple[int, int]) -> Crops:
    """Crops [h, w] of a view [H, W], spread evenly."""
    firsts = [np.linspace(0, n - m, _ALONG) for n, m in zip(whole.plane.shape, part, strict=True)]
    corners = np.stack(np.meshgrid(*firsts, indexing="ij"), axis=-1).reshape(-1, 2).round()
    return Crops(whole, corners, part)


def telling(crops: Crops) -> jax.Array:
    """[C] 1 where a crop's edges stand out from its noise, 0 elsewhere.

    A file's coding is no noise here: its error lies where the edges are, and has its part in how
    sharply images are judged.
    """
    corners = jnp.asarray(crops.corners, crops.whole.plane.dtype)

    def power(corner: jax.Array) -> jax.Array:
        plane = crops.crop(corner).plane
        rows, cols = plane[1:, 1:] - plane[:-1, 1:], plane[1:, 1:] - plane[1:, :-1]
        return jnp.mean(rows**2 + cols**2)

    return 1.0 * (lax.map(power, corners) > _TELLING * choice.judging_weight(crops.whole, coding=0))


def scaled(photo: View, scale: float) -> View:
    """All of a photo in `scale` pixels to each of its own."""
    return photo if scale == 1 else views.view(photo, _shape_at(photo, scale), scale)


def _shape_at(photo: View, scale: float) -> tuple[int, int]:
    rows, cols = (round(n * scale) for n in photo.plane.shape)
    return rows, cols


def window_at(kernel_size: int, scale: float) -> int:
    """Pixels of a view at `scale` that hold a kernel of `kernel_size`."""
    return kernel_size if scale == 1 else views.window(kernel_size, scale)
