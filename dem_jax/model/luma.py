"""The luma of a photo: the plane in which kernels are looked for."""

import jax
import jax.numpy as jnp

LUMA = (0.299, 0.587, 0.114)  # Rec. 601


def luma(photo: jax.Array) -> jax.Array:
    """[H, W] brightness of a photo [H, W, C], C = 1 or 3.

    >>> luma(jnp.full((4, 5, 3), 0.5)).shape
    (4, 5)
    """
    return photo[..., 0] if photo.shape[-1] == 1 else photo @ jnp.asarray(LUMA, photo.dtype)
