"""A kernel for every patch of a photo of a camera that turned, from the photo alone.

`told` asks whether it did: the estimator for one kernel looks at small crops of the photo, every
kernel found, and the photo's one kernel, is tried on every crop, and each takes the one of the most
evidence. Where they all take the same kernel the blur is uniform. `survey` looks for the
camera's path in few pixels, whatever the photo's size, and shows how large its kernels are.
`refined` does so in more pixels, also from the photo's one kernel on, and goes on in finer and
finer views, see `camera_path`. `turned` tells what the path is worth in the photo's own pixels.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from dem_jax.config import DeblurConfig
from dem_jax.model import blur, promotion
from dem_jax.solve.kernels import zoom_kernel
from dem_jax.start import camera_path, choice, look, spread, views
from dem_jax.start.evidence import free_energy
from dem_jax.start.look import Look
from dem_jax.start.one_kernel import MANY_EDGES, Setting, coarse_to_fine, one_by_one
from dem_jax.start.views import View

_ALONG = 3  # crops, along rows and columns
CROPS = _ALONG**2
_SMALL_CROP = 144  # pixels of the view, along each side, at most
_SMALL_PART = 3 / 8  # of the view's sides, at most: crops that overlap by half see the same blur
_SMALL_WINDOW = 31  # pixels of the view, the most for kernels in small crops
# Of the candidates for one kernel, the one whose single estimates are best.
_ALONE = Setting(sparsity=1.6e-2, fraction=0.1, useless=0.3, least_entry=0.05, least_island=0.1)
_TELLING = 2.0  # mean |grad g|^2 of a crop, in `choice.judging_weight`s: below, noise is half of it
# Of log evidence per pixel, in crops of `_SMALL_CROP` pixels, and of normalised sparsity: what
# kernels of their own must gain where the blur differs; benchmarks/NOTEBOOK.md shows photos.
_LEAST_GAIN, _LEAST_SPARSER = 0.002, 0.001
_LAST = MANY_EDGES._replace(sparsity=1e-3)  # of a path that begins at the one kernel
# What candidates for the path believe, of a camera that was tilted, 1, or shifted, 0.
_BELIEFS = _LAST._replace(
    sparsity=(1.6e-2, 3.2e-2, 8e-3), fraction=(0.1, 0.05, 0.1), useless=(0.3, 0.5, 0.2)
)
_TILTS = (1.0, 0.0)
PATHS = len(_TILTS) * len(_BELIEFS.sparsity)  # that are looked for from nothing
_SHIFTED = 0.003  # a hand tilts a camera rather than shifts it: what shifts must gain
# Crops that judge paths: of the overview's sides; of the photo itself, in kernels; least pixels.
_PART, _IN_KERNELS, _LEAST_CROP = 1 / 3, 4, 96
_ITERATIONS = 20  # of the deconvolutions that judge kernels on crops
_LARGEST_WINDOW = 43  # pixels of kernels where the path is looked for again
# Of image and path in finer views. Images sharper than one kernel asks for: from softer ones the
# path would shrink to a point.
_FINER, _FINER_ALTERNATIONS = _LAST._replace(sparsity=4e-3), 2
_MOST_PIXELS = 1.6e6  # of a finer view, all of which is looked at


class _Paths(NamedTuple):
    """Candidates for a camera's path."""

    tilts: jax.Array  # [N] 1 of a camera that was tilted, 0 of one that was shifted
    densities: jax.Array  # [N, A, w, w]
    kernels: jax.Array  # [N, 9, w, w] at the middles of crops of a view
    scores: jax.Array  # [N] mean `choice.score` of these crops, less is better


class Turned(NamedTuple):
    """The kernels of a camera's path, and what they are worth."""

    kernels: jax.Array  # [P, k, k]
    gain: jax.Array  # [] how much sparser they leave the photo than one kernel does


class _Crops(NamedTuple):
    """Parts of a view, all of one shape, row by row."""

    whole: View  # [H, W]
    corners: np.ndarray  # [C, 2] their first rows and columns
    shape: tuple[int, int]

    @property
    def centres(self) -> np.ndarray:  # [C, 2]
        return self.corners + (np.asarray(self.shape) - 1) / 2

    def crop(self, corner: jax.Array) -> View:
        return views.view(self.whole, self.shape, 1.0, corner)


class Compared(NamedTuple):
    """What is seen of a photo in crops."""

    crops: View  # [C, h, w] and so on
    kernel: jax.Array  # [w, w] that of the whole photo
    votes: jax.Array  # [C] 1 where a crop tells by its sparsity
    weight: jax.Array  # [] of images to be judged
    share: jax.Array  # [] of the pixels of the largest crops that these ones have


class Told(NamedTuple):
    """What crops tell of whether the camera turned."""

    gain: jax.Array  # [] log evidence per pixel, of kernels of their own over one for all
    sparser: jax.Array  # [] how much sparser those leave them
    kernels: jax.Array  # [C, w, w] those of the most evidence, in pixels of their view


def told(
    photo: Any, kernel: jax.Array, config: DeblurConfig, *, axis_name: str | None = None
) -> Told:
    """Which kernels small crops prefer, and how much more than the best one kernel for all.

        gain = (min_j mean_c F(c, j) - mean_c min_j F(c, j)) N / 144^2 >= 0

    over the kernels j found in the crops and the photo's, F being the `evidence.free_energy` of
    crop c, of N pixels, by kernel j; `sparser` is the same of the `choice.score`, without the
    share, by which evidence of small crops counts less. Both are zero where all crops prefer the
    same kernel. Either can be wrong: evidence takes what is out of focus for a blur of its own, and
    the sparsest image can be a wrong kernel's. For evidence crops count as their trusted pixels do;
    by sparsity one with few edges would prefer any kernel to any other, and does not count.

    Args:
      photo: as of `views.of_photo`, in any units.
      kernel: [h, h] one for the photo, in its own pixels; h is odd.
      config: no kernel larger than kernel_size is found.
      axis_name: of the devices that share the work, see `spread`.

    >>> photo = jax.ShapeDtypeStruct((384, 512, 3), "float32")
    >>> kernel = jax.ShapeDtypeStruct((9, 9), "float32")
    >>> config = DeblurConfig(kernel_size=13)
    >>> jax.eval_shape(lambda g, k: told(g, k, config), photo, kernel).kernels.shape
    (9, 13, 13)
    """
    return COMPARE(photo, kernel, config, axis_name=axis_name)


@promotion.standard
def _see(photo: Any, kernel: jax.Array, config: DeblurConfig) -> Compared:
    photo, kernel_size = views.of_photo(photo), config.kernel_size
    scale, (rows, cols) = _closely(photo.plane.shape, kernel_size)
    crops = _cut(_whole(views.stretched(photo), scale), (rows, cols))
    shape = tuple(_LEAST_CROP if n <= _LEAST_CROP else _SMALL_CROP for n in (rows, cols))
    return Compared(
        lax.map(lambda corner: look.padded(crops.crop(corner), shape), jnp.asarray(crops.corners)),
        zoom_kernel(kernel, _window(kernel_size, scale), scale),
        _tell(crops),
        choice.judging_weight(crops.whole),
        jnp.asarray(rows * cols / _SMALL_CROP**2),
    )


@promotion.standard
def _find(seen: Compared, *, axis_name: str | None = None) -> Told:
    def found(crop: View) -> jax.Array:
        return coarse_to_fine(crop, _ALONE, window=seen.kernel.shape[0])

    own = spread.each(found, seen.crops, axis_name)
    kernels = jnp.concatenate([own, seen.kernel[None]])

    def by_every_kernel(crop: View) -> tuple[jax.Array, jax.Array]:
        def judged(kernel: jax.Array) -> tuple[jax.Array, jax.Array]:
            sparsity = choice.score(crop, kernel, seen.weight, iterations=_ITERATIONS)
            return free_energy(crop, kernel), sparsity

        return lax.map(judged, kernels)

    energies, scores = spread.each(by_every_kernel, seen.crops, axis_name)  # [C, C + 1]
    trusted = seen.crops.trusted
    counts = jnp.ones(len(energies)) if trusted is None else jnp.mean(trusted, (1, 2), float)
    return Told(
        seen.share * _gained(energies, counts),
        _gained(scores, seen.votes),
        kernels[jnp.argmin(energies, axis=1)],
    )


def _gained(values: jax.Array, counts: jax.Array) -> jax.Array:
    """[] by how much the mean of crops' own least values [C, N] is below the least mean."""
    counts = counts / jnp.maximum(jnp.sum(counts), 1e-9)
    return jnp.min(counts @ values) - counts @ jnp.min(values, axis=1)


COMPARE = Look(_see, _find)


def has_turned(gain: float, sparser: float) -> bool:
    """Whether crops have `told` that the blur differs across the photo.

    >>> has_turned(0.02, 0.011), has_turned(0.02, 0.0)
    (True, False)
    """
    return gain > _LEAST_GAIN and sparser > _LEAST_SPARSER


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
    whole, window = _whole(_stretched(photo), scale), _window(kernel_size, scale)
    found = _paths(whole, window, jnp.ones((1,), whole.plane.dtype), axis_name)
    return found.kernels[jnp.argmin(found.scores)]


def refined(
    photo: Any, kernel: jax.Array, config: DeblurConfig, *, axis_name: str | None = None
) -> jax.Array:
    """The kernels [P, k, k] of a grid's patches, each of sum one: of several paths the sparsest.

    Paths are looked for from nothing, and from one kernel [h, h] on, where the camera turned little
    or the photo shows much that is alike, as text does. Arguments are those of `turned`.
    """
    photo = _stretched(views.of_photo(photo))
    shape, kernel_size = photo.plane.shape, config.kernel_size
    scale = path_scale(shape, kernel_size)
    whole, window = _whole(photo, scale), _window(kernel_size, scale)
    tilts = jnp.asarray(_TILTS, whole.plane.dtype)
    found = _paths(whole, window, tilts, axis_name, zoom_kernel(kernel, window, scale))
    best = jnp.argmin(found.scores + _SHIFTED * (1 - found.tilts))
    density, tilt = found.densities[best], found.tilts[best]
    while scale < 1:
        before, scale = scale, views.finer_scale(scale)
        density = camera_path.zoom(density, _window(kernel_size, scale), scale / before)
        view = _whole(photo, scale)
        if is_refined(view.plane.shape):
            density, _ = camera_path.alternate(
                view, density, _FINER, times=_FINER_ALTERNATIONS, tilt=tilt
            )
    return camera_path.patch_kernels(density, shape, config.patch_grid, tilt)


def _stretched(photo: View) -> View:
    """A photo of contrast one; clipped pixels vote too, or single patches have too few edges."""
    return views.stretched(photo)._replace(trusted=None)


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
    rows, cols = (min(max(round(_PART * n), _LEAST_CROP), n) for n in shape)
    crops = _cut(whole, (rows, cols))

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
    """`refined` kernels, and how much sparser they leave crops of a photo than one kernel does.

        mean_c s(c, k) - mean_c s(c, k_p),    s the `choice.score` of crop c, p the patch there

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
    kernels = refined(photo, kernel, config, axis_name=axis_name)
    photo = views.stretched(photo)
    scale = path_scale(photo.plane.shape, kernel_size)
    whole, window = _whole(photo, scale), _window(kernel_size, scale)
    shape = whole.plane.shape
    least = max(_IN_KERNELS * window, _LEAST_CROP)
    crops = _cut(whole, (min(least, shape[0]), min(least, shape[1])))
    gaps = crops.centres[:, None] - blur.patch_centres((shape[0], shape[1]), config.patch_grid)
    nearest = np.argmin(np.sum(gaps**2, axis=-1), axis=1)

    def there(kernel: jax.Array) -> jax.Array:
        return zoom_kernel(kernel, window, scale)

    own = jax.vmap(there)(kernels[nearest])
    one = jnp.broadcast_to(there(kernel), own.shape)
    votes = _tell(crops)
    sparser = votes * (_scores(crops, one, axis_name) - _scores(crops, own, axis_name))
    return Turned(kernels, jnp.sum(sparser) / jnp.maximum(jnp.sum(votes), 1))


def _scores(crops: _Crops, kernels: jax.Array, axis_name: str | None = None) -> jax.Array:
    """[C] `choice.score` of crops by a kernel each, [C, k, k]."""
    weight = choice.judging_weight(crops.whole)

    def score(crop: tuple[jax.Array, jax.Array]) -> jax.Array:
        corner, kernel = crop
        return choice.score(crops.crop(corner), kernel, weight, iterations=_ITERATIONS)

    return spread.each(score, (jnp.asarray(crops.corners, kernels.dtype), kernels), axis_name)


def is_refined(view: views.Shape) -> bool:
    """Whether a path is refined in a view [h, w], which is not too large for it.

    >>> is_refined((1200, 900)), is_refined((3000, 4000))
    (True, False)
    """
    return view[0] * view[1] <= _MOST_PIXELS


def path_scale(shape: views.Shape, kernel_size: int) -> float:
    """Pixels of a view per pixel of a photo [H, W]: the next finer one after the overview's.

    Fewer where kernels are so long that this would take minutes.

    >>> path_scale((680, 1024), 45), path_scale((518, 630), 27), path_scale((518, 630), 75)
    (0.5647058823529412, 1.0, 0.5733333333333334)
    """
    overview = views.overview_scale(shape)
    return min(views.finer_scale(overview), max(overview, _LARGEST_WINDOW / kernel_size))


def small_crop(side: int) -> int:
    """Pixels along a side of a crop for `told`, of a view's side.

    >>> small_crop(600), small_crop(300), small_crop(200), small_crop(80)
    (144, 112, 96, 80)
    """
    return min(_SMALL_CROP, max(round(_SMALL_PART * side), _LEAST_CROP), side)


def _closely(shape: views.Shape, kernel_size: int) -> tuple[float, tuple[int, int]]:
    """The view of a photo [H, W] in which small crops are looked at: its scale, and their sides."""
    scale = min(1.0, _SMALL_WINDOW / kernel_size)
    rows, cols = (small_crop(round(n * scale)) for n in shape)
    return scale, (rows, cols)


def _cut(whole: View, part: tuple[int, int]) -> _Crops:
    """Crops [h, w] of a view [H, W], spread evenly."""
    firsts = [np.linspace(0, n - m, _ALONG) for n, m in zip(whole.plane.shape, part, strict=True)]
    corners = np.stack(np.meshgrid(*firsts, indexing="ij"), axis=-1).reshape(-1, 2).round()
    return _Crops(whole, corners, part)


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
