"""Kernels of sum one: brought to that sum and to other pixels, and compared."""

import jax
import jax.numpy as jnp

from dem_jax.model.blur import good_size

_SMOOTHNESS = 1.0  # pixels, deviation of a Gaussian, of kernels that are compared
_MARGIN = 4  # pixels around kernels that are smoothed, in its deviations


def normalised(kernel: jax.Array) -> jax.Array:
    """A kernel of sum one; where nothing is left, the kernel that does not blur."""
    size = kernel.shape[0]
    point = jnp.zeros_like(kernel).at[size // 2, size // 2].set(1.0)
    total = jnp.sum(kernel)
    return jnp.where(total > 1e-8, kernel / jnp.maximum(total, 1e-8), point)


def zoom_kernel(kernel: jax.Array, size: int, scale: float | jax.Array) -> jax.Array:
    """A kernel [k, k] made larger or smaller by `scale`, on `size` x `size` pixels, of sum one."""
    middle = jnp.full(2, (size - scale * kernel.shape[0]) / 2, kernel.dtype)
    factor = jnp.full(2, scale, kernel.dtype)
    found = jax.image.scale_and_translate(kernel, (size, size), (0, 1), factor, middle, "cubic")
    return normalised(jnp.maximum(found, 0))


def similarity(kernels: jax.Array) -> jax.Array:
    """[N, N] normalised correlation of kernels [N, k, k] under the best shift by whole pixels.

        max_x sum_y a(y) b(y + x) / (|a| |b|),    a, b smoothed by a Gaussian of one pixel

    So candidates that lie a pixel apart are alike.
    """
    side = good_size(2 * (kernels.shape[-1] + 2 * round(_MARGIN * _SMOOTHNESS)))
    spectra = jnp.fft.rfft2(kernels, s=(side, side))
    rows, cols = jnp.fft.fftfreq(side)[:, None], jnp.fft.rfftfreq(side)[None]
    spectra *= jnp.exp(-2 * (jnp.pi * _SMOOTHNESS) ** 2 * (rows**2 + cols**2))[None]
    products = spectra[:, None] * jnp.conj(spectra[None])
    best = jnp.max(jnp.fft.irfft2(products, s=(side, side)), (2, 3))
    norms = jnp.sqrt(jnp.diagonal(best))
    return best / jnp.maximum(norms[:, None] * norms[None], 1e-12)


def entropy(kernels: jax.Array) -> jax.Array:
    """Mean entropy of kernels [P, k, k] of sum one, in nats: log of how many pixels they cover.

        -(1/P) sum_p sum_x k_p(x) log k_p(x)

    A kernel with a faint floor everywhere explains texture, and the image that it leaves looks
    sharp.
    """
    information = -jnp.log(jnp.where(kernels > 0, kernels, 1))  # no 0 log 0, which is NaN
    return jnp.mean(jnp.sum(kernels * information, (1, 2)))
