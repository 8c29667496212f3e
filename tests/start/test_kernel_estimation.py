"""Parts of the classical kernel estimates, each against a solution that is known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage, optimize

from dem_jax.evaluation import metrics
from dem_jax.model import blur
from dem_jax.start import kernel_estimation


def random_kernel(size, seed=0):
    return np.random.default_rng(seed).dirichlet(0.3 * np.ones(size**2)).reshape(size, size)


def cyclic_blur(planes, kernel):
    """By sums of shifted planes: an implementation without transforms."""
    half = len(kernel) // 2
    offsets = np.ndindex(kernel.shape)
    return sum(kernel[i, j] * np.roll(planes, (i - half, j - half), (-2, -1)) for i, j in offsets)


@pytest.mark.parametrize("size", [3, 7])
def test_fit_kernel_finds_the_kernel_between_two_pictures(size):
    edges = np.random.default_rng(size).normal(size=(2, 24, 30))
    kernel = random_kernel(size)
    fitted = kernel_estimation.fit_kernel(
        jnp.asarray(edges, jnp.float32),
        jnp.asarray(cyclic_blur(edges, kernel), jnp.float32),
        jnp.ones((size, size)),
        0.0,
    )
    np.testing.assert_allclose(fitted, kernel, atol=1e-3)


def test_fit_kernel_is_ridged_nonnegative_least_squares():
    """Against the dense problem, solved by the active sets of Lawson and Hanson."""
    rng, size, ridge = np.random.default_rng(1), 5, 0.02
    edges = ndimage.gaussian_filter(rng.normal(size=(2, 24, 24)), (0, 0.6, 0.6), mode="wrap")
    target = cyclic_blur(edges, random_kernel(size)) + 0.1 * rng.normal(size=edges.shape)
    support = np.ones((size, size), np.float32)
    support[:, 0] = 0
    columns = []
    for i, j in np.argwhere(support):
        point = np.zeros((size, size))
        point[i, j] = 1
        columns.append(cyclic_blur(edges, point).ravel())
    power = np.sqrt(np.sum(edges**2))
    matrix = np.stack(columns, axis=1) / power
    matrix = np.concatenate([matrix, np.sqrt(ridge) * np.eye(matrix.shape[1])])
    right = np.concatenate([target.ravel() / power, np.zeros(matrix.shape[1])])
    solution, _ = optimize.nnls(matrix, right)
    assert (solution == 0).any()  # the constraint matters
    expected = np.zeros((size, size))
    expected[support > 0] = solution / solution.sum()
    fitted = kernel_estimation.fit_kernel(
        jnp.asarray(edges, jnp.float32),
        jnp.asarray(target, jnp.float32),
        support,
        ridge,
        iterations=500,
    )
    np.testing.assert_allclose(fitted, expected, atol=1e-3)


def test_fit_kernel_without_edges_gives_the_kernel_that_does_not_blur():
    nothing = jnp.zeros((2, 16, 16))
    kernel = kernel_estimation.fit_kernel(nothing, nothing, jnp.ones((5, 5)), 2e-3)
    np.testing.assert_array_equal(kernel, np.eye(25)[12].reshape(5, 5))


def test_clean_drops_islands_and_faint_entries_and_keeps_a_faint_tail():
    kernel = np.zeros((11, 11), np.float32)
    kernel[5, 3:7] = [1.0, 0.8, 1.0, 0.9]
    kernel[[6, 7, 8], [7, 8, 9]] = 0.04  # a tail that touches by corners only
    kernel[0, 0:2] = 0.08  # an island, brighter than the tail but of little mass
    kernel[9, 1] = 0.01  # less than 2 % of the largest
    kernel[5, 7] = 0.015
    kept = kernel.copy()
    kept[0, 0:2] = kept[9, 1] = kept[5, 7] = 0
    cleaned = kernel_estimation.clean(jnp.asarray(kernel), 0.02, 0.05)
    np.testing.assert_allclose(jnp.sum(cleaned), 1, rtol=1e-6)
    assert metrics.kernel_correlation(cleaned, kept) > 1 - 1e-6
    assert np.abs(blur.centre_of_mass(cleaned)).max() <= 0.5
    np.testing.assert_allclose(
        np.sort(cleaned[cleaned > 0]), np.sort(kept[kept > 0]) / kept.sum(), rtol=1e-5
    )


def test_clean_keeps_an_island_of_weight_and_works_under_vmap():
    """Components are SciPy's, for many random kernels at once."""
    rng = np.random.default_rng(0)
    kernels = rng.uniform(size=(20, 9, 9)) * (rng.uniform(size=(20, 9, 9)) < 0.25)
    kernels = np.float32(kernels)
    cleaned = jax.jit(jax.vmap(lambda k: kernel_estimation.clean(k, 0.05, 0.15)))(kernels)
    counts = []
    for kernel, result in zip(kernels, cleaned, strict=True):
        kernel = np.where(kernel < 0.05 * kernel.max(), 0, kernel)
        labels, number = ndimage.label(kernel, np.ones((3, 3)))
        mass = ndimage.sum(kernel, labels, np.arange(number + 1))
        expected = np.where(mass[labels] >= 0.15 * kernel.sum(), kernel, 0)
        counts.append((mass[1:] >= 0.15 * kernel.sum()).sum())
        expected = blur.recentre(jnp.asarray(expected / expected.sum())[None])[0][0]
        np.testing.assert_allclose(result, expected, atol=1e-6)
    assert max(counts) > 1


def test_the_image_of_few_edges_is_the_noisy_picture_without_its_noise():
    """Two flat halves; blurred, so that edges are sharpened as well as noise removed."""
    sharp = np.full((48, 56), 0.2)
    sharp[:, 14:42] = 0.7
    kernel = random_kernel(5)
    noise = 0.01 * np.random.default_rng(0).normal(size=sharp.shape)
    photo = jnp.asarray(cyclic_blur(sharp, kernel) + noise, jnp.float32)
    latent = kernel_estimation.l0_latent(photo, jnp.float32(kernel), jnp.float32(2e-3), 24)
    errors = [np.sqrt(np.mean((x - sharp) ** 2)) for x in (photo, latent)]
    assert errors[1] < 0.005 < 0.04 < errors[0]
