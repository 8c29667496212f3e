"""Which parts of a photo tell about its blur: long edges do, structures narrower than it mislead.

Planes of views are [H, W], of contrast one.

Source: Xu and Jia: Two-phase kernel estimation for robust motion deblurring, ECCV 2010.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from dem_jax.model import ranks
from dem_jax.solve import fourier
from dem_jax.start.views import View

_FEW_CLIPPED = 0.05  # of the pixels of a view
_FLAT = 0.5  # image units: where the gradients of a window sum up to less, there is nothing to see
_ENOUGH = 0.25  # of the useful places: fewer do not tell the kernel


class Voters(NamedTuple):
    """What of a view may enter the fit of a kernel, on a canvas that holds the latent image."""

    canvas: jax.Array  # [h, w] the view's plane, extended
    edges: jax.Array  # [2, h, w] its differences where they are known, 0 elsewhere
    useful: jax.Array  # [h, w], 1 where a gradient may be used
    share: jax.Array | float  # of the view: what is no padding


def voters(view: View, window: int, *, useless: jax.Array | float | None = None) -> Voters:
    """The gradients of a view that may vote on a kernel.

    Args:
      view: [H, W].
      window: pixels of the kernel, odd.
      useless: part of the view, the least useful, whose gradients may not; None: all may.
    """
    shape = fourier.canvas_shape(view.plane.shape, window)
    size = jnp.asarray(view.plane.shape if view.size is None else view.size)
    known = fourier.inside(size - 1, shape)
    canvas = fourier.extend(view.plane, shape, view.size)
    found, share = fourier.differences(canvas) * known[None], _share(view)
    if useless is not None:
        known = known * _most_useful(view, found, useless, window)
    useful, found = _trusted(view, known, found, window)
    return Voters(canvas, found, useful, share)


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
    least = ranks.quantile(strength, 1 - fraction)
    return edges * ((strength >= least) & (strength > 0))[None]


def _most_useful(
    view: View, photo_edges: jax.Array, useless: jax.Array | float, window: int
) -> jax.Array:
    """1 but in the `useless` part of the view, where edges tell least; of `photo_edges`' shape."""
    rows, cols = view.plane.shape
    worth = usefulness(photo_edges, window)
    known = fourier.inside(view.plane.shape if view.size is None else view.size, worth.shape)
    values = jnp.where(known > 0, worth, -1.0)[:rows, :cols]  # padding is the least useful
    return worth >= ranks.quantile(values, 1 - _share(view) * (1 - useless))


def _trusted(
    view: View, useful: jax.Array, photo_edges: jax.Array, window: int
) -> tuple[jax.Array, jax.Array]:
    """The useful places that have no clipped pixel near, the photo's edges that hold none.

    Only where few are clipped: those are lamps and hot pixels, whose light is unknown. Many are
    white paper or sky, whose edges tell the kernel as others do.
    """
    if view.trusted is None:
        return useful, photo_edges
    gap = [(0, n - m) for n, m in zip(useful.shape, view.plane.shape, strict=True)]
    untrusted = jnp.pad(1 - view.trusted.astype(useful.dtype), gap)
    few = jnp.sum(untrusted) < _FEW_CLIPPED * view.plane.size
    clean_edges = photo_edges * (1 - _widened(untrusted, 3))[None]
    far = _far_from(untrusted, useful, window)
    return jnp.where(few, far, useful), jnp.where(few, clean_edges, photo_edges)


def _far_from(untrusted: jax.Array, useful: jax.Array, window: int) -> jax.Array:
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
    kept = useful * (1 - _widened(untrusted, 3))
    for width in (window // 2 | 1, window + 2):
        farther = useful * (1 - _widened(untrusted, width))
        enough = jnp.sum(farther) >= _ENOUGH * jnp.sum(useful)
        kept = jnp.where(enough, farther, kept)
    return kept


def _widened(mask: jax.Array, width: int) -> jax.Array:
    """[H, W] the largest value of a mask in squares of `width` pixels, odd, around each pixel."""
    mask = lax.reduce_window(mask, 0.0, lax.max, (width, 1), (1, 1), "SAME")
    return lax.reduce_window(mask, 0.0, lax.max, (1, width), (1, 1), "SAME")


def _sums(plane: jax.Array, width: int) -> jax.Array:
    """[H, W] sums over squares of `width` pixels, odd, around each pixel."""
    plane = lax.reduce_window(plane, 0.0, lax.add, (width, 1), (1, 1), "SAME")
    return lax.reduce_window(plane, 0.0, lax.add, (1, width), (1, 1), "SAME")


def _share(view: View) -> jax.Array | float:
    """The part of a view that is no padding."""
    if view.size is None:
        return 1.0
    return jnp.prod(view.size.astype(float)) / view.plane.size
