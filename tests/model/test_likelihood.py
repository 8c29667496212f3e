"""The densities against SciPy's, the noise estimate against noise that was put in."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from dem_jax.model import blur, likelihood

SHAPE = (13, 17, 3)


@pytest.fixture(scope="module")
def textured():
    """[256, 256, 1] the photographed brick wall of scikit-image, blurred by a 9-pixel motion."""
    from skimage import data

    latent = data.brick()[100:364, 100:364, None].astype(np.float32) / 255
    kernel = np.zeros((9, 9), np.float32)
    kernel[4, :] = 1 / 9
    return np.asarray(blur.uniform(kernel, latent))


def residual_and_weight(seed=0):
    rng = np.random.default_rng(seed)
    residual = rng.normal(0, 0.02, SHAPE).astype(np.float32)
    return residual, (rng.uniform(size=SHAPE[:2]) < 0.7).astype(np.float32)


@pytest.mark.parametrize("noise_std", [0.003, 0.02, 0.5])
def test_log_likelihood_is_the_normal_density_of_the_trusted_pixels(noise_std):
    residual, weight = residual_and_weight()
    everywhere = stats.norm.logpdf(residual.astype(np.float64), scale=noise_std)
    value = jax.jit(likelihood.log_likelihood)(residual, jnp.ones(SHAPE[:2]), noise_std)
    np.testing.assert_allclose(value, everywhere.sum(), rtol=1e-4)
    value = likelihood.log_likelihood(residual, weight, noise_std)
    np.testing.assert_allclose(value, everywhere[weight > 0].sum(), rtol=1e-4)


def test_an_untrusted_pixel_has_no_say():
    residual, weight = residual_and_weight()
    spoilt = np.where(weight[..., None] > 0, residual, 7.0)
    assert likelihood.log_likelihood(spoilt, weight, 0.02) == likelihood.log_likelihood(
        residual, weight, 0.02
    )
    gradient = jax.grad(likelihood.log_likelihood)(residual, weight, 0.02)
    np.testing.assert_allclose(gradient, -residual * weight[..., None] / 0.02**2, rtol=1e-5)


def test_the_likeliest_noise_is_the_root_mean_square():
    residual, weight = residual_and_weight()
    count = SHAPE[2] * weight.sum()
    best = np.sqrt(np.sum(weight[..., None] * residual**2) / count)
    slope = jax.grad(likelihood.log_likelihood, argnums=2)
    assert abs(slope(residual, weight, best)) < 1e-3 * count / best
    assert slope(residual, weight, 0.9 * best) > 0 > slope(residual, weight, 1.1 * best)


def test_log_prior_is_the_normal_density_up_to_a_constant():
    rng, std = np.random.default_rng(1), likelihood.WEIGHT_STD
    theta = {"w": rng.normal(size=(3, 3, 2, 4)), "b": (rng.normal(size=4), rng.normal(size=()))}
    theta = jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), theta)
    twice = jax.tree.map(lambda x: 2 * x, theta)
    flat = np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(theta)]).astype(np.float64)
    expected = (
        stats.norm.logpdf(2 * flat, scale=std).sum() - stats.norm.logpdf(flat, scale=std).sum()
    )
    value = likelihood.log_prior(twice) - likelihood.log_prior(theta)
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    gradient = jax.grad(likelihood.log_prior)(theta)
    for slope, leaf in zip(jax.tree.leaves(gradient), jax.tree.leaves(theta), strict=True):
        np.testing.assert_allclose(slope, -leaf / std**2, rtol=1e-6)


@pytest.mark.parametrize("noise_std", [0.005, 0.02, 0.08])
def test_noise_is_measured_under_texture(textured, noise_std):
    noise = np.random.default_rng(3).normal(0, noise_std, textured.shape)
    estimate = jax.jit(likelihood.estimate_noise_std)(np.float32(textured + noise))
    assert abs(estimate / noise_std - 1) < 0.15


def test_no_photo_is_taken_to_be_cleaner_than_its_quantisation():
    ramp = jnp.linspace(0, 1, 40)[:, None, None] + jnp.zeros((40, 30, 1))
    assert likelihood.estimate_noise_std(ramp) == jnp.float32(likelihood.QUANTISATION_STD)
    levels = np.random.default_rng(4).uniform(0, 255, 100_000)
    error = (np.round(levels) - levels).std() / 255
    np.testing.assert_allclose(likelihood.QUANTISATION_STD, error, rtol=0.01)


def test_saturated_pixels_are_hardly_trusted():
    photo = np.full((4, 5, 3), 0.6, np.float32)
    photo[1, 2, 0] = 1.0  # one channel is enough
    photo[2, 3] = 254 / 255  # the last level below white
    photo[3, 0] = 0.0  # black clips nothing away that matters
    expected = np.ones((4, 5), np.float32)
    expected[1, 2] = likelihood.CLIPPED_WEIGHT
    np.testing.assert_array_equal(likelihood.trusted(photo), expected)


def test_functions_work_under_vmap_and_eval_shape():
    photos = jnp.asarray(np.random.default_rng(5).uniform(size=(2, *SHAPE)), jnp.float32)
    stds = jax.vmap(likelihood.estimate_noise_std)(photos)
    alone = jnp.stack([likelihood.estimate_noise_std(photo) for photo in photos])
    np.testing.assert_allclose(stds, alone, rtol=1e-6)
    weights = jax.vmap(likelihood.trusted)(photos)
    values = jax.vmap(likelihood.log_likelihood)(photos, weights, stds)
    alone = likelihood.log_likelihood(photos[1], weights[1], stds[1])
    np.testing.assert_allclose(values[1], alone, rtol=1e-5)
    assert jax.eval_shape(likelihood.log_likelihood, photos[0], weights[0], stds[0]).shape == ()


def test_what_is_no_noise_is_not_plausible():
    weights = likelihood.plausible(jnp.array([0.0, -0.5, 1.0, 10.0]), 1.0)
    np.testing.assert_allclose(weights, [1, 0.64, 0.25, 1 / 101**2], rtol=1e-5)


def test_saturated_pixels_count_wholly_where_they_are_bounds():
    photo = jnp.array([[[0.5], [1.0], [1.0]]])
    weight = jnp.array([[0.7, 0.05, 0.0]])
    np.testing.assert_allclose(likelihood.without_saturation(photo, weight), [[0.7, 1, 0]])


@pytest.mark.parametrize("noise_std", [0.004, 0.02])
def test_noise_is_measured_where_a_kernel_has_left_no_texture(noise_std):
    """White texture under a diagonal shake, whose finest differences are far above the noise."""
    rng = np.random.default_rng(6)
    path = np.exp(-0.5 * (np.arange(-4, 5) / 2) ** 2)
    kernel = jnp.asarray(np.diag(path / path.sum()), jnp.float32)
    texture = 0.5 + 0.15 * rng.normal(size=(208, 208, 1)).astype(np.float32)
    blurred = blur.uniform(kernel, texture)
    photo = blurred + noise_std * rng.normal(size=blurred.shape).astype(np.float32)
    assert abs(likelihood.estimate_noise_std(photo) / noise_std - 1) < 0.15
    rounded = np.round(255 * photo) / 255
    known = np.hypot(noise_std, likelihood.QUANTISATION_STD)
    assert abs(likelihood.estimate_noise_std(rounded) / known - 1) < 0.15


@pytest.mark.parametrize("paper", [0.0, 1.0])
def test_noise_that_is_clipped_away_does_not_make_a_photo_clean(paper):
    """Most of a page is white, or black; the rest is as noisy as the whole was."""
    rng = np.random.default_rng(7)
    page = np.full((160, 192, 1), paper)
    page[40:110, 30:120] = 0.5
    noise_std = 0.01
    photo = np.float32(np.clip(page + rng.normal(0, noise_std, page.shape), 0, 1))
    estimate = jax.jit(likelihood.estimate_noise_std)
    assert abs(estimate(photo) / noise_std - 1) < 0.15
    assert estimate(np.full_like(photo, paper)) == jnp.float32(likelihood.QUANTISATION_STD)
