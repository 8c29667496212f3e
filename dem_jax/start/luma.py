"""The plane in which kernels are looked for: the luma of a photo."""

import jax
import jax.numpy as jnp

from dem_jax.model import likelihood
from dem_jax.start.views import View
from dem_jax.types import Given

LUMA = (0.299, 0.587, 0.114)  # Rec. 601


def luma(photo: jax.Array) -> jax.Array:
    """[H, W] brightness of a photo [H, W, C], C = 1 or 3."""
    return photo[..., 0] if photo.shape[-1] == 1 else photo @ jnp.asarray(LUMA, photo.dtype)


def view(photo: Given) -> View:
    """The luma [H, W] of a photo, and what of it may vote: what is known and not clipped."""
    trusted = likelihood.unclipped(photo.pixels)
    if photo.weight is not None:
        trusted = trusted & (photo.weight > 0)
    return View(luma(photo.pixels), photo.size, trusted)
