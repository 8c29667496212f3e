"""How unsure an image is of its pixels: what samples tell, and what they cannot.

    std^2 = local mean of (c^2 variance over the samples + s^2 |grad f|^2) + (a noise_std)^2

All samples of an E-step share its kernels, so their spread does not hold what is wrong because the
kernels are. A kernel that is a little wrong displaces what the image shows, here and there, by some
part s of a pixel. Chains at a low temperature spread less than the photo's noise lets them, so that
a times the noise is added. And the detail beside T_f expects texture everywhere, also where there
is none, so that only a part c of the samples' deviation counts. docs/results.md has how well
this describes the errors.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from dem_jax.model.blur import good_size
from dem_jax.solve import fourier
from dem_jax.types import DetailPrior

_WINDOW = 7  # pixels
_MISSING = 2.0  # roughness of the truth over a deconvolution's; chosen on Levin's and Lai's photos
_ROUGHNESS, _LEVELS = (1e-8, 1.0), 40  # squared image units per pixel, for which it is computed
_LEAST_CANVAS = 64  # pixels
_NOISE_GAIN = 1.25  # of the photo's noise to the image's; chosen on simulated photos of seed 1


def sampled_variance(
    samples: jax.Array,
    image: jax.Array,
    noise_std: jax.Array,
    expected: DetailPrior,
    *,
    exact_kernels: bool,
) -> jax.Array:
    """Variance [H, W, C] of an image that is the mean of samples, in squared image units.

    Args:
      samples: [H, W, C] their variance, a local mean.
      image: f, [H, W, C], displaced by s pixels where the kernels are not exact.
      noise_std: [] of the photo.
      expected: has c and s.
      exact_kernels: whether the kernels are known.
    """
    variance = expected.spread**2 * samples + (_NOISE_GAIN * noise_std) ** 2
    if exact_kernels:
        return variance
    rows, cols = jnp.gradient(image, axis=(0, 1))
    return variance + expected.displacement_std**2 * local_mean(rows**2 + cols**2)


def gaussian_variance(image: jax.Array, kernels: jax.Array, error: jax.Array | float) -> jax.Array:
    """Variance [H, W, C] of an image that a deconvolution has made, in squared image units.

    Where the differences of the true image are Gaussian with mean square a, and what the photo has
    beside the blurred image has the variance `error`,

        var(a) = mean_w 1 / (|K(w)|^2 / error + |D(w)|^2 / a)

    over the frequencies w: what the kernel has wiped out is as unsure as the prior leaves it. Here
    a is twice the local mean of |grad f|^2, as a deconvolution shows about half of the roughness.

    Args:
      image: f, [H, W, C] in image units, not softened.
      kernels: [P, k, k], each of sum one; the mean of their variances counts.
      error: [] variance, in squared image units.

    Source: the posterior variance of the Wiener filter, as in Wiener: Extrapolation, interpolation
    and smoothing of stationary time series, 1949.
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
    rows, cols = jnp.gradient(image, axis=(0, 1))
    local = _MISSING * local_mean(rows**2 + cols**2)
    return jnp.exp(jnp.interp(jnp.log(jnp.maximum(local, levels[0])), jnp.log(levels), found))


def local_mean(variance: jax.Array) -> jax.Array:
    """Mean of [H, W, C] over squares: few draws tell one pixel's variance poorly, many's well.

    A square at the edge is the mean of what lies inside.
    """
    window = (_WINDOW, _WINDOW, 1)
    total = lax.reduce_window(variance, 0.0, lax.add, window, (1, 1, 1), "SAME")
    # Counted by NumPy: a window sum of ones would be folded by XLA, at 15 s of compilation.
    half = _WINDOW // 2
    places = (np.arange(n) for n in variance.shape[:2])
    rows, cols = (np.minimum(i, half) + np.minimum(i[::-1], half) + 1 for i in places)
    return total / jnp.asarray(rows[:, None, None] * cols[None, :, None], variance.dtype)
