"""How thick kernels are, and what is blurred again by it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from dem_jax.evaluation import camera_shake
from dem_jax.model import softness

SIZE = 31


def gaussian(std):
    point = np.zeros((SIZE, SIZE), np.float32)
    point[SIZE // 2, SIZE // 2] = 1
    return ndimage.gaussian_filter(point, std, mode="constant")


def line():
    """One pixel thick, along the rows."""
    kernel = np.zeros((SIZE, SIZE), np.float32)
    kernel[SIZE // 2, 5:24] = 1 / 19
    return kernel


@pytest.mark.parametrize("std", [0.8, 1.0])  # below, pixels fold the Gaussian's spectrum
def test_a_gaussian_is_as_thick_as_its_deviation_and_so_is_its_line(std):
    kernels = np.stack([gaussian(std), ndimage.gaussian_filter(line(), std, mode="constant")])
    np.testing.assert_allclose(softness.thickness(kernels), std, atol=0.05)


def test_a_line_has_no_thickness_wherever_it_lies():
    kernels = np.stack([line(), line().T, np.roll(line(), 4, axis=0)])
    np.testing.assert_allclose(softness.thickness(kernels), 0, atol=2e-3)


def test_the_paths_of_shakes_are_not_soft_and_thicker_ones_are():
    keys = jax.random.split(jax.random.key(0), 8)
    paths = np.stack([camera_shake.random_kernel(key, SIZE) for key in keys])
    assert softness.of_camera(paths, 1.0) < 0.35
    thick = [ndimage.gaussian_filter(path, 0.8, mode="constant") for path in paths]
    added = softness.of_camera(jnp.asarray(np.stack(thick)), 2 / 3)
    np.testing.assert_allclose(added**2, 2 / 3 * 0.8**2, atol=0.1)


def test_thinner_kernels_of_em_leave_less_to_soften():
    thick = jnp.asarray(ndimage.gaussian_filter(line(), 0.9, mode="constant"))[None]
    start, thin = softness.of_camera(thick, 0.5), line()[None]
    np.testing.assert_allclose(softness.after_em(thick, thick, 0.5), start, atol=1e-6)
    np.testing.assert_allclose(softness.after_em(thick, thin, 0.5), start / 2**0.5, atol=2e-3)
    image = jnp.eye(9)[..., None]
    known = softness.after_em(thick, thick, 0.0)
    np.testing.assert_array_equal(softness.softened(image, known), image)


def test_the_gradient_is_finite_where_nothing_is_soft():
    point = jnp.asarray(gaussian(1e-3))[None]
    assert np.all(np.isfinite(jax.grad(lambda k: softness.of_camera(k, 1.0))(point)))


@pytest.mark.parametrize("std", [0.3, 0.6, 1.0])
def test_softened_is_a_gaussian(std):
    image = np.random.default_rng(0).uniform(size=(20, 27, 3)).astype(np.float32)
    expected = ndimage.gaussian_filter(image, (std, std, 0), mode="nearest", radius=3)
    np.testing.assert_allclose(softness.softened(jnp.asarray(image), std), expected, atol=1e-6)


def test_softened_by_nothing_is_the_image_and_has_a_gradient():
    image = jnp.asarray(np.random.default_rng(0).uniform(size=(9, 8, 1)))
    np.testing.assert_array_equal(softness.softened(image, 0.0), image)
    slope = jax.grad(lambda s: jnp.sum(softness.softened(image, s) ** 2))
    assert np.isfinite(slope(0.0))
    assert slope(0.45) < 0
