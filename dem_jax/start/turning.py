"""A kernel for every patch of a photo of a camera that turned, from the photo alone.

`survey` looks for the camera's path in few pixels, whatever the photo's size, and shows how large
its kernels are. `refined` does so in more pixels, also from the photo's one kernel on, and goes on
in finer and finer views, see `camera_path`; at last it improves every patch's kernel by the
`evidence` of a crop around it, as the path's poses are coarser than a kernel. `turned` tells what
that is worth in the view in which the path was looked for. Whether the camera turned at all is
asked before, see `comparison`.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from dem_jax.config import DeblurConfig
from dem_jax.model import blur, promotion
from dem_jax.solve.kernels import normalised, zoom_kernel
from dem_jax.start import camera_path, choice, spread, views
from dem_jax.start.cleaning import without_faint_parts
from dem_jax.start.crops import ITERATIONS, LEAST_CROP, Crops, cut, scaled, telling, window_at
from dem_jax.start.evidence import IMPROVEMENTS, improved
from dem_jax.start.one_kernel import MANY_EDGES, Setting, one_by_one
from dem_jax.start.views import View

_LAST = MANY_EDGES._replace(sparsity=1e-3)  # of a path that begins at the one kernel
# What candidates for the path believe, of a camera that was tilted, 1, or shifted, 0.
_BELIEFS = _LAST._replace(
    sparsity=(1.6e-2, 3.2e-2, 8e-3), fraction=(0.1, 0.05, 0.1), useless=(0.3, 0.5, 0.2)
)
_TILTS = (1.0, 0.0)
PATHS = len(_TILTS) * len(_BELIEFS.sparsity)  # that are looked for from nothing
_SHIFTED = 0.003  # a hand tilts a camera rather than shifts it: what shifts must gain
# Crops that judge paths: of the overview's sides; of the view where it is found, in kernels.
_PART, _IN_KERNELS = 1 / 3, 4
_LARGEST_WINDOW = 43  # pixels of kernels where the path is looked for again
# Of image and path in finer views. Images sharper than one kernel asks for: from softer ones the
# path would shrink to a point.
_FINER, _FINER_ALTERNATIONS = _LAST._replace(sparsity=4e-3), 2
_MOST_PIXELS = 1.6e6  # of a finer view, all of which is looked at
_IMPROVING = 144  # pixels along each side, at least, of the crops that improve patches' kernels
# Of the largest entry, of the sum: what few pixels tell of a kernel is dusty.
_LEAST_ENTRY, _LEAST_ISLAND = 0.01, 0.01


class _Paths(NamedTuple):
    """Candidates for a camera's path."""

    tilts: jax.Array  # [N] 1 of a camera that was tilted, 0 of one that was shifted
    densities: jax.Array  # [N, A, w, w]
    kernels: jax.Array  # [N, 9, w, w] at the middles of crops of a view
    scores: jax.Array  # [N] mean `choice.score` of these crops, less is better


class Turned(NamedTuple):
    """The kernels of a camera's path, and what they are worth."""

    kernels: jax.Array  # [P, k, k]
    gain: jax.Array  # [] how much sparser these, or their path's, leave it than one kernel does


@promotion.standard
def survey(photo: Any, config: DeblurConfig, *, axis_name: str | None = None) -> jax.Array:
    """Kernels [9, w, w] all over a photo, roughly: of a first path, in overview pixels.

    Args:
      photo: as of `views.of_photo`, in any units.
      config: no kernel larger than kernel_size, in the photo's pixels, is found.
      axis_name: of the devices that share the work, see `spread`.

    >>> photo = jax.ShapeDtypeStruct((96, 128, 3), "float32")
    >>> jax.eval_shape(lambda g: survey(g, DeblurConfig(kernel_size=13)), photo).shape
    (9, 13, 13)
    """
    photo, kernel_size = views.of_photo(photo), config.kernel_size
    scale = views.overview_scale(photo.plane.shape)
    whole = scaled(_all_of(views.stretched(photo)), scale)
    window = window_at(kernel_size, scale)
    found = _paths(whole, window, jnp.ones((1,), whole.plane.dtype), axis_name)
    return found.kernels[jnp.argmin(found.scores)]


def refined(
    photo: Any, kernel: jax.Array, config: DeblurConfig, *, axis_name: str | None = None
) -> jax.Array:
    """The kernels [P, k, k] of a grid's patches, each of sum one: of several paths the sparsest.

    Paths are looked for from nothing, and from one kernel [h, h] on, where the camera turned little
    or the photo shows much that is alike, as text does. Arguments are those of `turned`.
    """
    return _along_path(views.of_photo(photo), kernel, config, axis_name)[1]


def _along_path(
    photo: View, kernel: jax.Array, config: DeblurConfig, axis_name: str | None
) -> tuple[jax.Array, jax.Array]:
    """Kernels [P, k, k] of the sparsest path at a grid's patches, and these improved."""
    seen = views.stretched(photo)
    photo = _all_of(seen)
    shape, kernel_size = photo.plane.shape, config.kernel_size
    scale = path_scale(shape, kernel_size)
    whole, window = scaled(photo, scale), window_at(kernel_size, scale)
    tilts = jnp.asarray(_TILTS, whole.plane.dtype)
    found = _paths(whole, window, tilts, axis_name, zoom_kernel(kernel, window, scale))
    best = jnp.argmin(found.scores + _SHIFTED * (1 - found.tilts))
    density, tilt = found.densities[best], found.tilts[best]
    for finer in finer_scales(shape, scale):
        density = camera_path.zoom(density, window_at(kernel_size, finer), finer / scale)
        whole, scale = scaled(photo, finer), finer
        density, _ = camera_path.alternate(
            whole, density, _FINER, times=_FINER_ALTERNATIONS, tilt=tilt
        )
    path = camera_path.patch_kernels(density, whole.plane.shape, config.patch_grid, tilt)
    better = each_improved(scaled(seen, scale), path, config.patch_grid, axis_name=axis_name)
    enlarged = jax.vmap(lambda kernel: zoom_kernel(kernel, kernel_size, 1 / scale))
    return enlarged(path), enlarged(better)


def each_improved(
    whole: View, kernels: jax.Array, grid: tuple[int, int], *, axis_name: str | None = None
) -> jax.Array:
    """Kernels [P, w, w] of a view's patches, each improved by a crop around its patch.

    Where a crop has few edges the path, which is that of all of the photo, tells more: there a
    kernel stays as it is.

    Args:
      whole: [h, w] of contrast one, see `views.stretched`.
      kernels: of sum one, near the right ones, in the view's pixels.
      grid: patches along rows and columns.
      axis_name: of the devices that share the work, see `spread`.
    """
    rows, cols = whole.plane.shape
    shape = improving_crop((rows, cols), kernels.shape[-1])
    firsts = blur.patch_centres((rows, cols), grid) - (np.asarray(shape) - 1) / 2
    crops = Crops(whole, np.clip(firsts, 0, np.asarray((rows, cols)) - shape), shape)

    def better(corner: jax.Array, kernel: jax.Array) -> jax.Array:
        kernel = improved(crops.crop(corner), kernel, times=IMPROVEMENTS)
        return normalised(without_faint_parts(kernel, _LEAST_ENTRY, _LEAST_ISLAND))

    def one(patch: tuple[jax.Array, jax.Array, jax.Array]) -> jax.Array:
        vote, corner, kernel = patch
        return lax.cond(vote > 0, better, lambda _, kernel: kernel, corner, kernel)

    corners = jnp.asarray(crops.corners, kernels.dtype)
    return spread.each(one, (telling(crops), corners, kernels), axis_name)


def _all_of(photo: View) -> View:
    """A photo whose clipped pixels vote too, or single patches would have too few edges."""
    return photo._replace(trusted=None)


def _paths(
    whole: View,
    window: int,
    tilts: jax.Array,
    axis_name: str | None,
    one: jax.Array | None = None,
) -> _Paths:
    """Paths of kernels up to `window` pixels, and how sparse they leave crops of a view.

    Of every tilt [T] each of the beliefs looks for one; the last ones are found from one kernel
    [window, window] on, if there is one.
    """
    shape = whole.plane.shape
    rows, cols = (min(max(round(_PART * n), LEAST_CROP), n) for n in shape)
    crops = cut(whole, (rows, cols))

    def judged(density: jax.Array, tilt: jax.Array) -> _Paths:
        kernels = blur.unit_sums(camera_path.synthesise(density, crops.centres, shape, tilt))
        return _Paths(tilt, density, kernels, jnp.mean(_scores(crops, kernels)))

    def from_nothing(way: tuple[jax.Array, Setting]) -> _Paths:
        tilt, belief = way
        density = camera_path.coarse_to_fine(whole, belief, window=window, tilt=tilt)
        return judged(density, tilt)

    beliefs = one_by_one(_BELIEFS)
    ways = (
        jnp.repeat(tilts, len(beliefs.sparsity)),
        jax.tree.map(lambda field: jnp.tile(field, len(tilts)), beliefs),
    )
    paths = spread.each(from_nothing, ways, axis_name)
    if one is None:
        return paths
    still = camera_path.without_roll(one)

    def from_one(tilt: jax.Array) -> _Paths:
        return judged(camera_path.alternate(whole, still, _LAST, tilt=tilt)[0], tilt)

    more = spread.each(from_one, tilts, axis_name)
    return jax.tree.map(lambda *both: jnp.concatenate(both), paths, more)


@promotion.standard
def turned(
    photo: Any, kernel: jax.Array, config: DeblurConfig, *, axis_name: str | None = None
) -> Turned:
    """`refined` kernels, and how much sparser their path leaves crops of a photo than one kernel.

        mean_c s(c, k) - mean_c s(c, k_p),    s the `choice.score` of crop c, p the patch there

    k_p are the path's own kernels, or the improved ones where these are worth more: these are
    thinner, and thick kernels leave images sparser, but the path's can be too thick to be right.
    Crops are small, because within them no kernel changes much, and they are of the view in which
    the path was looked for: how thick its kernels are in the photo's own pixels is not its worth.
    A crop with few edges would prefer any kernel to any other, and does not count.

    Args:
      photo: as of `views.of_photo`, in any units.
      kernel: [h, h] one for the photo; h is odd.
      config: kernel_size is k, patch_grid the number of patches along rows and columns.
      axis_name: of the devices that share the work, see `spread`.

    >>> photo, one = (jax.ShapeDtypeStruct(shape, "float32") for shape in ((96, 128, 3), (7, 7)))
    >>> config = DeblurConfig(kernel_size=7, patch_grid=(2, 3))
    >>> jax.eval_shape(lambda g, k: turned(g, k, config), photo, one).kernels.shape
    (6, 7, 7)
    """
    photo, kernel_size = views.of_photo(photo), config.kernel_size
    path, kernels = _along_path(photo, kernel, config, axis_name)
    photo = views.stretched(photo)
    scale = path_scale(photo.plane.shape, kernel_size)
    whole, window = scaled(photo, scale), window_at(kernel_size, scale)
    shape = whole.plane.shape
    least = max(_IN_KERNELS * window, LEAST_CROP)
    crops = cut(whole, (min(least, shape[0]), min(least, shape[1])))
    gaps = crops.centres[:, None] - blur.patch_centres((shape[0], shape[1]), config.patch_grid)
    nearest = np.argmin(np.sum(gaps**2, axis=-1), axis=1)

    def there(kernel: jax.Array) -> jax.Array:
        return zoom_kernel(kernel, window, scale)

    def scores(own: jax.Array) -> jax.Array:
        return _scores(crops, jax.vmap(there)(own[nearest]), axis_name)

    votes, by_one = telling(crops), scores(jnp.broadcast_to(kernel, (len(path), *kernel.shape)))
    sparser = by_one[None] - jnp.stack([scores(path), scores(kernels)])  # [2, C]
    return Turned(kernels, jnp.max(sparser @ votes) / jnp.maximum(jnp.sum(votes), 1))


def _scores(crops: Crops, kernels: jax.Array, axis_name: str | None = None) -> jax.Array:
    """[C] `choice.score` of crops by a kernel each, [C, k, k]."""
    weight = choice.judging_weight(crops.whole)

    def score(crop: tuple[jax.Array, jax.Array]) -> jax.Array:
        corner, kernel = crop
        return choice.score(crops.crop(corner), kernel, weight, iterations=ITERATIONS)

    return spread.each(score, (jnp.asarray(crops.corners, kernels.dtype), kernels), axis_name)


def finer_scales(shape: views.Shape, scale: float) -> list[float]:
    """Those of the finer views of a photo [H, W] in which a path of a view at `scale` is refined.

    >>> finer_scales((680, 1024), 0.5), finer_scales((3000, 4000), 0.128)
    ([1.0], [0.256])
    """
    scales = []
    while (
        scale < 1 and shape[0] * shape[1] * (scale := views.finer_scale(scale)) ** 2 <= _MOST_PIXELS
    ):
        scales.append(scale)
    return scales


def improving_crop(view: views.Shape, window: int) -> tuple[int, int]:
    """Rows and columns of a crop of a view [h, w] that improves a kernel of `window` pixels.

    >>> improving_crop((680, 1024), 19), improving_crop((680, 1024), 53)
    ((144, 144), (212, 212))
    """
    least = max(_IN_KERNELS * window, _IMPROVING)
    return min(least, view[0]), min(least, view[1])


def path_scale(shape: views.Shape, kernel_size: int) -> float:
    """Pixels of a view per pixel of a photo [H, W]: the next finer one after the overview's.

    Fewer where kernels are so long that this would take minutes.

    >>> path_scale((680, 1024), 45), path_scale((518, 630), 27), path_scale((518, 630), 75)
    (0.5647058823529412, 1.0, 0.5733333333333334)
    """
    overview = views.overview_scale(shape)
    return min(views.finer_scale(overview), max(overview, _LARGEST_WINDOW / kernel_size))
