"""A kernel for every patch of a photo of a camera that turned, from the photo alone.

The estimator for one kernel looks at overlapping crops of the photo, half as long and wide: within
a crop the kernel changes little. A camera path explains what it finds there, and is refined by all
patches of the photo together, in finer and finer views, see `camera_path`.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from dem_jax.start import camera_path, choice, find, views
from dem_jax.start.one_kernel import CANDIDATES, LAST, coarse_to_fine
from dem_jax.start.views import View

_CROPS = 3  # along rows and columns
_CROP = 0.5  # of the photo's sides, but at least
_CROP_IN_KERNELS, _LEAST_CROP = 4, 96  # kernels, and pixels of the view
_LARGEST_WINDOW = 43  # pixels of kernels in crops: longer ones are looked for in coarser crops
_ALTERNATIONS = 5  # of image and path where the crops were looked at
_FINER_ALTERNATIONS = 2  # in finer views
# How unlike, 1 - correlation, kernels of crops far from each other are where the blur differs: at
# least, and in terms of neighbours. benchmarks/NOTEBOOK.md has what photos show.
_LEAST_UNLIKE, _TIMES_UNLIKE = 0.04, 1.6


class Survey(NamedTuple):
    """What crops of a photo tell of its camera."""

    density: jax.Array  # [A, w, w] of the camera's path, in pixels of a view at `crop_scale`
    tilt: jax.Array  # [] 1 where it was tilted, 0 where it was shifted
    near: jax.Array  # [] how alike the kernels of neighbouring crops are on average, 0 to 1
    far: jax.Array  # [] how alike those of crops are that share nothing


def turning(photo: View, *, kernel_size: int, grid: tuple[int, int]) -> jax.Array:
    """The kernels [P, k, k] of a grid's patches, each of sum one: `survey` and `refined`.

    Args:
      photo: [H, W] in any units; exposure does not matter.
      kernel_size: k, odd: no larger kernel is found.
      grid: number of patches along rows and columns.
    """
    seen = survey(photo, kernel_size=kernel_size)
    return refined(photo, seen, kernel_size=kernel_size, grid=grid)


def survey(photo: View, *, kernel_size: int) -> Survey:
    """A first path, from crops of a photo [H, W], and what speaks for it."""
    photo = find.stretched_view(photo)
    kernels, centres = local_kernels(photo, kernel_size=kernel_size)
    shape = _shape_at(photo, crop_scale(photo.plane.shape, kernel_size))
    row, col = np.divmod(np.arange(_CROPS**2), _CROPS)
    rows, cols = (np.abs(place[:, None] - place) for place in (row, col))
    alike = choice.similarity(kernels)
    near, far = rows + cols == 1, np.maximum(rows, cols) == _CROPS - 1
    tilts = jnp.asarray([1.0, 0.0], kernels.dtype)
    densities, explained = lax.map(
        lambda tilt: camera_path.from_kernels(kernels, centres, shape, tilt), tilts
    )
    best = jnp.argmax(explained)
    return Survey(
        densities[best],
        tilts[best],
        jnp.sum(near * alike) / near.sum(),
        jnp.sum(far * alike) / far.sum(),
    )


def refined(photo: View, seen: Survey, *, kernel_size: int, grid: tuple[int, int]) -> jax.Array:
    """The kernels [P, k, k] of a grid's patches, from a `survey` for the same kernel size."""
    photo = find.stretched_view(photo)
    shape = photo.plane.shape
    scale = crop_scale(shape, kernel_size)

    def alternated(density: jax.Array, scale: float, times: int) -> jax.Array:
        view = _whole(photo, scale)
        return camera_path.alternate(view, density, LAST, times=times, tilt=seen.tilt)

    density = alternated(seen.density, scale, _ALTERNATIONS)
    while scale < 1:
        before, scale = scale, 2 * scale if 2 * scale < 0.8 else 1.0
        density = camera_path.zoom(density, _window(kernel_size, scale), scale / before)
        sides = sorted(_shape_at(photo, scale))
        if sides[0] <= views.LARGEST[0] and sides[1] <= views.LARGEST[1]:
            density = alternated(density, scale, _FINER_ALTERNATIONS)
    return camera_path.patch_kernels(density, shape, grid, seen.tilt)


def has_turned(near: float, far: float) -> bool:
    """Whether a `Survey` says that the blur differs across the photo.

    The crops' kernels are never quite alike, by mistakes. But mistakes make neighbours differ
    nearly as much as crops far from each other.

    >>> has_turned(0.96, 0.88), has_turned(0.84, 0.81)
    (True, False)
    """
    return 1 - far > max(_LEAST_UNLIKE, _TIMES_UNLIKE * (1 - near))


def local_kernels(photo: View, *, kernel_size: int) -> tuple[jax.Array, np.ndarray]:
    """Kernels [C, w, w] found in crops of a photo of range one, and the crops' centres [C, 2].

    Both are in pixels of a view at `crop_scale`.
    """
    shape = photo.plane.shape
    scale = crop_scale(shape, kernel_size)
    window = _window(kernel_size, scale)
    full = [round(n * scale) for n in shape]
    least = max(_CROP_IN_KERNELS * window, _LEAST_CROP)
    part = tuple(min(max(round(_CROP * n), least), n) for n in full)
    corners = [np.linspace(0, n - m, _CROPS) for n, m in zip(full, part, strict=True)]
    places = np.stack(np.meshgrid(*corners, indexing="ij"), axis=-1).reshape(-1, 2)
    settings = find.one_by_one(CANDIDATES)

    def one(corner: jax.Array) -> jax.Array:
        seen = views.view(photo, part, scale, corner)
        found = jax.vmap(lambda setting: coarse_to_fine(seen, setting, window=window))(settings)
        return choice.choose(seen, found).kernel

    kernels = lax.map(one, jnp.asarray(places, photo.plane.dtype))
    return kernels, places + (np.asarray(part) - 1) / 2


def crop_scale(shape: views.Shape, kernel_size: int) -> float:
    """Pixels of a crop's view per pixel of a photo [H, W]: twice as many as in the overview.

    Fewer where kernels are so long that they need larger parts of the photo.

    >>> crop_scale((680, 1024), 45), crop_scale((255, 255), 31)
    (0.5647058823529412, 1.0)
    """
    overview = views.overview_scale(shape)
    return min(1.0, 2 * overview, max(overview, _LARGEST_WINDOW / kernel_size))


def _whole(photo: View, scale: float) -> View:
    return photo if scale == 1 else views.view(photo, _shape_at(photo, scale), scale)


def _shape_at(photo: View, scale: float) -> tuple[int, int]:
    rows, cols = (round(n * scale) for n in photo.plane.shape)
    return rows, cols


def _window(kernel_size: int, scale: float) -> int:
    return kernel_size if scale == 1 else find.window(kernel_size, scale)
