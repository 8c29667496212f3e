"""The image of few edges that explains a blurred plane.

    f = argmin |k * f - g|^2 + lambda |grad f|_0 (+ lambda |f - b|_0)      (half-quadratic, FFT)

Planes are [H, W] of range one, kernels [k, k] of sum one.

Sources: Xu, Zheng, Jia: Unnatural L0 sparse representation for natural image deblurring, CVPR 2013;
Pan et al.: Deblurring text images via L0-regularized intensity and gradient prior, CVPR 2014.
"""

import jax
import jax.numpy as jnp
from jax import lax

from dem_jax.solve import fourier

_FINEST_SPLITTING = 1e5  # last penalty of the half-quadratic splitting (Xu et al.)
_FINEST_VALUES = 8.0  # the same for values (Pan et al.)


def l0_latent(
    photo: jax.Array,
    kernel: jax.Array,
    sparsity: jax.Array,
    splittings: int,
    *,
    plain: jax.Array | float = 0.0,
    background: jax.Array | float = 1.0,
) -> jax.Array:
    """The image of few edges that explains the photo; both on the canvas, [H, W] of range one.

    With `plain` = 1 the image also has few values other than `background`, as text on paper has:
    lambda |f - b|_0 is added. Where the expected background is not the photo's, little is lost.
    """
    shape = photo.shape
    transfer = fourier.transfer_function(kernel, shape)
    power = jnp.abs(transfer) ** 2, fourier.difference_power(shape)
    data = jnp.conj(transfer) * jnp.fft.rfft2(photo)
    first = 2 * sparsity
    penalties = first * (_FINEST_SPLITTING / first) ** jnp.linspace(0, 1, splittings)
    values = plain * first * (_FINEST_VALUES / first) ** jnp.linspace(0, 1, splittings)

    def split(latent, pair):
        penalty, value = pair
        edges = fourier.differences(latent)
        kept = jnp.sum(edges**2, 0) >= sparsity / penalty
        other = value * (latent - background) ** 2 >= sparsity
        prior = penalty * fourier.adjoint_differences(edges * kept[None])
        prior += value * jnp.where(other, latent, background)
        spectrum = (data + jnp.fft.rfft2(prior)) / (power[0] + value + penalty * power[1])
        return jnp.fft.irfft2(spectrum, s=shape), None

    return lax.scan(split, photo, (penalties, values))[0]
