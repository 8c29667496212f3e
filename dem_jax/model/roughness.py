"""How rough the true image is, place by place: the variance of its differences.

    a(x) = 1.25 mean of |grad f|^2 over the 5 x 5 pixels around x, and twice the photo's error

A deconvolution f shows most of the true image's roughness, and smooths away what is below the
error. Edges are rough and skies are not: a Gaussian of such variances is a scale mixture, whose
tails are as heavy as those of natural images. The detail beside T_f (`em.detail`) and the deviation
of every pixel (`em.uncertainty`) follow from it.

Source: Wainwright, Simoncelli: Scale mixtures of Gaussians and the statistics of natural images,
NIPS 2000.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

_WINDOW = 5  # pixels
# a over the roughness that an image shows, and over the error that hides it; chosen on photos.
_SHOWN, _HIDDEN = 1.25, 2.0


def expected(image: jax.Array, error: jax.Array | float) -> jax.Array:
    """The variance a [H, W, C] of differences of neighbouring pixels, in squared image units.

    Args:
      image: f, [H, W, C], which a deconvolution has made, not softened.
      error: [] variance of what the photo has beside the blurred image, in squared image units.

    >>> ramp = jnp.tile(0.1 * jnp.arange(9.0)[:, None, None], (1, 9, 1))
    >>> expected(ramp, 0.01)[4, 4].round(3)
    Array([0.033], dtype=float32)
    """
    return _SHOWN * shown(image) + _HIDDEN * error


def shown(image: jax.Array) -> jax.Array:
    """The local mean [H, W, C] of |grad f|^2 of an image f [H, W, C]."""
    rows, cols = jnp.gradient(image, axis=(0, 1))
    return local_mean(rows**2 + cols**2)


def local_mean(squares: jax.Array) -> jax.Array:
    """Mean of [H, W, C] over 5 x 5 pixels: one pixel tells little of how rough a place is.

    A window at the edge is the mean of what lies inside.
    """
    window = (_WINDOW, _WINDOW, 1)
    total = lax.reduce_window(squares, 0.0, lax.add, window, (1, 1, 1), "SAME")
    # Counted by NumPy: a window sum of ones would be folded by XLA, at 15 s of compilation.
    half = _WINDOW // 2
    places = (np.arange(n) for n in squares.shape[:2])
    rows, cols = (np.minimum(i, half) + np.minimum(i[::-1], half) + 1 for i in places)
    return total / jnp.asarray(rows[:, None, None] * cols[None, :, None], squares.dtype)
