"""Pictures of one photo at several scales, and kernels that go from one scale to the next.

A view shows a photo, or the middle of it, in a fixed number of pixels, so that photos of all sizes
share their compiled programs. Planes are [H, W], kernels [k, k] of sum one.
"""

import jax
import jax.numpy as jnp

Shape = tuple[int, ...]  # rows and columns

OVERVIEW = (192, 256)  # pixels, short and long side of the view in which kernels are looked for


def overview_shape(photo: Shape) -> Shape:
    """Rows and columns of a photo's `overview`: `OVERVIEW`, lying or standing as the photo does.

    >>> overview_shape((680, 1024)), overview_shape((1024, 680)), overview_shape((255, 255))
    ((192, 256), (256, 192), (192, 255))
    """
    upright = photo[0] > photo[1]
    shape = OVERVIEW[::-1] if upright else OVERVIEW
    return min(shape[0], photo[0]), min(shape[1], photo[1])


def overview_scale(photo: Shape) -> float:
    """Pixels of the overview per pixel of a photo [H, W], at most 1.

    >>> overview_scale((384, 512)), overview_scale((255, 255))
    (0.5, 1.0)
    """
    shape = overview_shape(photo)
    return max(shape[0] / photo[0], shape[1] / photo[1])


def view(plane: jax.Array, shape: Shape, scale: float) -> jax.Array:
    """The middle of a plane [H, W] as `shape` [h, w] pixels of 1 / `scale` plane pixels each."""
    if scale == 1:
        rows, cols = ((have - want) // 2 for have, want in zip(plane.shape, shape, strict=True))
        return plane[rows : rows + shape[0], cols : cols + shape[1]]
    return _zoom(plane, shape, scale, "linear")


def zoom_kernel(kernel: jax.Array, size: int, scale: float) -> jax.Array:
    """A kernel [k, k] made larger or smaller by `scale`, on `size` x `size` pixels, of sum one."""
    return normalised(jnp.maximum(_zoom(kernel, (size, size), scale, "cubic"), 0))


def normalised(kernel: jax.Array) -> jax.Array:
    """A kernel of sum one; where nothing is left, the kernel that does not blur."""
    size = kernel.shape[0]
    point = jnp.zeros_like(kernel).at[size // 2, size // 2].set(1.0)
    total = jnp.sum(kernel)
    return jnp.where(total > 1e-8, kernel / jnp.maximum(total, 1e-8), point)


def _zoom(plane: jax.Array, shape: Shape, scale: float, method: str) -> jax.Array:
    factor = jnp.full(2, scale, plane.dtype)
    middle = jnp.asarray(plane.shape, plane.dtype) / 2
    translation = jnp.asarray(shape, plane.dtype) / 2 - factor * middle
    return jax.image.scale_and_translate(plane, shape, (0, 1), factor, translation, method)
