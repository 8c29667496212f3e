"""Pixels that a photo's kernel does not explain: hot ones, lamps, and what lies on the photo.

A date stamp or a line around the picture was not blurred with the scene. As data it makes waves of
the kernel's width; so it is left out of the image, and laid on the result as it is.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from dem_jax.model import likelihood

# What lies on a photo: the residual's steps, in what is plausible, and of the pixels around, so
# many along a side, the share that has such steps.
_STEP, _SHARE, _AROUND = 5.0, 0.15, 9


def explained(residual: jax.Array, clipped: jax.Array) -> tuple[jax.Array, jax.Array]:
    """How far pixels are believed, and where something lies on the photo and stays.

    Args:
      residual: g - A(K) f, [H, W, C], in what is plausible.
      clipped: [H, W] bool, where the photo is saturated.

    Returns:
      [H, W] in [0, 1]: 1 for all but odd pixels, and [H, W] bool, where the first is 0.

    >>> stamp = jnp.zeros((32, 40, 3)).at[4:9, 4:20:3].set(10.0)
    >>> hot = jnp.zeros((32, 40, 3)).at[20, 30].set(10.0)
    >>> believed, overlay = explained(stamp + hot, jnp.zeros((32, 40), bool))
    >>> bool(jnp.all(overlay == (stamp[..., 0] > 0))), bool(believed[20, 30] < 1e-3)
    (True, True)
    """
    believed = likelihood.plausible(jnp.max(jnp.abs(residual), axis=-1), 1.0)
    odd = believed < 0.5
    overlay = odd & _overlaid(odd & (_step(residual) > _STEP), clipped)
    return jnp.where(overlay, 0, jnp.where(odd, believed, 1)), overlay


def _step(residual: jax.Array) -> jax.Array:
    """[H, W] the largest difference of a residual [H, W, C] to its four neighbours."""
    around = jnp.pad(residual, ((1, 1), (1, 1), (0, 0)), mode="edge")
    rows = (around[:-2, 1:-1], around[2:, 1:-1])
    cols = (around[1:-1, :-2], around[1:-1, 2:])
    return jnp.max(jnp.abs(jnp.stack([*rows, *cols]) - residual[None]), axis=(0, -1))


def _overlaid(sharp: jax.Array, clipped: jax.Array) -> jax.Array:
    """[H, W] bool, in what surroundings `sharp` residuals are dense.

    They are sharp where something was not blurred: what a wrong kernel leaves over is as blurred as
    the photo. Hot pixels are sharp, but not dense. Saturated pixels count against it: what is odd
    beside them belongs to lamps, which are brighter than the photo shows.
    """
    votes = sharp.astype("float32") * jnp.where(clipped, -1, 1)
    count = lax.reduce_window(votes, np.float32(0), lax.add, (_AROUND, _AROUND), (1, 1), "SAME")
    most = lax.reduce_window(count, np.float32(0), lax.max, (_AROUND, _AROUND), (1, 1), "SAME")
    return most > _SHARE * _AROUND**2
