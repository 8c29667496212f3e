"""Whether the blur differs across a photo, from the photo alone.

The estimator for one kernel looks at small crops of the photo, every kernel found, and the photo's
one kernel, is tried on every crop, and each takes the one of the most evidence. Where they all take
the same kernel the blur is uniform.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from dem_jax.config import DeblurConfig
from dem_jax.model import promotion
from dem_jax.solve.kernels import zoom_kernel
from dem_jax.start import choice, look, spread, views
from dem_jax.start.crops import ITERATIONS, LEAST_CROP, cut, scaled, telling, window_at
from dem_jax.start.evidence import free_energy
from dem_jax.start.look import Look
from dem_jax.start.one_kernel import Setting, coarse_to_fine
from dem_jax.start.views import View

_SMALL_CROP = 144  # pixels of the view, along each side, at most
_SMALL_PART = 3 / 8  # of the view's sides, at most: crops that overlap by half see the same blur
SMALL_WINDOW = 31  # pixels of the view, the most for kernels in small crops
# Of the candidates for one kernel, the one whose single estimates are best.
_ALONE = Setting(sparsity=1.6e-2, fraction=0.1, useless=0.3, least_entry=0.05, least_island=0.1)
# Of log evidence per pixel, in crops of `_SMALL_CROP` pixels, and of normalised sparsity: what
# kernels of their own must gain where the blur differs; benchmarks/NOTEBOOK.md shows photos.
_LEAST_GAIN, _LEAST_SPARSER = 0.002, 0.001


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
    crops = cut(scaled(views.stretched(photo), scale), (rows, cols))
    shape = tuple(LEAST_CROP if n <= LEAST_CROP else _SMALL_CROP for n in (rows, cols))
    return Compared(
        lax.map(lambda corner: look.padded(crops.crop(corner), shape), jnp.asarray(crops.corners)),
        zoom_kernel(kernel, window_at(kernel_size, scale), scale),
        telling(crops),
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
            sparsity = choice.score(crop, kernel, seen.weight, iterations=ITERATIONS)
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


def small_crop(side: int) -> int:
    """Pixels along a side of a crop for `told`, of a view's side.

    >>> small_crop(600), small_crop(300), small_crop(200), small_crop(80)
    (144, 112, 96, 80)
    """
    return min(_SMALL_CROP, max(round(_SMALL_PART * side), LEAST_CROP), side)


def _closely(shape: views.Shape, kernel_size: int) -> tuple[float, tuple[int, int]]:
    """The view of a photo [H, W] in which small crops are looked at: its scale, and their sides."""
    scale = min(1.0, SMALL_WINDOW / kernel_size)
    rows, cols = (small_crop(round(n * scale)) for n in shape)
    return scale, (rows, cols)
