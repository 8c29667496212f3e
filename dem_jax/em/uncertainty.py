"""How unsure an image is of its pixels, given kernels, noise and how rough the place is.

Where the differences of the true image are Gaussian with mean square a, and what the photo has
beside the blurred image has the variance `error`, the posterior variance of a pixel is

    var(a) = mean_w 1 / (|K(w)|^2 / error + |D(w)|^2 / a)

over the frequencies w: what the kernel has wiped out is as unsure as the prior leaves it. The
roughness a is that of `model.roughness`. Kernels of a camera's path are wrong by their places, too:
each of their pixels may be displaced by d = 0.8 pixels along either axis, which adds

    d^2 (local mean of |grad f|^2)

Samples of an E-step do not tell this: their chains are
cold, and all share its kernels. docs/results.md has how well this describes the errors.

Source: the posterior variance of the Wiener filter, as in Wiener: Extrapolation, interpolation and
smoothing of stationary time series, 1949.
"""

import jax
import jax.numpy as jnp
from jax import lax

from dem_jax.model import roughness
from dem_jax.model.blur import good_size
from dem_jax.solve import fourier

_ROUGHNESS, _LEVELS = (1e-8, 1.0), 40  # squared image units per pixel, for which it is computed
_LEAST_CANVAS = 64  # pixels
_DISPLACED = 0.8  # pixels, d, of photos with several kernels; chosen on Lai's turning cameras


def displacement(count: int) -> float:
    """Pixels d by which each of `count` kernels of a photo may be displaced along either axis."""
    return _DISPLACED if count > 1 else 0.0


def gaussian_variance(
    image: jax.Array,
    kernels: jax.Array,
    error: jax.Array | float,
    *,
    displaced: float = 0.0,
) -> jax.Array:
    """var(a) [H, W, C] of an image that a deconvolution has made, in squared image units.

    Args:
      image: f, [H, W, C] in image units, not softened.
      kernels: [P, k, k], each of sum one; the mean of their variances counts.
      error: [] variance, in squared image units.
      displaced: pixels, of the kernels, see `displacement`.
    """
    side = good_size(max(_LEAST_CANVAS, 2 * kernels.shape[-1]))
    shape = side, side
    power = jnp.abs(jax.vmap(lambda k: fourier.transfer_function(k, shape))(kernels)) ** 2
    rough = fourier.difference_power(shape)[None]
    twice = jnp.full(rough.shape[-1], 2.0).at[0].set(1.0)  # of a real plane half is at hand
    count = twice if side % 2 else twice.at[-1].set(1.0)
    levels = jnp.geomspace(*_ROUGHNESS, _LEVELS)

    def variance(level: jax.Array) -> jax.Array:
        each = 1 / (power / error + rough / level + 1)  # no image has a variance above one
        return jnp.sum(jnp.mean(each, (0, 1)) * count) / side

    found = jnp.log(lax.map(variance, levels))
    local = roughness.expected(image, error)
    given_kernels = jnp.exp(jnp.interp(jnp.log(local), jnp.log(levels), found))
    return given_kernels + displaced**2 * roughness.shown(image)
