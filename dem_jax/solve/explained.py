"""Where kernels explain a photo; elsewhere no picture that they give is better than the photo.

A car that drives through the scene has a blur of its own, and the camera's kernels make rings of
it. A kernel leaves sparser what it explains; rings are less sparse than the photo. So both are
compared by `normalized_sparsity` in windows around every pixel,

    s(f) = (G * |grad f|) / sqrt((G * 2) (G * |grad f|^2))

with G a Gaussian as wide as the kernels. Saturated pixels do not vote, nor do those that lamps
outshine: a lamp's blur has edges as sharp as the lamp. Where a window holds little, the whole photo
tells. Planes are [H, W].
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from dem_jax.solve import fourier
from dem_jax.solve.deconvolution import error_of_bright_light, error_variance
from dem_jax.solve.kernels import entropy
from dem_jax.solve.sparsity import ENTROPY_WEIGHT

_REACH = 2  # of the windows, in their standard deviations
_FROM_ALL = 0.1  # of all windows' mean, what is added to each
_DARK = 1e-12  # squared image units, of gradients where there are none


def where_explained(
    photo: jax.Array, image: jax.Array, kernels: jax.Array, known: jax.Array
) -> jax.Array:
    """[H, W] in [0, 1] how far kernels explain a photo, by what they make of it.

        min(max((s(g) - s(f)) / (0.005 H), 0), 1)

    H being the kernels' `entropy` in nats: wholly where the photo becomes sparser by as much as a
    kernel must gain to be chosen, not at all where it becomes no sparser.

    Args:
      photo: g, [H, W, C] in [0, 1].
      image: f, [H, W, C], neither clipped nor softened.
      kernels: [P, k, k] of sum one.
      known: [H, W] bool, where a pixel votes: it is neither padding nor saturated.
    """
    least = ENTROPY_WEIGHT * entropy(kernels)
    votes = known & (_lit(image, kernels) < error_variance(0.0, len(kernels)))
    sums = _window_sums(known.shape, kernels.shape[-1])
    before, after = (
        _local_sparsity(jnp.mean(jnp.clip(f, 0, 1), axis=-1), votes, sums) for f in (photo, image)
    )
    return jnp.clip((before - after) / jnp.maximum(least, _DARK), 0, 1)


def _lit(image: jax.Array, kernels: jax.Array) -> jax.Array:
    """[H, W] what lamps add to the variance of pixels, by the mean of the kernels."""
    (rows, cols), k = image.shape[:2], kernels.shape[-1]
    canvas = fourier.canvas_shape((rows, cols), k)
    reach = fourier.transfer_function(jnp.mean(kernels**2, axis=0), canvas)

    def reached(light: jax.Array) -> jax.Array:
        found = jnp.fft.irfft2(jnp.fft.rfft2(light, s=canvas) * reach, s=canvas)
        return found[:rows, :cols]

    return error_of_bright_light(jnp.moveaxis(image, -1, 0), reached, 1.0)


def _local_sparsity(
    plane: jax.Array, votes: jax.Array, sums: Callable[[jax.Array], jax.Array]
) -> jax.Array:
    """s(f) [H, W] of a plane, by the differences between pixels that vote."""
    inner = (votes[1:, 1:] & votes[:-1, 1:] & votes[1:, :-1]).astype(plane.dtype)
    rows = (plane[1:, 1:] - plane[:-1, 1:]) * inner
    cols = (plane[1:, 1:] - plane[1:, :-1]) * inner
    l1, power, count = (sums(x) for x in (jnp.abs(rows) + jnp.abs(cols), rows**2 + cols**2, inner))
    return l1 / jnp.sqrt(jnp.maximum(2 * count * power, _DARK))


def _window_sums(shape: fourier.Shape, width: int) -> Callable[[jax.Array], jax.Array]:
    """G *: sums of a plane [H-1, W-1] in windows around every pixel [H, W]."""
    places = jnp.arange(-_REACH * width, _REACH * width + 1) / width
    line = jnp.exp(-(places**2) / 2)
    canvas = fourier.canvas_shape(shape, len(places))
    transfer = fourier.transfer_function(line[:, None] * line[None], canvas)

    def sums(plane: jax.Array) -> jax.Array:
        found = jnp.fft.irfft2(jnp.fft.rfft2(plane, s=canvas) * transfer, s=canvas)
        found = jnp.maximum(found, 0)[: shape[0], : shape[1]]
        return found + _FROM_ALL * jnp.mean(found)

    return sums
