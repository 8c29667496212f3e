"""A kernel for every patch of a photo of a camera that turned, from the photo alone.

The estimator for one kernel looks at crops of the photo, small enough for the kernel to change
little within them. Every kernel found, and the photo's one kernel, is then tried on every crop, and
each crop takes the one that leaves it sharpest: a crop that misled the estimator borrows another's.
`gain` does so quickly, in small crops: where they all take the same kernel the blur is uniform.
`survey` does it with all candidates in large crops, and explains what they take by a camera path,
which is refined by all patches of the photo together, in finer and finer views, see `camera_path`.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from dem_jax.solve.kernels import zoom_kernel
from dem_jax.start import camera_path, choice, find, views
from dem_jax.start.one_kernel import CANDIDATES, LAST, Setting, coarse_to_fine, one_by_one
from dem_jax.start.views import View

_CROPS = 3  # along rows and columns
_SMALL_CROP = 144  # pixels of the view, along each side, at most
_SMALL_PART = 3 / 8  # of the view's sides, at most: crops that overlap by half see the same blur
_SMALL_WINDOW = 31  # pixels of the view, the most for kernels in small crops
# Of the candidates, the one whose single estimates are best.
_ALONE = Setting(sparsity=1.6e-2, fraction=0.1, useless=0.3, least_entry=0.05, least_island=0.1)
_TELLING = 2.0  # mean |grad g|^2 of a crop, in `choice.judging_weight`s: below, noise is half of it
# Of normalised sparsity: what kernels of their own must gain in crops where the blur differs.
# benchmarks/NOTEBOOK.md has what photos show.
_LEAST_GAIN = 0.0065
_CROP = 0.5  # of the photo's sides, but at least
_CROP_IN_KERNELS, _LEAST_CROP = 4, 96  # kernels, and pixels of the view
_LARGEST_WINDOW = 43  # pixels of kernels in crops: longer ones are looked for in coarser crops
_ITERATIONS = 20  # of the deconvolutions that judge kernels on crops
_ALTERNATIONS = 5  # of image and path where the crops were looked at
_FINER_ALTERNATIONS = 2  # in finer views


class Survey(NamedTuple):
    """What crops of a photo tell of its camera."""

    density: jax.Array  # [A, w, w] of the camera's path, in pixels of a view at `_crop_scale`
    tilt: jax.Array  # [] 1 where it was tilted, 0 where it was shifted


class _Crops(NamedTuple):
    """Parts of a view, all of one shape, row by row."""

    whole: View  # [H, W]
    corners: np.ndarray  # [C, 2] their first rows and columns
    shape: tuple[int, int]

    def crop(self, corner: jax.Array) -> View:
        return views.view(self.whole, self.shape, 1.0, corner)


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


def gain(photo: View, kernel: jax.Array, *, kernel_size: int) -> jax.Array:
    """[] how much sparser kernels of their own leave crops than the best one kernel for all.

        min_j mean_c s(c, j) - mean_c min_j s(c, j) >= 0,    s the `choice.score` of crop c by
                                                             kernel j

    over the kernels found in the crops and the photo's. It is exactly zero where all crops prefer
    the same kernel. A crop with few edges would prefer any kernel to any other, and does not count.

    Args:
      photo: [H, W] in any units.
      kernel: [h, h] one for the photo, in its own pixels; h is odd.
      kernel_size: no larger kernel is found.
    """
    scale = min(1.0, _SMALL_WINDOW / kernel_size)
    whole = _whole(views.stretched(photo), scale)
    rows, cols = (small_crop(n) for n in whole.plane.shape)
    crops, window = _cut(whole, (rows, cols)), _window(kernel_size, scale)

    def found(view: View) -> jax.Array:
        return coarse_to_fine(view, _ALONE, window=window)

    scores, _ = _tried(crops, found, zoom_kernel(kernel, window, scale))
    votes = _tell(crops)[:, None]
    counts = votes / jnp.maximum(jnp.sum(votes), 1)
    one = jnp.min(jnp.sum(counts * scores, axis=0))
    return one - jnp.sum(counts * jnp.min(scores, axis=1, keepdims=True))


def has_turned(gain: float) -> bool:
    """Whether a `gain` says that the blur differs across the photo.

    >>> has_turned(0.011), has_turned(0.0)
    (True, False)
    """
    return gain > _LEAST_GAIN


def survey(photo: View, kernel: jax.Array, *, kernel_size: int) -> Survey:
    """A first path, from crops half as long and wide as the photo; arguments as `gain`'s."""
    shape = photo.plane.shape
    scale = _crop_scale(shape, kernel_size)
    whole, window = _whole(views.stretched(photo), scale), _window(kernel_size, scale)
    least = max(_CROP_IN_KERNELS * window, _LEAST_CROP)
    rows, cols = (min(max(round(_CROP * n), least), n) for n in whole.plane.shape)
    crops = _cut(whole, (rows, cols))
    settings = one_by_one(CANDIDATES)

    def found(view: View) -> jax.Array:
        kernels = jax.vmap(lambda setting: coarse_to_fine(view, setting, window=window))(settings)
        return choice.choose(view, kernels).kernel

    scores, kernels = _tried(crops, found, zoom_kernel(kernel, window, scale))
    taken = kernels[jnp.argmin(scores, axis=1)]
    centres = crops.corners + (np.asarray(crops.shape) - 1) / 2
    tilts = jnp.asarray([1.0, 0.0], kernels.dtype)
    densities, explained = lax.map(
        lambda tilt: camera_path.from_kernels(taken, centres, whole.plane.shape, tilt), tilts
    )
    best = jnp.argmax(explained)
    return Survey(densities[best], tilts[best])


def refined(photo: View, seen: Survey, *, kernel_size: int, grid: tuple[int, int]) -> jax.Array:
    """The kernels [P, k, k] of a grid's patches, from a `survey` for the same kernel size."""
    photo = views.stretched(photo)
    shape = photo.plane.shape
    scale = _crop_scale(shape, kernel_size)

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


def _crop_scale(shape: views.Shape, kernel_size: int) -> float:
    """Pixels of a `survey`'s view per pixel of a photo [H, W]: twice as many as in the overview.

    Fewer where kernels are so long that they need larger parts of the photo.

    >>> _crop_scale((680, 1024), 45), _crop_scale((255, 255), 31)
    (0.5647058823529412, 1.0)
    """
    overview = views.overview_scale(shape)
    return min(1.0, 2 * overview, max(overview, _LARGEST_WINDOW / kernel_size))


def small_crop(side: int) -> int:
    """Pixels along a side of a crop for `gain`, of a view's side.

    >>> small_crop(600), small_crop(300), small_crop(200), small_crop(80)
    (144, 112, 96, 80)
    """
    return min(_SMALL_CROP, max(round(_SMALL_PART * side), _LEAST_CROP), side)


def _cut(whole: View, part: tuple[int, int]) -> _Crops:
    """Crops [h, w] of a view [H, W], spread evenly."""
    firsts = [np.linspace(0, n - m, _CROPS) for n, m in zip(whole.plane.shape, part, strict=True)]
    corners = np.stack(np.meshgrid(*firsts, indexing="ij"), axis=-1).reshape(-1, 2).round()
    return _Crops(whole, corners, part)


def _tried(
    crops: _Crops, found: Callable[[View], jax.Array], one: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Every kernel on every crop: scores [C, C + 1], less is better, and the kernels [C + 1, w, w].

    Args:
      crops: C of them.
      found: the kernel [w, w] of a crop.
      one: [w, w] the last of the kernels, for all of the photo.
    """
    corners = jnp.asarray(crops.corners, crops.whole.plane.dtype)
    own = lax.map(lambda corner: found(crops.crop(corner)), corners)
    kernels, weight = jnp.concatenate([own, one[None]]), choice.judging_weight(crops.whole)

    def scores(corner: jax.Array) -> jax.Array:
        view = crops.crop(corner)
        return lax.map(
            lambda kernel: choice.score(view, kernel, weight, iterations=_ITERATIONS), kernels
        )

    return lax.map(scores, corners), kernels


def _tell(crops: _Crops) -> jax.Array:
    """[C] 1 where a crop's edges stand out from its noise, 0 elsewhere."""
    corners = jnp.asarray(crops.corners, crops.whole.plane.dtype)

    def power(corner: jax.Array) -> jax.Array:
        plane = crops.crop(corner).plane
        rows, cols = plane[1:, 1:] - plane[:-1, 1:], plane[1:, 1:] - plane[1:, :-1]
        return jnp.mean(rows**2 + cols**2)

    return 1.0 * (lax.map(power, corners) > _TELLING * choice.judging_weight(crops.whole))


def _whole(photo: View, scale: float) -> View:
    return photo if scale == 1 else views.view(photo, _shape_at(photo, scale), scale)


def _shape_at(photo: View, scale: float) -> tuple[int, int]:
    rows, cols = (round(n * scale) for n in photo.plane.shape)
    return rows, cols


def _window(kernel_size: int, scale: float) -> int:
    return kernel_size if scale == 1 else views.window(kernel_size, scale)
