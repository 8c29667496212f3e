"""The kernel between two pictures, against solutions that are known."""

import jax.numpy as jnp
import numpy as np
import pytest
from blurred import cyclic_blur, random_kernel
from scipy import ndimage, optimize

from dem_jax.solve.kernel_fit import fit_kernel


@pytest.mark.parametrize("size", [3, 7])
def test_fit_kernel_finds_the_kernel_between_two_pictures(size):
    edges = np.random.default_rng(size).normal(size=(2, 24, 30))
    kernel = random_kernel(size)
    fitted = fit_kernel(
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
    fitted = fit_kernel(
        jnp.asarray(edges, jnp.float32),
        jnp.asarray(target, jnp.float32),
        support,
        ridge,
        iterations=500,
    )
    np.testing.assert_allclose(fitted, expected, atol=1e-3)


def test_fit_kernel_without_edges_gives_the_kernel_that_does_not_blur():
    nothing = jnp.zeros((2, 16, 16))
    kernel = fit_kernel(nothing, nothing, jnp.ones((5, 5)), 2e-3)
    np.testing.assert_array_equal(kernel, np.eye(25)[12].reshape(5, 5))
