"""How sparse the edges of an image are: a measure of blur that does not favour blurred images.

Source: Krishnan, Tay, Fergus: Blind deconvolution using a normalized sparsity measure, CVPR 2011.
"""

import jax
import jax.numpy as jnp

from dem_jax.solve import fourier


def normalized_sparsity(latent: jax.Array, *, size: jax.Array | None = None) -> jax.Array:
    """How far a plane [H, W] is from a sharp photo; a number near one half.

    The L1 norm of the gradient over its L2 norm and the root of its size: small where few edges
    hold the contrast. Unlike a sparse prior's energy it does not favour the blurred photo itself.
    Only the first `size` [2] rows and columns count, where it is given.
    """
    mask = fourier.inside(latent.shape if size is None else size, latent.shape)
    rows = (latent[1:] - latent[:-1]) * mask[1:]
    cols = (latent[:, 1:] - latent[:, :-1]) * mask[:, 1:]
    count = jnp.sum(mask[1:]) + jnp.sum(mask[:, 1:])
    l1 = jnp.sum(jnp.abs(rows)) + jnp.sum(jnp.abs(cols))
    l2 = jnp.sqrt(jnp.sum(rows**2) + jnp.sum(cols**2) + 1e-12)
    return l1 / l2 / jnp.sqrt(count)
