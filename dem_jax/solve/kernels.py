"""One kernel [k, k] of sum one: brought to that sum, and to other pixels."""

import jax
import jax.numpy as jnp


def normalised(kernel: jax.Array) -> jax.Array:
    """A kernel of sum one; where nothing is left, the kernel that does not blur."""
    size = kernel.shape[0]
    point = jnp.zeros_like(kernel).at[size // 2, size // 2].set(1.0)
    total = jnp.sum(kernel)
    return jnp.where(total > 1e-8, kernel / jnp.maximum(total, 1e-8), point)


def zoom_kernel(kernel: jax.Array, size: int, scale: float) -> jax.Array:
    """A kernel [k, k] made larger or smaller by `scale`, on `size` x `size` pixels, of sum one."""
    middle = jnp.full(2, (size - scale * kernel.shape[0]) / 2, kernel.dtype)
    factor = jnp.full(2, scale, kernel.dtype)
    found = jax.image.scale_and_translate(kernel, (size, size), (0, 1), factor, middle, "cubic")
    return normalised(jnp.maximum(found, 0))
