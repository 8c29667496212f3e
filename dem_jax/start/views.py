"""Pictures of one photo at several scales.

A view shows a photo, or a part of it, in a fixed number of pixels, so that photos of all sizes
share their compiled programs. Planes are [H, W].
"""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from dem_jax.model import arrays, likelihood
from dem_jax.model.luma import luma
from dem_jax.solve import fourier

Shape = tuple[int, ...]  # rows and columns

# Pixels, short and long side of the view in which kernels are looked for: that of 4:3 and wider
# photos, and that of photos that are nearly square.
OVERVIEW, SQUARE = (192, 256), (224, 224)
_NEARLY_SQUARE = 1.15  # long side over short side, at most
LARGEST = (768, 1024)  # pixels, short and long side of a view in which they are refined
TELLING = (384, 512)  # the same of the part by which one is improved at last, see `evidence`
_NEARLY_ALL = 0.8  # a view of that scale is not worth a step of its own
_LEAST_WINDOW = 5  # pixels, of every view
_WHOLLY = 0.99  # of a pixel of a view: what must be trusted for the pixel to be so


class View(NamedTuple):
    """A plane, and what of it may vote on a kernel."""

    plane: jax.Array  # [H, W]
    size: jax.Array | None = None  # [2] rows and columns that are no padding; None: all
    trusted: jax.Array | None = None  # [H, W], 1 where no channel is clipped; None: all
    coding_std: jax.Array | None = None  # [] error of the file's coding, beside noise; None: none


def of_photo(photo: Any) -> View:
    """The luma [H, W] of a photo, and what of it may vote: what is known and not clipped.

    Args:
      photo: [H, W, C], or `Given`; what is a view already stays as it is.

    Raises:
      ValueError: as `arrays.photo`.
    """
    if isinstance(photo, View):
        return photo
    given = arrays.as_given(photo)
    trusted = likelihood.unclipped(given.pixels)
    if given.weight is not None:
        trusted = trusted & (given.weight > 0)
    return View(luma(given.pixels), given.size, trusted, given.coding_std)


def noise_variance(view: View, *, coding: float = 1.0) -> jax.Array:
    """[] of the noise that a view's finest differences show, and `coding` times its file's coding.

    In units of the plane, squared.
    """
    seen = likelihood.estimate_noise_std(view.plane[..., None], size=view.size) ** 2
    return seen if view.coding_std is None else seen + coding * view.coding_std**2


def overview_shape(photo: Shape, closer: int = 1) -> Shape:
    """Rows and columns of a photo's `overview`; of all of it where it is small.

    They are `closer` times as many for a closer look.

    >>> overview_shape((680, 1024)), overview_shape((1024, 680)), overview_shape((255, 255))
    ((192, 256), (256, 192), (255, 255))
    >>> overview_shape((680, 1024), 2), overview_shape((300, 400), 2)
    ((384, 512), (300, 400))
    """
    if max(photo) <= closer * OVERVIEW[1]:
        return photo[0], photo[1]
    square = max(photo) <= _NEARLY_SQUARE * min(photo)
    rows, cols = SQUARE if square else OVERVIEW
    return _within(photo, (closer * rows, closer * cols))


def finer_shape(photo: Shape, scale: float, most: Shape = LARGEST) -> Shape:
    """Rows and columns of a view at `scale`: all of the photo, or as much as `most` holds.

    >>> finer_shape((680, 1024), 1.0), finer_shape((3000, 4000), 0.5)
    ((680, 1024), (768, 1024))
    """
    return _within(tuple(round(n * scale) for n in photo), most)


def overview_scale(photo: Shape, closer: int = 1) -> float:
    """Pixels of the overview per pixel of a photo [H, W], at most 1.

    >>> overview_scale((384, 512)), overview_scale((255, 255))
    (0.5, 1.0)
    """
    shape = overview_shape(photo, closer)
    return max(shape[0] / photo[0], shape[1] / photo[1])


def finer_scale(scale: float) -> float:
    """That of the next finer view: twice as fine, or the photo's own pixels where these are near.

    >>> finer_scale(0.25), finer_scale(0.3), finer_scale(0.41)
    (0.5, 0.6, 1.0)
    """
    return 2 * scale if 2 * scale < _NEARLY_ALL else 1.0


def window(kernel_size: int, scale: float) -> int:
    """Pixels of a view at `scale` that hold a kernel of `kernel_size`, odd.

    >>> window(31, 1.0), window(31, 0.5), window(31, 0.05)
    (31, 17, 5)
    """
    return max(2 * math.ceil((kernel_size * scale - 1) / 2) + 1, _LEAST_WINDOW)


def view(whole: View, shape: Shape, scale: float, corner: jax.Array | None = None) -> View:
    """A part of a plane in `shape` [h, w] pixels, `scale` of them to each of the plane's.

    Args:
      whole: [H, W].
      shape: h, w.
      scale: at most 1.
      corner: [2] row and column of the part's first pixel, in pixels of the view; None: the part
        is the middle.
    """
    full = jnp.asarray(whole.plane.shape, whole.plane.dtype) * scale
    most = full - jnp.asarray(shape)
    corner = most / 2 if corner is None else jnp.clip(corner, 0, jnp.maximum(most, 0))
    if scale == 1:
        corner = jnp.floor(corner)

    def cut(plane: jax.Array) -> jax.Array:
        if scale == 1:
            row, col = corner.astype(int)
            return lax.dynamic_slice(plane, (row, col), shape)
        return _zoom(plane, shape, scale, -corner)

    size, trusted = whole.size, whole.trusted
    if size is not None:
        size = jnp.clip(jnp.floor(size * scale - corner), 1, jnp.asarray(shape)).astype(int)
    if trusted is not None:
        trusted = cut(trusted) > _WHOLLY
    return View(cut(whole.plane), size, trusted, whole.coding_std)


def smaller(whole: View, shape: Shape) -> View:
    """All of a plane in `shape` [h, w] pixels."""
    size, trusted = whole.size, whole.trusted
    if size is not None:
        size = size * jnp.asarray(shape) // jnp.asarray(whole.plane.shape)
    if trusted is not None:
        trusted = jax.image.resize(trusted.astype(float), shape, "linear") > _WHOLLY
    plane = jax.image.resize(whole.plane, shape, "linear")
    return View(plane, size, trusted, whole.coding_std)


def stretched(photo: View) -> View:
    """A photo of contrast one: exposure does not matter to what follows. Padding does not count."""
    plane, size = photo.plane, photo.size
    known = fourier.inside(plane.shape if size is None else size, plane.shape) > 0
    values = jnp.where(known, plane, jnp.nan)[::2, ::2]
    low, high = jnp.nanquantile(values, jnp.asarray([0.005, 0.995]))
    contrast = jnp.maximum(high - low, 1e-6)
    error = None if photo.coding_std is None else photo.coding_std / contrast
    return photo._replace(plane=(plane - low) / contrast, coding_std=error)


def richest_corner(worth: jax.Array, shape: Shape) -> jax.Array:
    """[2] first row and column of the part of `shape` [h, w] in which `worth` [H, W] sums up most.

    >>> richest_corner(jnp.eye(5).at[3, 1].set(9.0), (2, 2)).tolist()
    [2, 1]
    """
    sums = jnp.pad(jnp.cumsum(jnp.cumsum(worth, 0), 1), ((1, 0), (1, 0)))
    rows, cols = shape
    parts = sums[rows:, cols:] - sums[:-rows, cols:] - sums[rows:, :-cols] + sums[:-rows, :-cols]
    return jnp.stack(jnp.unravel_index(jnp.argmax(parts), parts.shape))


def _within(shape: Shape, most: Shape) -> Shape:
    """`shape`, cut to `most`: its short and long side."""
    most = most[::-1] if shape[0] > shape[1] else most
    return min(shape[0], most[0]), min(shape[1], most[1])


def _zoom(plane: jax.Array, shape: Shape, scale: float, translation: jax.Array) -> jax.Array:
    factor = jnp.full(2, scale, plane.dtype)
    plane = plane.astype(factor.dtype)
    return jax.image.scale_and_translate(plane, shape, (0, 1), factor, translation, "linear")
