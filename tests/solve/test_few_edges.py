"""The image of few edges, from a picture that has few."""

import jax.numpy as jnp
import numpy as np
from blurred import cyclic_blur, random_kernel

from dem_jax.solve.few_edges import l0_latent


def test_the_image_of_few_edges_is_the_noisy_picture_without_its_noise():
    """Two flat halves; blurred, so that edges are sharpened as well as noise removed."""
    sharp = np.full((48, 56), 0.2)
    sharp[:, 14:42] = 0.7
    kernel = random_kernel(5)
    noise = 0.01 * np.random.default_rng(0).normal(size=sharp.shape)
    photo = jnp.asarray(cyclic_blur(sharp, kernel) + noise, jnp.float32)
    latent = l0_latent(photo, jnp.float32(kernel), jnp.float32(2e-3), 24)
    errors = [np.sqrt(np.mean((x - sharp) ** 2)) for x in (photo, latent)]
    assert errors[1] < 0.005 < 0.04 < errors[0]
