"""Kernels in other pixels, and compared with each other, against other implementations."""

import jax
import jax.numpy as jnp
import numpy as np
from lines import kernels_of, line
from scipy import ndimage, signal

from dem_jax.solve.kernels import entropy, similarity, zoom_kernel

RNG = np.random.default_rng(0)


def test_a_kernel_keeps_its_sum_and_place_when_it_is_zoomed():
    kernel = jnp.zeros((9, 9)).at[4, 3:6].set(1 / 3)
    large = zoom_kernel(kernel, 19, 2.0)
    np.testing.assert_allclose(large.sum(), 1, rtol=1e-6)
    np.testing.assert_allclose(large, large[::-1, ::-1], atol=1e-6)
    assert large[9, 6:13].sum() > 0.3


def test_similarity_is_the_correlation_under_the_best_shift():
    a, b = RNG.dirichlet(0.3 * np.ones(49), 2).reshape(2, 7, 7)
    found = similarity(kernels_of(a, b))
    a, b = (ndimage.gaussian_filter(np.pad(x, 6), 1.0, mode="constant") for x in (a, b))
    expected = signal.correlate(a, b).max() / np.linalg.norm(a) / np.linalg.norm(b)
    np.testing.assert_allclose(found, [[1, expected], [expected, 1]], atol=1e-3)


def test_similarity_does_not_depend_on_where_kernels_lie():
    moved = np.roll(line(0.5), (1, -1), (0, 1))
    np.testing.assert_allclose(similarity(kernels_of(line(0.5), moved))[0, 1], 1, atol=1e-5)


def test_entropy_is_the_logarithm_of_the_pixels_covered():
    kernels = jnp.zeros((2, 5, 5)).at[0, 1, 1:4].set(1 / 3).at[1, 2, 2].set(1.0)
    with jax.debug_nans(True):  # empty pixels are no 0 log 0
        np.testing.assert_allclose(entropy(kernels[:1]), np.log(3), rtol=1e-6)
        np.testing.assert_allclose(entropy(kernels), np.log(3) / 2, rtol=1e-6)
