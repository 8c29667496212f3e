"""Tools of the classical, FFT-based steps: a periodic canvas, kernels as transfer functions.

Here images are single-channel planes [H, W]. A photo lies at the canvas's origin; what surrounds it
is unknown and filled smoothly, or replaced by the model's own prediction.
"""

import jax
import jax.numpy as jnp

from dem_jax.model.blur import good_size

Shape = tuple[int, ...]  # rows and columns


def canvas_shape(photo: Shape, kernel_size: int) -> Shape:
    """A size that transforms fast and holds the latent image of a photo."""
    return good_size(photo[0] + kernel_size - 1), good_size(photo[1] + kernel_size - 1)


def transfer_function(kernel: jax.Array, shape: Shape) -> jax.Array:
    """The transform of a kernel [k, k] whose middle pixel sits at the canvas's origin."""
    rows, cols = kernel.shape
    padded = jnp.pad(kernel, ((0, shape[0] - rows), (0, shape[1] - cols)))
    return jnp.fft.rfft2(jnp.roll(padded, (-(rows // 2), -(cols // 2)), (0, 1)))


def differences(image: jax.Array) -> jax.Array:
    """[2, H, W] periodic forward differences along rows and columns."""
    return jnp.stack([jnp.roll(image, -1, axis) - image for axis in (0, 1)])


def adjoint_differences(edges: jax.Array) -> jax.Array:
    """[H, W] the adjoint of `differences`, of [2, H, W]."""
    rows, cols = (jnp.roll(edge, 1, axis) - edge for axis, edge in enumerate(edges))
    return rows + cols


def difference_power(shape: Shape) -> jax.Array:
    """[H, W/2+1] what `differences`, squared and summed, have at every frequency: 4 sin^2 each."""
    waves = jnp.fft.fftfreq(shape[0])[:, None], jnp.fft.rfftfreq(shape[1])[None]
    rows, cols = (4 * jnp.sin(jnp.pi * wave) ** 2 for wave in waves)
    return rows + cols


def extend(photo: jax.Array, shape: Shape, size: Shape | jax.Array | None = None) -> jax.Array:
    """The photo at the canvas's origin, its opposite borders joined smoothly across the rest.

    Only the first `size` rows and columns of the photo count, where it is given.
    """
    size = photo.shape if size is None else size
    for axis in (0, 1):
        place, full = jnp.arange(shape[axis]), shape[axis]
        t = jnp.clip((place - size[axis] + 1) / (full - size[axis] + 1), 0, 1)
        t = jnp.expand_dims(t * t * (3 - 2 * t), 1 - axis)
        first = jax.lax.slice_in_dim(photo, 0, 1, axis=axis)
        last = jnp.take(photo, jnp.asarray([size[axis] - 1]), axis=axis)
        gap = [(0, 0), (0, 0)]
        gap[axis] = (0, full - photo.shape[axis])
        known = jnp.expand_dims(place < size[axis], 1 - axis)
        photo = jnp.where(known, jnp.pad(photo, gap), last * (1 - t) + first * t)
    return photo


def inside(size: Shape | jax.Array, shape: Shape) -> jax.Array:
    """1 where the canvas holds the photo's `size` of rows and columns, 0 elsewhere."""
    rows, cols = (jnp.arange(n) < size[axis] for axis, n in enumerate(shape))
    return (rows[:, None] & cols[None]).astype(float)
