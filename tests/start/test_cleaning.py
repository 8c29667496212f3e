"""What is dropped of an estimate, and what is kept."""

import jax
import jax.numpy as jnp
import numpy as np
from scipy import ndimage

from dem_jax.start.cleaning import without_faint_parts


def test_islands_and_faint_entries_go_and_a_faint_tail_stays():
    kernel = np.zeros((11, 11), np.float32)
    kernel[5, 3:7] = [1.0, 0.8, 1.0, 0.9]
    kernel[[6, 7, 8], [7, 8, 9]] = 0.04  # a tail that touches by corners only
    kernel[0, 0:2] = 0.08  # an island, brighter than the tail but of little mass
    kernel[9, 1] = 0.01  # less than 2 % of the largest
    kernel[5, 7] = 0.015
    kept = kernel.copy()
    kept[0, 0:2] = kept[9, 1] = kept[5, 7] = 0
    np.testing.assert_array_equal(without_faint_parts(jnp.asarray(kernel), 0.02, 0.05), kept)


def test_an_island_of_weight_stays_and_it_works_under_vmap():
    """Components are SciPy's, for many random kernels at once."""
    rng = np.random.default_rng(0)
    kernels = rng.uniform(size=(20, 9, 9)) * (rng.uniform(size=(20, 9, 9)) < 0.25)
    kernels = np.float32(kernels)
    cleaned = jax.jit(jax.vmap(lambda k: without_faint_parts(k, 0.05, 0.15)))(kernels)
    counts = []
    for kernel, result in zip(kernels, cleaned, strict=True):
        kernel = np.where(kernel < 0.05 * kernel.max(), 0, kernel)
        labels, number = ndimage.label(kernel, np.ones((3, 3)))
        mass = ndimage.sum(kernel, labels, np.arange(number + 1))
        expected = np.where(mass[labels] >= 0.15 * kernel.sum(), kernel, 0)
        counts.append((mass[1:] >= 0.15 * kernel.sum()).sum())
        np.testing.assert_allclose(result, expected, atol=1e-6)
    assert max(counts) > 1
