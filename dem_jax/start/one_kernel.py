"""One kernel for a view: image and kernel in turn, from coarse to fine.

At every level of a pyramid, alternately,

    f = argmin |k * f - g|^2 + lambda |grad f|_0 (+ lambda |f - b|_0)     (half-quadratic, FFT)
    k = argmin |k * e - grad g|^2 + ridge |k|^2, k >= 0       e: strong, useful edges of grad f

Planes of views are [H, W], of contrast one (see `views.stretched`); kernels [k, k] of sum one. All
shapes are fixed by the photo and the windows, so that everything works under jit and vmap.

Sources: Xu, Zheng, Jia: Unnatural L0 sparse representation for natural image deblurring, CVPR 2013;
Pan et al.: Deblurring text images via L0-regularized intensity and gradient prior, CVPR 2014; for
the choice of edges see `edges`.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from dem_jax.solve import fourier
from dem_jax.solve.few_edges import l0_latent
from dem_jax.solve.kernel_fit import fit_kernel
from dem_jax.solve.kernels import zoom_kernel
from dem_jax.start import edges, views
from dem_jax.start.cleaning import cleaned
from dem_jax.start.views import View

SPLITTINGS = 24  # half-quadratic steps for every image
_DECAY = 1 / 1.1  # of lambda, from one alternation to the next
_LEAST_SPARSITY = 1e-4  # squared image units
ALTERNATIONS = 5  # of image and kernel at every level
RIDGE = 2e-3  # on the kernel, relative to the power of the edges
_COARSEST = 5  # pixels: the window at the coarsest level
_LEAST_SIDE = 16  # pixels of the coarsest picture


class Setting(NamedTuple):
    """What a candidate believes; numbers, or N of them each."""

    sparsity: Any  # lambda at the coarsest level, squared image units
    fraction: Any  # of the gradients, the strongest, that enter the kernel's fit
    useless: Any  # part of the photo, the least useful, whose gradients do not
    least_entry: Any  # smaller kernel entries, relative to the largest, are dropped
    least_island: Any  # smaller separate parts of the kernel, by mass, are dropped
    plain: Any = 0.0  # 1: few values differ from the background's either, see `l0_latent`
    background: Any = 1.0  # of the stretched photo: 1 is white, 0 is black


CANDIDATES = Setting(
    sparsity=(3.2e-2, 3.2e-2, 1.6e-2, 1.6e-2, 1.6e-2, 1.6e-2, 8e-3, 1.6e-2),
    fraction=(0.05, 0.05, 0.1, 0.1, 0.15, 0.1, 0.1, 0.1),
    useless=(0.5, 0.5, 0.2, 0.1, 0.2, 0.3, 0.2, 0.2),
    least_entry=(0.1, 0.02, 0.05, 0.02, 0.05, 0.05, 0.05, 0.12),
    least_island=(0.05, 0.05, 0.15, 0.1, 0.15, 0.1, 0.1, 0.03),
)
# Where those disagree: half of these expect a plain background, as text and night have.
CLOSER_CANDIDATES = Setting(
    sparsity=(3.2e-2, 3.2e-2, 8e-3, 1.6e-2, 3.2e-2, 1.6e-2, 1.6e-2, 1.6e-2),
    fraction=(0.05, 0.05, 0.1, 0.1, 0.05, 0.1, 0.15, 0.15),
    useless=(0.5, 0.5, 0.2, 0.2, 0.5, 0.2, 0.2, 0.2),
    least_entry=(0.1, 0.02, 0.05, 0.12, 0.02, 0.05, 0.05, 0.05),
    least_island=(0.05, 0.05, 0.1, 0.03, 0.05, 0.15, 0.15, 0.15),
    plain=(0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0),
    background=(1.0, 1.0, 1.0, 1.0, 0.0, 1.0, 1.0, 0.0),
)
MANY_EDGES = Setting(sparsity=2e-3, fraction=0.1, useless=0.3, least_entry=0.05, least_island=0.05)
FEW_EDGES = MANY_EDGES._replace(sparsity=1e-3, fraction=0.02, useless=0.5)
# What a wide window has let into a kernel is found anew in one that fits: from fewer edges again.
NARROWED = MANY_EDGES._replace(sparsity=4e-3)
FINER = MANY_EDGES, FEW_EDGES  # in finer views; where a photo has few edges, weak ones mislead


def one_by_one(settings: Setting) -> Setting:
    """Settings of N candidates, every field [N]: a number is that of all."""
    count = len(settings.sparsity)
    return Setting(*[jnp.broadcast_to(jnp.asarray(field), count) for field in settings])


def coarse_to_fine(view: View, setting: Setting, *, window: int) -> jax.Array:
    """One candidate: a kernel [window, window] for a view, from no more than the view."""
    sizes = window_sizes(window)
    kernel, sparsity = first_kernel(sizes[0]), setting.sparsity
    for size in sizes:
        kernel = zoom_kernel(kernel, size, size / kernel.shape[0])
        setting = setting._replace(sparsity=sparsity)
        kernel, sparsity = alternate(level(view, size, window), kernel, setting)
    return kernel


def first_kernel(size: int) -> jax.Array:
    """[size, size] two pixels beside each other: what a search begins with."""
    middle = size // 2
    return jnp.zeros((size, size)).at[middle, middle - 1 : middle + 1].set(0.5)


def level(view: View, size: int, window: int) -> View:
    """A view so small that kernels of `window` pixels in it have `size`."""
    if size == window:
        return view
    rows, cols = (max(round(n * size / window), min(n, _LEAST_SIDE)) for n in view.plane.shape)
    return views.smaller(view, (rows, cols))


def alternate(
    view: View, kernel: jax.Array, setting: Setting, *, times: int = ALTERNATIONS
) -> tuple[jax.Array, jax.Array]:
    """Image and kernel in turn, at one level; the kernel, and lambda as it is then."""
    seen = edges.voters(view, kernel.shape[0], useless=setting.useless)

    def once(carry, _):
        kernel, sparsity = carry
        latent = l0_latent(
            seen.canvas,
            kernel,
            sparsity,
            SPLITTINGS,
            plain=setting.plain,
            background=setting.background,
        )
        found = edges.strongest(
            fourier.differences(latent), seen.useful, seen.share * setting.fraction
        )
        kernel = fit_kernel(found, seen.edges, jnp.ones_like(kernel), RIDGE)
        kernel = cleaned(kernel, setting.least_entry, setting.least_island)
        return (kernel, next_sparsity(sparsity)), None

    start = (kernel, jnp.asarray(setting.sparsity, view.plane.dtype))
    return lax.scan(once, start, length=times)[0]


def next_sparsity(sparsity: jax.Array) -> jax.Array:
    """[] lambda of the next alternation."""
    return jnp.maximum(_DECAY * sparsity, _LEAST_SPARSITY)


def window_sizes(window: int) -> list[int]:
    """Odd window sizes from the coarsest level to the finest, by steps of about sqrt(1/2).

    >>> window_sizes(43)
    [5, 7, 11, 15, 21, 31, 43]
    """
    sizes, size = [window], float(window)
    while sizes[-1] > _COARSEST:
        size *= 0.5**0.5
        sizes.append(min(max(2 * round((size - 1) / 2) + 1, 3), sizes[-1] - 2))
    return sizes[::-1]
