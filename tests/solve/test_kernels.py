"""One kernel, in other pixels."""

import jax.numpy as jnp
import numpy as np

from dem_jax.solve.kernels import zoom_kernel


def test_a_kernel_keeps_its_sum_and_place_when_it_is_zoomed():
    kernel = jnp.zeros((9, 9)).at[4, 3:6].set(1 / 3)
    large = zoom_kernel(kernel, 19, 2.0)
    np.testing.assert_allclose(large.sum(), 1, rtol=1e-6)
    np.testing.assert_allclose(large, large[::-1, ::-1], atol=1e-6)
    assert large[9, 6:13].sum() > 0.3
