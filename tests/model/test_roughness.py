"""The roughness that an image lets expect."""

import jax.numpy as jnp
import numpy as np

from dem_jax.model import roughness


def test_it_is_that_of_a_ramp_and_of_the_error():
    ramp = jnp.tile(0.1 * jnp.arange(20.0)[:, None, None], (1, 18, 2))
    np.testing.assert_allclose(roughness.expected(ramp, 1e-3), 1.25 * 0.1**2 + 2e-3, rtol=1e-4)


def test_an_edge_is_rough_and_a_flat_place_as_smooth_as_the_error_lets_tell():
    image = jnp.zeros((20, 40, 1)).at[:, 20:].set(0.5)
    found = roughness.expected(image, 1e-4)[10, :, 0]
    np.testing.assert_allclose(found[:17], 2e-4, rtol=1e-4)
    assert found[20] > 100 * found[5]


def test_it_grows_with_the_square_of_contrast_and_has_no_favourite_direction():
    image = jnp.asarray(np.random.default_rng(0).uniform(size=(16, 20, 3)), jnp.float32)
    found = roughness.expected(image, 0.0)
    np.testing.assert_allclose(roughness.expected(3 * image, 0.0), 9 * found, rtol=1e-4)
    turned = roughness.expected(jnp.rot90(image), 0.0)
    np.testing.assert_allclose(turned, jnp.rot90(found), rtol=1e-4)


def test_a_local_mean_at_the_edge_is_of_what_lies_inside():
    values = np.random.default_rng(0).uniform(size=(9, 12, 1)).astype(np.float32)
    found = roughness.local_mean(jnp.asarray(values))
    np.testing.assert_allclose(found[0, 0, 0], values[:3, :3].mean(), rtol=1e-5)
    np.testing.assert_allclose(found[4, 6, 0], values[2:7, 4:9].mean(), rtol=1e-5)
