"""The detail's posterior against dense linear algebra on an image of few pixels."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dem_jax.em import detail
from dem_jax.model import blur

SIZE, SHAPE, GRID = 3, (6, 5, 1), (1, 2)
LATENT = (SHAPE[0] + SIZE - 1, SHAPE[1] + SIZE - 1, 1)
NOISE = 0.02


def columns(function, shape):
    """The dense matrix of a linear function of arrays of `shape`."""
    points = jnp.eye(int(np.prod(shape))).reshape(-1, *shape)
    images = jax.jit(jax.vmap(function))(points)
    return np.asarray(images, np.float64).reshape(len(points), -1).T


def model_of(kernels, weight, noise_std, roughness, *, iterations=60):
    return detail.DetailModel(
        blur.blur_operator(GRID), kernels, weight, noise_std, roughness, iterations
    )


@functools.partial(jax.jit, static_argnames="iterations")
def mean(kernels, weight, noise_std, roughness, photo, latent, *, iterations=60):
    model = model_of(kernels, weight, noise_std, roughness, iterations=iterations)
    return detail.mean(model, photo, latent)


@pytest.fixture(scope="module")
def case():
    """A space-variant blur with a clipped corner, and an edge that is rougher than its sides.

    Returns:
      (kernels, weight, noise, roughness), photo, T_f's image.
    """
    rng = np.random.default_rng(0)
    kernels = jnp.asarray(rng.dirichlet(np.ones(SIZE**2), 2).reshape(2, SIZE, SIZE), jnp.float32)
    weight = jnp.ones(SHAPE[:2]).at[:2, :2].set(0.0)
    photo, latent = (jnp.asarray(rng.uniform(size=n), jnp.float32) for n in (SHAPE, LATENT))
    roughness = jnp.full(LATENT, 0.03**2).at[:, 3].set(0.2**2)
    return (kernels, weight, jnp.float32(NOISE), roughness), photo, latent


@pytest.fixture(scope="module")
def dense(case):
    """A, W and the precision matrix of e | g, T_f."""
    (kernels, weight, _, roughness), _, _ = case
    blurring = columns(lambda f: blur.filter_flow(kernels, f, grid=GRID), LATENT)
    weight = np.diag(np.ravel(weight).astype(np.float64))
    slopes = columns(
        lambda f: jnp.concatenate([jnp.ravel(f[1:] - f[:-1]), jnp.ravel(f[:, 1:] - f[:, :-1])]),
        LATENT,
    )
    a = np.asarray(roughness, np.float64)
    pairs = (a[1:] + a[:-1]) / 2, (a[:, 1:] + a[:, :-1]) / 2
    variances = np.concatenate([np.ravel(pair) for pair in pairs])
    precision = blurring.T @ weight @ blurring / NOISE**2 + slopes.T @ (slopes / variances[:, None])
    return blurring, weight, precision


def posterior_mean(dense, photo, latent):
    blurring, weight, precision = dense
    residual = np.ravel(photo) - blurring @ np.ravel(latent).astype(np.float64)
    right = blurring.T @ weight @ residual / NOISE**2
    return np.linalg.solve(precision, right).reshape(latent.shape)


def test_mean_solves_the_normal_equations(case, dense):
    model, photo, latent = case
    expected = posterior_mean(dense, photo, latent)
    found = mean(*model, photo, latent)
    np.testing.assert_allclose(found, expected, atol=2e-3 * np.abs(expected).max())


def test_draws_have_the_posterior_law(case, dense):
    """Mean and covariance within five standard errors of independent draws."""
    model, photo, latent = case
    count = 20_000

    def draw(key):
        return detail.draw(key, model_of(*model), photo, latent)

    draws = jax.jit(jax.vmap(draw))(jax.random.split(jax.random.key(0), count))
    draws = np.asarray(draws, np.float64).reshape(count, -1)
    covariance = np.linalg.inv(dense[2])
    variance = np.diag(covariance)
    error = 5 * np.sqrt((np.outer(variance, variance) + covariance**2) / count)
    np.testing.assert_array_less(np.abs(np.cov(draws.T) - covariance), error)
    centre = posterior_mean(dense, photo, latent).ravel()
    np.testing.assert_array_less(np.abs(draws.mean(0) - centre), 5 * np.sqrt(variance / count))


def test_mean_is_affine_in_the_image_so_the_mean_of_samples_needs_one_solution(case):
    model, photo, latent = case
    other = latent[::-1]
    average = (mean(*model, photo, latent) + mean(*model, photo, other)) / 2
    together = mean(*model, photo, (latent + other) / 2)
    np.testing.assert_allclose(together, average, atol=2e-3)


def test_an_image_that_explains_the_photo_needs_no_detail(case):
    model, _, latent = case
    photo = blur.filter_flow(model[0], latent, grid=GRID)
    np.testing.assert_allclose(mean(*model, photo, latent), 0, atol=1e-6)


def test_with_little_noise_the_image_with_its_detail_explains_the_photo(case):
    (kernels, weight, _, rough), photo, latent = case
    latent = latent + mean(kernels, weight, jnp.float32(1e-4), rough, photo, latent, iterations=300)
    residual = weight[..., None] * (photo - blur.filter_flow(kernels, latent, grid=GRID))
    assert jnp.abs(residual).max() < 0.02


def test_channels_are_independent_and_so_are_photos_under_vmap(case):
    model, photo, latent = case
    photos, latents = jnp.stack([photo, photo[::-1]]), jnp.stack([latent, latent[:, ::-1]])
    alone = jnp.stack([mean(*model, *pair) for pair in zip(photos, latents, strict=True)])
    together = jax.vmap(functools.partial(mean, *model))(photos, latents)
    np.testing.assert_allclose(together, alone, atol=2e-3)
    kernels, weight, noise_std, rough = model
    pair = (jnp.moveaxis(x[..., 0], 0, -1) for x in (photos, latents))
    colour = mean(kernels, weight, noise_std, jnp.concatenate([rough, rough], -1), *pair)
    np.testing.assert_allclose(jnp.moveaxis(colour, -1, 0)[..., None], alone, atol=2e-3)


def test_derivative_by_the_noise(case):
    """Against finite differences; more noise leaves less detail."""
    (kernels, weight, _, rough), photo, latent = case

    def size(noise_std):
        return jnp.sum(mean(kernels, weight, noise_std, rough, photo, latent) ** 2)

    slope = jax.grad(size)(jnp.float32(NOISE))
    difference = (size(jnp.float32(1.1 * NOISE)) - size(jnp.float32(0.9 * NOISE))) / (0.2 * NOISE)
    np.testing.assert_allclose(slope, difference, rtol=0.05)
    assert slope < 0
