"""Non-blind restoration: what kernels alone make of a photo, and what they add to T_f's image."""

import jax
import jax.numpy as jnp
from jax import lax

from dem_jax.inference import spectral
from dem_jax.model import likelihood

_DATA_SPLITTING = 0.05  # penalty of the copy of k * f, relative to the data term
_LIGHT_SPLITTING = 0.002  # likewise of the copy of f that is not negative
_PLAUSIBLE = 5.0  # residuals that are plausible, in roots of the prior's weight
_BELIEVED = 3  # alternations in which every pixel is: there is no prediction yet to judge them by
_EXPONENT = 0.8  # of the gradient's hyper-Laplacian prior


def hyper_laplacian(
    photo: jax.Array,
    kernel: jax.Array,
    weight: jax.Array | float,
    *,
    iterations: int = 40,
    size: jax.Array | None = None,
) -> jax.Array:
    """argmin_f |k * f - g|^2 / 2 + weight sum |grad f|^0.8 over the pixels of the photo.

    Half-quadratic splitting of the gradients, and of k * f, which is free outside the photo: the
    border is neither wrapped nor padded (Almeida and Figueiredo, 2013).

    Args:
      photo: g, [H, W] in [0, 1].
      kernel: [k, k], sum one.
      weight: prior weight, in squared image units, see `prior_weight`.
      iterations: alternations.
      size: [2] rows and columns of the photo where what follows them is padding; None is all.

    Returns:
      f, [H+k-1, W+k-1], not clipped.

    Source: Krishnan and Fergus: Fast image deconvolution using hyper-Laplacian priors, NIPS 2009.
    """
    (rows, cols), k = photo.shape, kernel.shape[0]
    shape = spectral.canvas_shape(photo.shape, k)
    known = spectral.inside(photo.shape if size is None else size, shape) > 0
    canvas = spectral.extend(photo, shape, size)
    transfer = spectral.transfer_function(kernel, shape)
    gradient = spectral.difference_transfer(shape)
    power = _DATA_SPLITTING * jnp.abs(transfer) ** 2, jnp.sum(jnp.abs(gradient) ** 2, 0)

    def alternate(carry, t):
        edges, blurred, multiplier, _ = carry
        penalty = 8 * weight * jnp.minimum(1.25**t, 256.0)
        data = jnp.conj(transfer) * jnp.fft.rfft2(blurred - multiplier)
        prior = jnp.sum(jnp.conj(gradient) * jnp.fft.rfft2(edges), 0)
        spectrum = _DATA_SPLITTING * data + penalty * prior
        spectrum = spectrum / (power[0] + penalty * power[1] + 1e-8)
        latent = jnp.fft.irfft2(spectrum, s=shape)
        predicted = jnp.fft.irfft2(spectrum * transfer, s=shape)
        free = predicted + multiplier
        blurred = jnp.where(known, (canvas + _DATA_SPLITTING * free) / (1 + _DATA_SPLITTING), free)
        edges = _shrink(spectral.differences(latent), weight / penalty)
        return (edges, blurred, free - blurred, latent), None

    start = (spectral.differences(canvas), canvas, jnp.zeros(shape), canvas)
    *_, latent = lax.scan(alternate, start, jnp.arange(float(iterations)))[0]
    half = k // 2
    return jnp.roll(latent, (half, half), (0, 1))[: rows + k - 1, : cols + k - 1]


def robust_hyper_laplacian(
    photo: jax.Array,
    kernel: jax.Array,
    weight: jax.Array | float,
    trust: jax.Array,
    *,
    iterations: int = 40,
    size: jax.Array | None = None,
) -> jax.Array:
    """`hyper_laplacian` for photos with pixels that no kernel explains.

    Three things are added, each of which a photo without such pixels hardly notices:

    - a pixel counts as far as its residual is `plausible` (hot pixels, date stamps);
    - a saturated pixel bounds the light from below, it may have been more (lamps);
    - f is not negative, as light is not: no dark waves make up for bright ones.

    Args:
      photo: g, [H, W] in [0, 1].
      kernel: [k, k], sum one.
      weight: prior weight, in squared image units, see `prior_weight`.
      trust: [H, W] in [0, 1], how far each pixel is known.
      iterations: alternations.
      size: [2] rows and columns of the photo where what follows them is padding; None is all.

    Returns:
      f, [H+k-1, W+k-1], not clipped.

    Source of the bound: Whyte, Sivic, Zisserman: Deblurring shaken and partially saturated images,
    IJCV 2014; here as a constraint on k * f.
    """
    (rows, cols), k = photo.shape, kernel.shape[0]
    shape = spectral.canvas_shape(photo.shape, k)
    canvas = spectral.extend(photo, shape, size)
    counted = spectral.inside(photo.shape if size is None else size, shape)
    counted = counted * jnp.pad(
        trust, [(0, n - m) for n, m in zip(shape, trust.shape, strict=True)]
    )
    saturated = canvas >= likelihood.CLIPPED
    transfer = spectral.transfer_function(kernel, shape)
    gradient = spectral.difference_transfer(shape)
    power = _DATA_SPLITTING * jnp.abs(transfer) ** 2, jnp.sum(jnp.abs(gradient) ** 2, 0)
    scale = _PLAUSIBLE * jnp.sqrt(jnp.asarray(weight, photo.dtype))

    def alternate(carry, t):
        edges, blurred, blurred_off, light, light_off, _ = carry
        penalty = 8 * weight * jnp.minimum(1.25**t, 256.0)
        data = jnp.conj(transfer) * jnp.fft.rfft2(blurred - blurred_off)
        prior = jnp.sum(jnp.conj(gradient) * jnp.fft.rfft2(edges), 0)
        spectrum = _DATA_SPLITTING * data + penalty * prior
        spectrum = spectrum + _LIGHT_SPLITTING * jnp.fft.rfft2(light - light_off)
        spectrum = spectrum / (power[0] + penalty * power[1] + _LIGHT_SPLITTING)
        latent = jnp.fft.irfft2(spectrum, s=shape)
        predicted = jnp.fft.irfft2(spectrum * transfer, s=shape)
        free = predicted + blurred_off
        believed = jnp.where(t < _BELIEVED, 1, likelihood.plausible(canvas - predicted, scale))
        explained = saturated & (free > canvas)
        w = jnp.where(explained, 0, counted * believed)
        blurred = (w * canvas + _DATA_SPLITTING * free) / (w + _DATA_SPLITTING)
        edges = _shrink(spectral.differences(latent), weight / penalty)
        light = jnp.maximum(latent + light_off, 0)
        return (edges, blurred, free - blurred, light, latent + light_off - light, latent), None

    zero = jnp.zeros(shape, photo.dtype)
    start = (spectral.differences(canvas), canvas, zero, canvas, zero, canvas)
    *_, latent = lax.scan(alternate, start, jnp.arange(float(iterations)))[0]
    half = k // 2
    return jnp.roll(latent, (half, half), (0, 1))[: rows + k - 1, : cols + k - 1]


def prior_weight(
    noise_std: jax.Array | float, smoothness: float, model_std: float
) -> jax.Array | float:
    """The weight smoothness (noise_std^2 + model_std^2) of `hyper_laplacian`, image units squared.

    The photo is to be explained up to its noise and to what the kernel is wrong by. On simulated
    photos of noise 0.003 to 0.03 the best weight is 1.1 to 3.3 times the noise's variance.
    """
    return smoothness * (noise_std**2 + model_std**2)


def _shrink(edges: jax.Array, threshold: jax.Array | float) -> jax.Array:
    """argmin_u threshold |u|^0.8 + (u - edge)^2 / 2, by a fixed point from |edge| down."""
    size = jnp.abs(edges)
    u = size
    for _ in range(4):
        slope = threshold * _EXPONENT * jnp.maximum(u, 1e-4) ** (_EXPONENT - 1)
        u = jnp.maximum(size - slope, 0)
    cost = threshold * jnp.maximum(u, 1e-12) ** _EXPONENT + (u - size) ** 2 / 2
    return jnp.where(cost < size**2 / 2, jnp.sign(edges) * u, 0)
