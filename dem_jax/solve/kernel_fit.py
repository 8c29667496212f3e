"""The kernel between two pictures, by non-negative least squares on their gradients.

    k = argmin |k * grad f - grad g|^2 + ridge |k|^2 + smooth |w grad k|^2        (k >= 0)

in a window whose side has w pixels. Kernels are [k, k] of sum one; planes and k fix all shapes.

Source: Xu, Zheng, Jia: Unnatural L0 sparse representation for natural image deblurring, CVPR 2013.
"""

import jax
import jax.numpy as jnp

from dem_jax.model.blur import good_size
from dem_jax.solve import fourier
from dem_jax.solve.kernels import normalised
from dem_jax.solve.least_squares import non_negative_least_squares


def fit_kernel(
    latent_edges: jax.Array,
    photo_edges: jax.Array,
    support: jax.Array,
    ridge: float,
    *,
    smoothness: jax.Array | float = 0.0,
    iterations: int = 80,
) -> jax.Array:
    """Non-negative least squares for the kernel between two sets of gradient planes.

        min_{k >= 0} sum_d |k * e_d - h_d|^2 / |e|^2 + ridge |k|^2 + smoothness |w grad k|^2

    w being the window's pixels along a side: what is smooth is so in units of the kernel, whatever
    the photo's resolution. The sum depends on the planes only through the autocorrelation of e and
    its correlation with h, so that an iteration (FISTA) costs one small transform, whatever the
    photo's size.

    Args:
      latent_edges: e, [D, ...] canvas planes, zero outside the photo.
      photo_edges: h, the same shape.
      support: [k, k], 1 where the kernel may be positive.
      ridge: relative to the power of e.
      smoothness: the same, of the kernel's differences.
      iterations: FISTA steps; few of them leave the ill-determined high frequencies smooth.

    Returns:
      [k, k] of sum one.
    """
    size = support.shape[0]
    auto, cross = correlations(latent_edges, photo_edges, size)
    energy = jnp.maximum(auto[size - 1, size - 1], 1e-12)
    differences = (smoothness * size**2) * jnp.asarray([[0, -1, 0], [-1, 4, -1], [0, -1, 0]])
    smoothed = (auto / energy).at[size - 2 : size + 1, size - 2 : size + 1].add(differences)
    transfer = autocorrelation_transfer(smoothed)
    kernel = non_negative_least_squares(
        lambda kernel: convolve(kernel, transfer) + ridge * kernel,
        cross / energy,
        cross / energy * support,
        steepness=jnp.max(jnp.abs(transfer)) + ridge,
        iterations=iterations,
        support=support,
    )
    return normalised(kernel)


def correlations(
    latent_edges: jax.Array, photo_edges: jax.Array, size: int
) -> tuple[jax.Array, jax.Array]:
    """What the least squares need to know of gradient planes e and h, [D, ...] on a canvas.

    Returns:
      The autocorrelation of e, [2 size - 1, 2 size - 1], and its correlation with h, [size, size],
      no motion in the middle of both.
    """
    shape = latent_edges.shape[1:]
    latent, photo = jnp.fft.rfft2(latent_edges), jnp.fft.rfft2(photo_edges)
    auto = jnp.fft.irfft2(jnp.sum(jnp.abs(latent) ** 2, 0), s=shape)
    cross = jnp.fft.irfft2(jnp.sum(jnp.conj(latent) * photo, 0), s=shape)
    cross = jnp.roll(cross, (size // 2, size // 2), (0, 1))[:size, :size]
    auto = jnp.roll(auto, (size - 1, size - 1), (0, 1))[: 2 * size - 1, : 2 * size - 1]
    return auto, cross


def autocorrelation_transfer(auto: jax.Array) -> jax.Array:
    """The transfer function of an autocorrelation, on a canvas that `convolve` needs."""
    return fourier.transfer_function(auto, (good_size(2 * auto.shape[0]),) * 2)


def convolve(kernel: jax.Array, transfer: jax.Array) -> jax.Array:
    """An autocorrelation, by its transfer function, convolved with a kernel, on its pixels."""
    size, canvas = kernel.shape[0], (transfer.shape[0],) * 2
    return jnp.fft.irfft2(jnp.fft.rfft2(kernel, s=canvas) * transfer, s=canvas)[:size, :size]
