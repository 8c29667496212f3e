"""One kernel for a photo, from the photo alone: an overview, then finer and finer views.

`overview` looks for the kernel in few pixels. `refined` goes on from there in views twice as fine
each, until the photo's own pixels. There `polish` has the hyper-Laplacian prior |grad f|^0.8 in
place of the L0 one of `one_kernel`, and `evidence` at last asks every pixel. `find` is all of it,
with a static bound.
"""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from dem_jax.config import DeblurConfig
from dem_jax.model import promotion
from dem_jax.solve import fourier
from dem_jax.solve.hyper_laplacian import hyper_laplacian
from dem_jax.solve.kernel_fit import fit_kernel
from dem_jax.solve.kernels import zoom_kernel
from dem_jax.start import edges, look, spread, views
from dem_jax.start.choice import judging_weight, score
from dem_jax.start.cleaning import cleaned
from dem_jax.start.evidence import IMPROVEMENTS, free_energy, improved
from dem_jax.start.look import Look, Sight
from dem_jax.start.one_kernel import FINER, MANY_EDGES, NARROWED, RIDGE, Setting, alternate
from dem_jax.start.overview import overview
from dem_jax.start.views import View

_NARROWED_ALTERNATIONS = 10  # where a window has become narrower, and nothing else new
_LAST_ALTERNATIONS = 2  # at full size, of image and kernel by the L0 prior, and
_POLISHINGS = 3  # by the hyper-Laplacian one
_LAST_SPARSITY = 0.5  # of the finer views' lambda, at full size
_MUST_GAIN = (0.0, 0.0015)  # of normalised sparsity: each of `FINER`'s settings over the first
# Of the last images' gradients, those that enter the fit; and what is dropped of its kernels. It is
# little, because the fast stretches of a shake leave a faint trace that belongs to the kernel.
_LAST_FRACTION = 0.2
_LAST_ENTRY, _LAST_ISLAND = 0.01, 0.05
_LAST_SMOOTHNESS = 6e-6  # of its kernel, relative to the power of the edges, and
_NOISE_SMOOTHNESS = 0.15  # the same for a noise variance of one: noise makes kernels rough


def find(photo: Any, config: DeblurConfig) -> tuple[jax.Array, jax.Array]:
    """The kernel [k, k] of a photo, and the candidates' agreement [] on it, 0 to 1.

    Args:
      photo: as of `views.of_photo`, in any units; exposure does not matter.
      config: kernel_size is k: no larger kernel is found.
    """
    seen = views.of_photo(photo)
    choice = overview(seen, config)
    return refined(seen, choice.kernel[None], config), choice.agreement


class Finer(NamedTuple):
    """What is seen of a photo on the way to its own pixels."""

    seen: jax.Array  # [N, w, w] kernels in overview pixels, each to go on from
    between: tuple[Sight, ...]  # views twice as fine each
    last: Sight  # in the photo's own pixels
    telling: View  # the part of it that tells most


class Whole(NamedTuple):
    """What is seen of a small photo, whose overview has all of its pixels."""

    seen: jax.Array  # [N, w, w]
    last: Sight
    telling: View


def refined(
    photo: Any, seen: jax.Array, config: DeblurConfig, *, axis_name: str | None = None
) -> jax.Array:
    """The kernel [k, k] in a photo's own pixels, from those `seen` [N, w, w] in overview pixels.

    Views of large photos show the part that has the most useful edges. From each kernel settings
    that trust many edges or few go on; the one that leaves the photo sparser is taken, few edges
    only where it is so by much. The overview of a small photo has all of its pixels; there each
    kernel is found anew where its window [k, k] is narrower than [w, w]. At last each is improved
    by all pixels of the part that tells most, and the one of the most evidence is taken. Arguments
    as of `overview.overview`.

    >>> photo = jax.ShapeDtypeStruct((384, 512, 3), "float32")
    >>> seen, config = jax.ShapeDtypeStruct((2, 17, 17), "float32"), DeblurConfig(kernel_size=31)
    >>> jax.eval_shape(lambda g, k: refined(g, k, config), photo, seen).shape
    (31, 31)
    """
    return REFINE(photo, seen, config, axis_name=axis_name)


@promotion.standard
def _see(photo: Any, seen: jax.Array, config: DeblurConfig) -> Finer | Whole:
    photo = views.stretched(views.of_photo(photo))
    shape, kernel_size = photo.plane.shape, config.kernel_size
    worth = _worth(photo, seen.shape[-1])
    first = views.overview_scale(shape)

    def at(scale: float, most: views.Shape = views.LARGEST) -> View:
        part = views.finer_shape(shape, scale, most)
        if part == tuple(round(n * scale) for n in shape):
            return look.padded(views.view(photo, part, scale))
        near = tuple(
            min(math.ceil(n * first / scale), m) for n, m in zip(part, worth.shape, strict=True)
        )
        corner = views.richest_corner(worth, near) * scale / first
        return look.padded(views.view(photo, part, scale, corner))

    def sight(scale: float, before: float) -> Sight:
        window = views.window(kernel_size, scale)
        return Sight(at(scale), window, jnp.asarray(scale / before))

    scales = [first]
    while scales[-1] < 1:
        scales.append(views.finer_scale(scales[-1]))
    telling = at(1.0, views.TELLING)
    if first == 1:
        return Whole(seen, Sight(at(1.0), kernel_size), telling)
    *between, last = [sight(*pair) for pair in zip(scales[1:], scales[:-1], strict=True)]
    return Finer(seen, tuple(between), last, telling)


@promotion.standard
def _find(sights: Finer | Whole, *, axis_name: str | None = None) -> jax.Array:
    last = sights.last.view
    if isinstance(sights, Whole):
        kernels = _narrowed(sights, axis_name)
    else:
        kernels = _finer(sights, axis_name)
    # Before they are improved, candidates of which one is wrong can be alike in their evidence.
    kernels = spread.each(
        lambda kernel: improved(sights.telling, kernel, times=IMPROVEMENTS), kernels, axis_name
    )
    energies = spread.each(lambda kernel: free_energy(last, kernel), kernels, axis_name)
    return kernels[jnp.argmin(energies)]


REFINE = Look(_see, _find)


def _narrowed(sights: Whole, axis_name: str | None) -> jax.Array:
    """[N, k, k] those seen, each found anew where its window has become narrower."""
    seen, (last, kernel_size) = sights.seen, (sights.last.view, sights.last.window)

    def narrowed(kernel: jax.Array) -> jax.Array:
        kernel = zoom_kernel(kernel, kernel_size, 1.0)
        if kernel_size < seen.shape[-1]:
            kernel, _ = alternate(last, kernel, NARROWED, times=_NARROWED_ALTERNATIONS)
        return _at_last(last, kernel, MANY_EDGES)

    return spread.each(narrowed, seen, axis_name)


def _finer(sights: Finer, axis_name: str | None) -> jax.Array:
    """[N, k, k] those seen, each through the finer views by many edges or by few."""
    seen, last = sights.seen, sights.last

    def finer(pair: tuple[jax.Array, Setting]) -> jax.Array:
        kernel, setting = pair
        for sight in sights.between:
            kernel = zoom_kernel(kernel, sight.window, sight.zoom)
            kernel, _ = alternate(sight.view, kernel, setting)
        return _at_last(last.view, zoom_kernel(kernel, last.window, last.zoom), setting)

    count, ways = len(seen), len(FINER)
    settings = jax.tree.map(lambda *values: jnp.asarray(values * count), *FINER)
    pairs = jnp.repeat(seen, ways, axis=0), settings
    found, weight = spread.each(finer, pairs, axis_name), judging_weight(last.view)
    scores = spread.each(lambda kernel: score(last.view, kernel, weight), found, axis_name)
    best = jnp.argmin(scores.reshape(count, ways) + jnp.asarray([_MUST_GAIN]), axis=1)
    return found[ways * jnp.arange(count) + best]


def _at_last(view: View, kernel: jax.Array, setting: Setting) -> jax.Array:
    """The kernel in the photo's own pixels, from a start there."""
    setting = setting._replace(sparsity=_LAST_SPARSITY * setting.sparsity)
    kernel, _ = alternate(view, kernel, setting, times=_LAST_ALTERNATIONS)
    return polish(view, kernel)


def polish(view: View, kernel: jax.Array) -> jax.Array:
    """The kernel at full size, by the edges of images with the hyper-Laplacian prior."""
    (rows, cols), half = view.plane.shape, kernel.shape[0] // 2
    weight = judging_weight(view)
    seen = edges.voters(view, kernel.shape[0])
    gaps = [(0, n - m) for n, m in zip(seen.canvas.shape, view.plane.shape, strict=True)]
    fraction = _LAST_FRACTION * seen.share
    smoothness = _LAST_SMOOTHNESS + _NOISE_SMOOTHNESS * views.noise_variance(view)

    def once(kernel, _):
        latent = hyper_laplacian(view.plane, kernel, weight, iterations=15, size=view.size)
        latent = latent[half : half + rows, half : half + cols]
        latent = jnp.pad(latent, gaps)
        found = edges.strongest(fourier.differences(latent), seen.useful, fraction)
        kernel = fit_kernel(found, seen.edges, jnp.ones_like(kernel), RIDGE, smoothness=smoothness)
        return cleaned(kernel, _LAST_ENTRY, _LAST_ISLAND), None

    return lax.scan(once, kernel, length=_POLISHINGS)[0]


def _worth(photo: View, window: int) -> jax.Array:
    """[h, w] what the edges of a photo's overview tell about its kernel."""
    shape, scale = photo.plane.shape, views.overview_scale(photo.plane.shape)
    seen = views.view(photo, tuple(round(n * scale) for n in shape), scale)
    size = jnp.asarray(seen.plane.shape if seen.size is None else seen.size)
    known = fourier.inside(size - 1, seen.plane.shape)
    found = fourier.differences(seen.plane) * known[None]
    power = edges.usefulness(found, window) * jnp.sum(found**2, 0)
    return power if seen.trusted is None else power * seen.trusted
