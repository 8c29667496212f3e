"""A small photo of a known shake, and a configuration that deblurs it in seconds."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import tiny

from dem_jax.evaluation import camera_shake
from dem_jax.model import blur

SIZE, SHAPE = tiny.CONFIG.kernel_size, (56, 60)
CONFIG = dataclasses.replace(
    tiny.CONFIG,
    burn_in=60,
    thinning=5,
    m_steps=10,
    detail_iterations=15,
    image_network=dataclasses.replace(tiny.CONFIG.image_network, channels=8),
)
change = functools.partial(dataclasses.replace, CONFIG)


def make_case():
    """Sharp picture [56, 60, 3], kernel [5, 5], and the photo of it."""
    from skimage import data

    sharp = data.astronaut()[40 : 44 + SHAPE[0], 190 : 194 + SHAPE[1]].astype(np.float32) / 255
    sharp = 0.9 * jnp.asarray(sharp)
    kernel = camera_shake.random_kernel(jax.random.key(3), SIZE, extent=4)
    photo = blur.uniform(kernel, sharp)
    photo = jnp.clip(camera_shake.gaussian_noise(jax.random.key(4), photo, 0.005), 0, 1)
    return sharp[2:-2, 2:-2], kernel, photo
