"""Non-blind restoration with kernels that are known."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dem_jax.evaluation import camera_shake, metrics
from dem_jax.model import blur, likelihood
from dem_jax.solve import deconvolution
from dem_jax.solve.hyper_laplacian import hyper_laplacian, shrink, shrink_once

SIZE, HALF = 7, 3
NOISE = 0.005
colours = jax.jit(deconvolution.sparse_cosines)
with_differences = jax.jit(hyper_laplacian)


def deconvolve(photo, *args, **options):
    """Of a grey plane [H, W]."""
    return colours(photo[..., None], *args, **options)[..., 0]


def crop(latent):
    return np.asarray(latent)[HALF:-HALF, HALF:-HALF]


@pytest.fixture(scope="module")
def case():
    """Sharp latent image [70, 86], kernel [7, 7] and photo [64, 80] with noise."""
    from skimage import data

    sharp = jnp.asarray(data.camera()[60:130, 180:266] / 255, jnp.float32)
    kernel_key, noise_key = jax.random.split(jax.random.key(0))
    kernel = camera_shake.random_kernel(kernel_key, SIZE)
    photo = blur.uniform(kernel, sharp[..., None])[..., 0]
    return sharp, kernel, camera_shake.gaussian_noise(noise_key, photo, NOISE)


def test_the_kernel_that_does_not_blur_gives_nearly_the_photo(case):
    sharp, _, _ = case
    point = jnp.zeros((SIZE, SIZE)).at[HALF, HALF].set(1.0)
    photo = sharp[HALF:-HALF, HALF:-HALF]
    np.testing.assert_allclose(crop(deconvolve(photo, point, 1e-7)), photo, atol=2e-3)


def test_a_point_off_centre_moves_the_picture_back(case):
    """A true convolution: the photo seen through a point at (-1, +2) is the picture moved there."""
    sharp, _, _ = case
    point = jnp.zeros((SIZE, SIZE)).at[HALF - 1, HALF + 2].set(1.0)
    photo = blur.uniform(point, sharp[..., None])[..., 0]
    latent = deconvolve(photo, point, 1e-7)
    np.testing.assert_allclose(latent[5:-3, 2:-6], sharp[5:-3, 2:-6], atol=5e-3)


def test_the_true_kernel_gains_decibels(case):
    """Border included: what lies beyond the photo is free, so nothing rings in from there."""
    sharp, kernel, photo = case
    truth = crop(sharp)
    blurred, restored = (
        metrics.psnr(x, truth) for x in (photo, crop(deconvolve(photo, kernel, 8 * NOISE**2)))
    )
    assert restored > blurred + 5
    interior = metrics.psnr(
        crop(deconvolve(photo, kernel, 8 * NOISE**2))[8:-8, 8:-8], truth[8:-8, 8:-8]
    )
    assert restored > interior - 2


def test_the_result_explains_the_photo_and_a_stronger_prior_smooths(case):
    _, kernel, photo = case
    slopes = []
    for weight in (1e-5, 1e-3, 1e-2):
        latent = deconvolve(photo, kernel, weight)
        slopes.append(np.abs(np.diff(latent, axis=0)).sum() + np.abs(np.diff(latent, axis=1)).sum())
        if weight == 1e-5:
            residual = photo - blur.uniform(kernel, latent[..., None])[..., 0]
            assert jnp.sqrt(jnp.mean(residual**2)) < 1.5 * NOISE
    assert slopes[0] > 1.1 * slopes[1] > 1.1**2 * slopes[2]


@pytest.mark.parametrize("noise", [0.005, 0.02, 0.05])
def test_the_prior_weight_is_near_the_best(noise):
    """Of three pictures on average, over a hundredfold range; the true kernel has no error."""
    from skimage import data

    kernel = camera_shake.random_kernel(jax.random.key(3), 15)
    factors, found = np.geomspace(0.1, 10, 9), []
    weights = deconvolution.prior_weight(noise, 1) * factors
    for picture in (data.camera(), data.astronaut()[..., 1], data.coffee()[..., 1]):
        sharp = jnp.asarray(picture[100:242, 120:262] / 255, jnp.float32)
        photo = blur.uniform(kernel, sharp[..., None])[..., 0]
        photo = camera_shake.gaussian_noise(jax.random.key(1), photo, noise)
        latents = jax.lax.map(lambda w, photo=photo: deconvolve(photo, kernel, w), weights)
        inside = slice(7, -7), slice(7, -7)
        found.append([metrics.psnr(np.asarray(f)[inside], sharp[inside]) for f in latents])
    means = np.mean(found, axis=0)
    assert means[4] > means.max() - 0.4


@pytest.mark.parametrize("noise", [0.0, 0.003, 0.02, 0.2])
def test_a_weight_tells_the_error_that_it_was_made_of(noise):
    error = deconvolution.error_variance(noise, 1)
    found = deconvolution._error_of(deconvolution.prior_weight(noise, 1))
    np.testing.assert_allclose(found, error, rtol=1e-4)


def test_shrinking_minimises_the_scalar_energy():
    """Against a search over all u for many edges and thresholds."""
    edges = np.linspace(-1.5, 1.5, 61)
    candidates = np.linspace(-1.6, 1.6, 32_001)
    for threshold in (0.01, 0.1, 0.5):
        energy = threshold * abs(candidates) ** 0.8 + (candidates - edges[:, None]) ** 2 / 2
        for function, most in ((shrink, 1.0), (shrink_once, 1.2)):
            shrunk = np.asarray(function(jnp.asarray(edges, jnp.float32), threshold))
            reached = threshold * abs(shrunk) ** 0.8 + (shrunk - edges) ** 2 / 2
            np.testing.assert_array_less(reached, most * energy.min(1) + 2e-3 * threshold)


def test_works_under_vmap_grad_and_eval_shape(case):
    _, kernel, photo = case
    photos = jnp.stack([photo[:20, :24], photo[30:50, 30:54]])[..., None]
    few = functools.partial(deconvolution.sparse_cosines, weight=2e-4, iterations=5)
    together = jax.jit(jax.vmap(few, (0, None)))(photos, kernel)
    assert together.shape == (2, 26, 30, 1)
    np.testing.assert_allclose(together[1], few(photos[1], kernel), atol=1e-4)
    gradient = jax.jit(jax.grad(lambda g: jnp.sum(few(g, kernel) ** 2)))(photos[0])
    assert jnp.isfinite(gradient).all()
    assert jnp.any(gradient != 0)
    shape = jax.eval_shape(few, jax.ShapeDtypeStruct((31, 45, 3), jnp.float32), kernel)
    assert shape.shape == (37, 51, 3)


WEIGHT = deconvolution.prior_weight(NOISE, 1)
PLAIN_WEIGHT = 1.5 * (NOISE**2 + 0.003**2)


def error(latent, sharp):
    return float(np.sqrt(np.mean((np.clip(crop(latent), 0, 1) - crop(sharp)) ** 2)))


def test_a_photo_without_outliers_is_no_worse_than_with_differences(case):
    sharp, kernel, photo = case
    plain = error(with_differences(photo, kernel, PLAIN_WEIGHT), sharp)
    assert error(deconvolve(photo, kernel, WEIGHT), sharp) < plain


def hot_pixels(photo, sharp, kernel):
    places = np.random.default_rng(0).integers(0, [[64], [80]], (2, 25))
    return photo.at[tuple(places)].set(0.9), jnp.ones(photo.shape)


def bars(photo, sharp, kernel):
    return photo.at[30:33, 10:70].set(0.05), jnp.ones(photo.shape)


def unknown(photo, sharp, kernel):
    trust = jnp.ones(photo.shape).at[20:28, 20:28].set(0.0)
    return jnp.where(trust > 0, photo, 1.0 - photo), trust


@pytest.mark.parametrize(("spoil", "gain"), [(hot_pixels, 2.0), (bars, 1.15), (unknown, 1.2)])
def test_pixels_that_no_kernel_explains_do_not_ring(case, spoil, gain):
    sharp, kernel, photo = case
    spoiled, trust = spoil(photo, sharp, kernel)
    plain = error(with_differences(spoiled, kernel, PLAIN_WEIGHT), sharp)
    assert gain * error(deconvolve(spoiled, kernel, WEIGHT, trust=trust), sharp) < plain


def test_lamps_are_bounded_from_below_only(case):
    sharp, kernel, _ = case
    lit = sharp * 0.6
    for row, col in ((20, 20), (40, 60), (55, 30)):
        lit = lit.at[row : row + 2, col : col + 2].set(30.0)
    photo = jnp.clip(blur.uniform(kernel, lit[..., None])[..., 0], 0, 1)
    plain = error(with_differences(photo, kernel, PLAIN_WEIGHT), jnp.clip(lit, 0, 1))
    latent = deconvolve(photo, kernel, WEIGHT, trust=jnp.ones(photo.shape))
    assert 1.2 * error(latent, jnp.clip(lit, 0, 1)) < plain
    assert latent.max() > 3
    assert latent.min() > -0.15  # plain: -1.7


def test_what_is_saturated_in_a_darker_copy_can_be_told(case, monkeypatch):
    monkeypatch.setattr(deconvolution, "_ENTRY_ERROR", 0.0)  # the kernel is exact
    sharp, kernel, _ = case
    lit = (0.6 * sharp).at[20:22, 20:22].set(30.0)
    dark = 0.5 * jnp.clip(blur.uniform(kernel, lit[..., None])[..., 0], 0, 1)
    run = jax.jit(
        lambda white: deconvolution.sparse_cosines(dark[..., None], kernel, WEIGHT, white=white)
    )
    assert run(0.5 * likelihood.CLIPPED).max() > 1.1 * run(likelihood.CLIPPED).max()


def test_a_slightly_wrong_kernel_makes_no_waves_around_lamps(case, monkeypatch):
    sharp, kernel, _ = case
    lit = (0.6 * sharp).at[20:22, 20:22].set(30.0).at[45:47, 55:57].set(30.0)
    photo = jnp.clip(blur.uniform(kernel, lit[..., None])[..., 0], 0, 1)
    errors = 1 + 0.2 * jax.random.normal(jax.random.key(0), kernel.shape)
    wrong = kernel * errors
    wrong /= jnp.sum(wrong)

    def off_by():
        latent = jax.jit(lambda g: deconvolution.sparse_cosines(g, wrong, WEIGHT))(photo[..., None])
        return error(jnp.clip(latent[..., 0], 0, 1), jnp.clip(lit, 0, 1))

    careful = off_by()
    monkeypatch.setattr(deconvolution, "_ENTRY_ERROR", 0.0)
    assert careful < 0.8 * off_by()


def test_equal_kernels_of_a_grid_give_what_one_kernel_gives(case):
    """On crops with a kernel more around each window: their borders are not seen."""
    _, kernel, photo = case
    photo, weight = photo[..., None], 8 * NOISE**2

    def restored(grid):
        kernels = jnp.tile(kernel, (grid[0] * grid[1], 1, 1))
        return deconvolution.deconvolve(photo, kernels, weight, blur=blur.blur_operator(grid))

    one, many = (np.asarray(jax.jit(restored, static_argnums=0)(g)) for g in ((1, 1), (3, 4)))
    assert many.shape == one.shape
    assert metrics.psnr(crop(many), crop(one)) > 38


def test_padding_changes_nothing_of_a_grid(case):
    _, kernel, photo = case
    grid, kernels = (2, 3), jnp.tile(kernel, (6, 1, 1))
    operator = blur.blur_operator(grid)
    wide = jnp.pad(photo, ((0, 16), (0, 20)), constant_values=9.0)[..., None]
    size = jnp.asarray(photo.shape)
    latent = jax.jit(
        lambda g, n: deconvolution.deconvolve(g, kernels, 2e-4, blur=operator, size=n)
    )(wide, size)
    alone = deconvolve(photo, kernel, 2e-4)
    inner = [slice(HALF, HALF + n) for n in photo.shape]
    assert metrics.psnr(np.asarray(latent)[..., 0][tuple(inner)], crop(alone)) > 35


def test_three_equal_channels_stay_equal_and_colours_are_smoother_than_brightness(case):
    sharp, kernel, photo = case
    grey = jnp.repeat(photo[..., None], 3, axis=-1)
    same = colours(grey, kernel, WEIGHT)
    np.testing.assert_allclose(same, np.repeat(same[..., :1], 3, axis=-1), atol=1e-5)
    noise = 0.03 * jax.random.normal(jax.random.key(1), grey.shape)
    found = crop(colours(grey + noise, kernel, 10 * WEIGHT))
    alone = np.stack(
        [crop(deconvolve((grey + noise)[..., c], kernel, 10 * WEIGHT)) for c in range(3)], -1
    )
    for picture, other in ((found, alone),):
        between = [np.std(x[..., 0] - x[..., 1]) for x in (picture, other)]
        assert between[0] < 0.5 * between[1]
        errors = [np.sqrt(np.mean((x - crop(sharp)[..., None]) ** 2)) for x in (picture, other)]
        assert errors[0] < 0.95 * errors[1]


def test_channels_of_any_order_are_restored_alike(case):
    """Differences of colours have no preferred pair beyond what an orthonormal basis needs."""
    _, kernel, photo = case
    picture = jnp.stack([photo, photo**2, 0.5 * photo], -1)
    swapped = colours(picture[..., [1, 0, 2]], kernel, WEIGHT)
    np.testing.assert_allclose(swapped[..., [1, 0, 2]], colours(picture, kernel, WEIGHT), atol=1e-5)
