"""Which parts of a photo tell about its blur: long edges do, structures narrower than it mislead.

Source: Xu and Jia: Two-phase kernel estimation for robust motion deblurring, ECCV 2010.
"""

import jax
import jax.numpy as jnp
from jax import lax

_FLAT = 0.5  # image units: where the gradients of a window sum up to less, there is nothing to see
_ENOUGH = 0.25  # of the useful places: fewer do not tell the kernel


def usefulness(edges: jax.Array, window: int) -> jax.Array:
    """The ratio |sum grad g| / (sum |grad g| + 0.5) over windows of the kernel's size, below 1.

    Near one at a long edge, near zero where the gradients of fine structures cancel each other.

    Args:
      edges: [2, H, W] differences of a photo whose values have range one.
      window: pixels, odd.

    Returns:
      [H, W].
    """
    sums = jnp.sqrt(_sums(edges[0], window) ** 2 + _sums(edges[1], window) ** 2)
    return sums / (_sums(jnp.sqrt(jnp.sum(edges**2, 0)), window) + _FLAT)


def _sums(plane: jax.Array, width: int) -> jax.Array:
    """[H, W] sums over squares of `width` pixels, odd, around each pixel."""
    plane = lax.reduce_window(plane, 0.0, lax.add, (width, 1), (1, 1), "SAME")
    return lax.reduce_window(plane, 0.0, lax.add, (1, width), (1, 1), "SAME")


def strongest(edges: jax.Array, where: jax.Array, fraction: jax.Array | float) -> jax.Array:
    """Keeps the strongest gradients, sets the others to zero.

    Args:
      edges: [2, H, W] differences.
      where: [H, W], 1 where a gradient may be kept, 0 elsewhere.
      fraction: of all pixels of the plane, to be kept.

    Returns:
      [2, H, W].
    """
    strength = where * jnp.sum(edges**2, 0)
    least = jnp.quantile(strength, 1 - fraction)
    return edges * ((strength >= least) & (strength > 0))[None]


def far_from(untrusted: jax.Array, useful: jax.Array, window: int) -> jax.Array:
    """The useful gradients that no untrusted pixel reaches, as far as enough of them are left.

    A gradient explains the photo within half a kernel around it, and near clipped pixels it cannot.
    Of the distances half a window, a quarter of it and one pixel the largest counts that leaves a
    quarter of the useful places.

    Args:
      untrusted: [H, W], 1 where a pixel is clipped.
      useful: [H, W], 1 where a gradient may be used.
      window: pixels, odd.

    Returns:
      [H, W].
    """
    kept = useful * (1 - widened(untrusted, 3))
    for width in (window // 2 | 1, window + 2):
        farther = useful * (1 - widened(untrusted, width))
        enough = jnp.sum(farther) >= _ENOUGH * jnp.sum(useful)
        kept = jnp.where(enough, farther, kept)
    return kept


def widened(mask: jax.Array, width: int) -> jax.Array:
    """[H, W] the largest value of a mask in squares of `width` pixels, odd, around each pixel."""
    mask = lax.reduce_window(mask, 0.0, lax.max, (width, 1), (1, 1), "SAME")
    return lax.reduce_window(mask, 0.0, lax.max, (1, width), (1, 1), "SAME")
