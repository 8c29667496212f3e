"""What comes out of EM, of a start without it, and of a tile."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import shaken
from scipy import ndimage
from shaken import CONFIG, SIZE, change
from tiny import jit

from dem_jax.em import mcem, uncertainty
from dem_jax.em import result as results
from dem_jax.model import blur, softness
from dem_jax.solve import deconvolution
from dem_jax.start.problem import prepare

finish = jit(results.finish, static_argnums=2)


@pytest.fixture(scope="module")
def case():
    return shaken.make_case()


@pytest.fixture(scope="module")
def finished():
    """A problem and a state whose kernels [2, 5, 5] lie off the middle by (1, -1), jointly."""
    config = change(patch_grid=(1, 2), refinement=0.0)
    photo = jnp.full((24, 28, 3), 0.5)
    plain = dataclasses.replace(config, warm_start=False)
    problem = prepare(jax.random.key(0), photo, plain)._replace(gain=jnp.float32(1))
    problem = problem._replace(cameras_part=jnp.float32(0))
    rng = np.random.default_rng(0)
    kernels = np.zeros((2, SIZE, SIZE), np.float32)
    kernels[0, 3, 1], kernels[1, 3, 0:3] = 1, 1 / 3
    mean = jnp.asarray(rng.uniform(-0.1, 1.1, problem.start_latent.shape), jnp.float32)
    state = mcem.MCEMState(
        chains=None,
        theta_k=None,
        kernels=jnp.asarray(kernels),
        noise_std=problem.noise_std,
        mean=mean,
        iteration=jnp.asarray(config.em_iterations),
    )
    return problem, state, config


def test_finish_recentres_kernels_and_image_together(finished):
    problem, state, config = finished
    result = finish(state, problem, config)
    np.testing.assert_allclose(blur.centre_of_mass(result.kernels), 0, atol=1e-6)
    np.testing.assert_array_equal(result.kernels[1, 2, 1:4], state.kernels[1, 3, 0:3])
    # the photo stays explained: k moved by (-1, 1), so f moves by (1, -1)
    np.testing.assert_array_equal(result.latent, np.clip(state.mean[1:-3, 3:-1], 0, 1))


def test_the_result_has_the_photos_own_exposure(finished):
    problem, state, config = finished
    dark = finish(state, problem._replace(gain=jnp.float32(4)), config)
    result = finish(state, problem, config)
    np.testing.assert_allclose(4 * dark.std, result.std, rtol=1e-6)
    known = result.latent < 1
    np.testing.assert_allclose(4 * dark.latent[known], result.latent[known], rtol=1e-6)


def test_std_is_the_posteriors_by_ems_kernels_and_the_larger_noise(finished):
    """The start's noise counts where EM's is smaller: what is delivered was deconvolved by it."""
    problem, state, config = finished
    for noise_std in (0.04, 0.0):
        result = finish(state._replace(noise_std=jnp.asarray(noise_std)), problem, config)
        image = state.mean[1:-3, 3:-1]  # moved with the kernels
        error = deconvolution.error_variance(
            max(noise_std, float(problem.noise_std)), len(state.kernels)
        )
        displaced = uncertainty.displacement(len(state.kernels))
        expected = uncertainty.gaussian_variance(image, result.kernels, error, displaced=displaced)
        np.testing.assert_allclose(result.std**2, expected, rtol=1e-4)


def test_recentring_keeps_the_photo_explained(finished):
    problem, state, _ = finished
    kernels, shift = blur.recentre(state.kernels)
    operator = jit(blur.blur_operator((1, 2)))
    before = operator(state.kernels, state.mean)
    after = operator(kernels, blur.translate(state.mean, -shift))
    assert before.shape == problem.photo.shape
    # windows move by a pixel against the image, and the border repeats
    moved = np.abs(after - before)[2:-2, 2:-2]
    assert moved.mean() < 0.2 * np.std(before)


def test_refinement_mixes_in_the_deconvolution_with_the_kernels_found(finished):
    problem, state, config = finished
    photo = jnp.asarray(np.random.default_rng(1).uniform(size=problem.photo.shape), jnp.float32)
    problem = problem._replace(photo=photo, noise_std=jnp.asarray(0.02))
    moved = np.s_[1:-3, 3:-1]
    weight = deconvolution.prior_weight(0.02, 2)
    operator = blur.blur_operator(config.patch_grid)
    sharp, smoother = (
        deconvolution.deconvolve(photo, state.kernels, factor * weight, blur=operator)[moved]
        for factor in (1, 1.2)
    )
    plain = state.mean[moved]
    for part in (0.25, 1.0):
        refined = finish(state, problem, dataclasses.replace(config, refinement=part)).latent
        expected = jnp.clip((1 - part) * plain + part * sharp, 0, 1)
        # The prior's shrinkage jumps, and rounding may take single differences across.
        error = np.abs(refined - expected)
        assert np.quantile(error, 0.99) < 1e-4
        assert error.mean() < 2e-5
        other = (1 - part) * plain + part * smoother
        assert jnp.abs(refined - jnp.clip(other, 0, 1)).mean() > 1e-3 * part


def test_grain_gives_the_residual_back(finished):
    problem, state, config = finished
    mean = jnp.clip(state.mean, 0.2, 0.8)
    state = state._replace(mean=mean, noise_std=jnp.float32(0.01))
    noise = 0.005 * np.sin(np.arange(24 * 28 * 3)).reshape(24, 28, 3).astype(np.float32)
    blurred = blur.blur_operator((1, 2))(state.kernels, mean)
    problem = problem._replace(photo=blurred + noise)
    plain = finish(state, problem, config).latent
    for grain in (0.5, 1.0):
        grainy = finish(state, problem, dataclasses.replace(config, grain=grain)).latent
        np.testing.assert_allclose(grainy - plain, grain * noise, atol=1e-6)
    loud = problem._replace(photo=blurred + 0.1)
    grainy = finish(state, loud, dataclasses.replace(config, grain=1.0)).latent
    np.testing.assert_allclose(grainy - plain, 0.03, atol=1e-6)


def test_a_found_kernels_picture_is_as_soft_as_a_cameras(case):
    photo, thin = case[2], case[1]
    thick = ndimage.gaussian_filter(np.asarray(thin), 1.0, mode="constant")
    for given, part, soft in ((thick, 0.6, True), (thick, 0.0, False), (thin, 1.0, False)):
        problem = prepare(jax.random.key(0), photo, CONFIG, kernels=given[None])
        problem = problem._replace(cameras_part=jnp.float32(part))
        std = softness.of_camera(problem.start_kernels, part)
        assert (std > 0.3) == soft
        exact = problem._replace(cameras_part=jnp.float32(0))
        image, sharp = (results.started(p)[0] for p in (problem, exact))
        np.testing.assert_allclose(image, softness.softened(sharp, std), atol=0.02)


def test_kernels_of_regions_restore_as_one_where_they_are_equal(case):
    # Nearly: a patch sees no more of the photo than a kernel around it.
    _, kernel, photo = case
    green = photo[..., 1:2]
    restore = jit(results.restore, static_argnums=3)
    one = restore(green, kernel[None], 1e-3, CONFIG)
    many = restore(green, jnp.tile(kernel, (6, 1, 1)), 1e-3, change(patch_grid=(2, 3)))
    assert float(jnp.abs(many - one).mean()) < 0.2 * float(jnp.abs(one - green).mean())
