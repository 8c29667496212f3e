"""The deviation is a Gaussian model's: that of images drawn from the model."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dem_jax.em import uncertainty
from dem_jax.evaluation import camera_shake
from dem_jax.model import blur
from dem_jax.solve.deconvolution import deconvolve, error_variance, prior_weight

ERROR, SIDE = 0.01, 96  # of the photo, image units; pixels


def ramp(slope):
    """An image whose local mean of |grad f|^2 is slope^2 everywhere."""
    return jnp.tile(slope * jnp.arange(SIDE, dtype=jnp.float32)[:, None, None], (1, SIDE, 1))


def wiener_error(kernel, level, seed):
    """Mean square error of the posterior mean of periodic images drawn from the model."""
    rng = np.random.default_rng(seed)
    waves = np.fft.fftfreq(SIDE)
    rough = 4 * np.sin(np.pi * waves) ** 2
    prior = level / (rough[:, None] + rough[None] + level)
    transfer = np.fft.fft2(kernel, (SIDE, SIDE))
    image = np.sqrt(prior) * np.fft.fft2(rng.normal(size=(SIDE, SIDE)))
    photo = transfer * image + np.fft.fft2(rng.normal(0, ERROR, (SIDE, SIDE)))
    mean = np.conj(transfer) * photo / (np.abs(transfer) ** 2 + ERROR**2 / prior)
    return np.mean(np.abs(np.fft.ifft2(mean - image)) ** 2)


@pytest.mark.parametrize("slope", [0.005, 0.05])
def test_gaussian_variance_is_the_error_of_images_drawn_from_the_model(slope):
    kernel = np.zeros((9, 9))
    kernel[4, 1:8] = kernel[2:7, 6] = 1
    kernel /= kernel.sum()
    level = 1.25 * slope**2 + 2 * ERROR**2  # what is shown of the roughness, and what error hides
    found = uncertainty.gaussian_variance(
        ramp(slope), jnp.asarray(kernel, jnp.float32)[None], ERROR**2
    )
    expected = np.mean([wiener_error(kernel, level, seed) for seed in range(8)])
    np.testing.assert_allclose(found[20:-20, 20:-20], expected, rtol=0.1)


def test_more_blur_more_noise_and_rougher_places_are_less_sure():
    point, wide = (jnp.zeros((1, 9, 9)).at[0, 4, a:b].set(1 / (b - a)) for a, b in ((4, 5), (0, 9)))
    image = jnp.concatenate([ramp(0.01), ramp(0.1)], axis=1)

    def std(kernels, error):
        return np.sqrt(uncertainty.gaussian_variance(image, kernels, error**2))

    assert (std(wide, 0.01) > std(point, 0.01)).all()
    assert (std(wide, 0.03) > std(wide, 0.01)).all()
    assert std(wide, 0.01)[:, :80].max() < std(wide, 0.01)[:, -80:].min()
    # Without blur nothing but the photo's own error is unsure.
    np.testing.assert_allclose(std(point, 0.01)[:, -80:], 0.01, rtol=0.05)


def test_kernels_of_a_path_may_be_displaced():
    """Pixels of an image that is displaced by 0.8 pixels along each axis are off by its slope."""
    kernels, slope = jnp.full((1, 5, 5), 1 / 25), 0.05
    image = ramp(slope)
    one = uncertainty.gaussian_variance(image, kernels, 1e-4)
    displaced = uncertainty.displacement(4)
    several = uncertainty.gaussian_variance(image, kernels, 1e-4, displaced=displaced)
    assert displaced == 0.8
    assert uncertainty.displacement(1) == 0
    moved = 0.8 * np.random.default_rng(0).normal(size=100_000)
    np.testing.assert_allclose(several - one, np.mean((slope * moved) ** 2), rtol=0.02)


def test_gaussian_variance_under_jit_and_grad():
    kernels = jnp.full((4, 5, 5), 1 / 25)
    image = ramp(0.02)
    eager = uncertainty.gaussian_variance(image, kernels, 1e-4)
    np.testing.assert_allclose(
        jax.jit(uncertainty.gaussian_variance)(image, kernels, 1e-4), eager, rtol=1e-4
    )
    slope = jax.grad(lambda e: jnp.mean(uncertainty.gaussian_variance(image, kernels, e)))(1e-4)
    more, less = (
        jnp.mean(uncertainty.gaussian_variance(image, kernels, e)) for e in (1.1e-4, 0.9e-4)
    )
    np.testing.assert_allclose(slope, (more - less) / 0.2e-4, rtol=0.02)


@pytest.mark.parametrize("noise", [0.003, 0.05])
def test_a_real_picture_lies_within_the_deviation_as_often_as_it_should(noise):
    """By a known kernel; a Gaussian has 68 and 95 %, and noise is not to make it overconfident."""
    data = pytest.importorskip("skimage.data")
    truth = jnp.asarray(data.camera()[100:248, 150:298, None], jnp.float32) / 255
    kernel = camera_shake.random_kernel(jax.random.key(0), 11)
    photo = camera_shake.gaussian_noise(jax.random.key(1), blur.uniform(kernel, truth), noise)
    error = error_variance(noise, 1)
    image = deconvolve(photo, kernel[None], prior_weight(noise, 1), blur=blur.FilterFlow((1, 1)))
    std = jnp.sqrt(uncertainty.gaussian_variance(image, kernel[None], error))
    wrong = (jnp.abs(image - truth) / std)[10:-10, 10:-10]
    assert 0.6 <= jnp.mean(wrong <= 1) <= 0.85
    assert 0.9 <= jnp.mean(wrong <= 2) <= 0.99
