"""Image and kernel in turn, on one view."""

import jax
import jax.numpy as jnp
import numpy as np

from dem_jax.start import one_kernel
from dem_jax.start.views import View


def test_hot_pixels_do_not_change_the_kernel():
    """As they do where they vote: the kernels are then alike by 0.85 only."""
    rng = np.random.default_rng(0)
    sharp = np.kron(rng.uniform(0.2, 0.7, (16, 16)), np.ones((8, 8))).astype(np.float32)
    photo = sum(np.roll(sharp, shift, 1) for shift in range(-3, 4)) / 7
    places = tuple(rng.integers(0, 128, (2, 12)))
    hot = photo.copy()
    hot[places] = 1.0
    seen = View(jnp.asarray(hot), None, jnp.asarray(hot < 0.99))
    kernel = jnp.zeros((15, 15)).at[7, 6:9].set(1 / 3)
    run = jax.jit(lambda view: one_kernel.alternate(view, kernel, one_kernel.MANY_EDGES)[0])
    found, plain = run(seen), run(View(jnp.asarray(photo), None, jnp.ones((128, 128), bool)))
    alike = jnp.sum(found * plain) / jnp.sqrt(jnp.sum(found**2) * jnp.sum(plain**2))
    assert alike > 0.9
