"""A kernel for every patch of a photo of a camera that turned, from the photo alone.

Crops of the photo, small enough for the kernel to change little within them, are looked at with the
estimator for one kernel. Each crop then takes whichever of all crops' kernels and of the photo's
one kernel leaves it sharpest: a crop that misled the estimator borrows from another. Where the
crops take different kernels the camera turned; a camera path explains them, and is refined by all
patches of the photo together, in finer and finer views, see `camera_path`.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from dem_jax.start import camera_path, choice, find, views
from dem_jax.start.one_kernel import LAST, Setting, coarse_to_fine, judging_weight
from dem_jax.start.views import View

_CROPS = 3  # along rows and columns
CROP = 192  # pixels of the view along each side, the most
_PART = 0.6  # of the view's sides, the most
_WINDOW = 23  # pixels of the view, the most for kernels in crops
_SETTING = Setting(sparsity=1.6e-2, fraction=0.1, useless=0.3, least_entry=0.05, least_island=0.1)
_ITERATIONS = 20  # of the deconvolutions that judge kernels
_ALTERNATIONS = 5  # of image and path where the crops were looked at
_FINER_ALTERNATIONS = 2  # in finer views
# Of normalised sparsity: what kernels of their own must gain in crops where the blur differs.
# benchmarks/NOTEBOOK.md has what photos show.
_LEAST_GAIN = 0.004


class Survey(NamedTuple):
    """What crops of a photo tell of its camera."""

    kernels: jax.Array  # [C, w, w] the crops', in pixels of a view at `crop_scale`
    gain: jax.Array  # [] how much sparser they leave the crops than the best one kernel for all


def turning(photo: View, *, kernel_size: int, grid: tuple[int, int]) -> jax.Array:
    """The kernels [P, k, k] of a grid's patches, each of sum one: `survey` and `refined`.

    Args:
      photo: [H, W] in any units; exposure does not matter.
      kernel_size: k, odd: no larger kernel is found.
      grid: number of patches along rows and columns.
    """
    kernel, _ = find.find(photo, kernel_size=kernel_size)
    seen = survey(photo, kernel, kernel_size=kernel_size)
    return refined(photo, seen, kernel_size=kernel_size, grid=grid)


def survey(photo: View, kernel: jax.Array, *, kernel_size: int) -> Survey:
    """The kernels of crops, and what they gain over one kernel for all.

    Every kernel found is tried on every crop, and the one for which the crop's `choice.score` is
    least becomes the crop's. The gain is

        min_j mean_c s(c, j) - mean_c min_j s(c, j) >= 0,    s(c, j) of crop c by kernel j,

    exactly zero where all crops prefer the same kernel.

    Args:
      photo: [H, W] in any units.
      kernel: [h, h] one for the photo, in its own pixels; h is odd.
      kernel_size: no larger kernel is found.
    """
    photo = find.stretched_view(photo)
    scale = crop_scale(kernel_size)
    whole, window = _whole(photo, scale), _window(kernel_size, scale)
    corners, part = _crops(whole.plane.shape)
    corners, weight = jnp.asarray(corners, whole.plane.dtype), judging_weight(whole)

    def found(corner: jax.Array) -> jax.Array:
        return coarse_to_fine(views.view(whole, part, 1.0, corner), _SETTING, window=window)

    one = views.zoom_kernel(kernel, window, scale)
    kernels = jnp.concatenate([lax.map(found, corners), one[None]])

    def scores(corner: jax.Array) -> jax.Array:
        crop = views.view(whole, part, 1.0, corner)
        return lax.map(lambda k: choice.score(crop, k, weight, iterations=_ITERATIONS), kernels)

    table = lax.map(scores, corners)
    gain = jnp.min(jnp.mean(table, axis=0)) - jnp.mean(jnp.min(table, axis=1))
    return Survey(kernels[jnp.argmin(table, axis=1)], gain)


def refined(photo: View, seen: Survey, *, kernel_size: int, grid: tuple[int, int]) -> jax.Array:
    """The kernels [P, k, k] of a grid's patches, from a `survey` for the same kernel size."""
    photo = find.stretched_view(photo)
    shape, scale = photo.plane.shape, crop_scale(kernel_size)
    first = _shape_at(photo, scale)
    corners, part = _crops(first)
    centres = corners + (np.asarray(part) - 1) / 2
    tilts = jnp.asarray([1.0, 0.0], seen.kernels.dtype)
    densities, explained = lax.map(
        lambda tilt: camera_path.from_kernels(seen.kernels, centres, first, tilt), tilts
    )
    best = jnp.argmax(explained)
    tilt = tilts[best]

    def alternated(density: jax.Array, scale: float, times: int) -> jax.Array:
        view = _whole(photo, scale)
        return camera_path.alternate(view, density, LAST, times=times, tilt=tilt)

    density = alternated(densities[best], scale, _ALTERNATIONS)
    while scale < 1:
        before, scale = scale, 2 * scale if 2 * scale < 0.8 else 1.0
        density = camera_path.zoom(density, _window(kernel_size, scale), scale / before)
        sides = sorted(_shape_at(photo, scale))
        if sides[0] <= views.LARGEST[0] and sides[1] <= views.LARGEST[1]:
            density = alternated(density, scale, _FINER_ALTERNATIONS)
    return camera_path.patch_kernels(density, shape, grid, tilt)


def has_turned(gain: float) -> bool:
    """Whether a `Survey`'s gain says that the blur differs across the photo.

    >>> has_turned(0.011), has_turned(0.0)
    (True, False)
    """
    return gain > _LEAST_GAIN


def crop_scale(kernel_size: int) -> float:
    """Pixels of the crops' view per pixel of the photo: fewer where kernels are long.

    >>> crop_scale(46), crop_scale(13)
    (0.5, 1.0)
    """
    return min(1.0, _WINDOW / kernel_size)


def _crops(shape: views.Shape) -> tuple[np.ndarray, tuple[int, int]]:
    """First pixels [C, 2] of crops of a view [H, W], row by row, and their rows and columns."""
    rows, cols = (min(CROP, round(_PART * n)) for n in shape)
    firsts = [
        np.linspace(0, n - m, _CROPS).round() for n, m in zip(shape, (rows, cols), strict=True)
    ]
    return np.stack(np.meshgrid(*firsts, indexing="ij"), axis=-1).reshape(-1, 2), (rows, cols)


def _whole(photo: View, scale: float) -> View:
    return photo if scale == 1 else views.view(photo, _shape_at(photo, scale), scale)


def _shape_at(photo: View, scale: float) -> tuple[int, int]:
    rows, cols = (round(n * scale) for n in photo.plane.shape)
    return rows, cols


def _window(kernel_size: int, scale: float) -> int:
    return kernel_size if scale == 1 else find.window(kernel_size, scale)
