"""The quick deconvolution of the search for kernels."""

import jax
import jax.numpy as jnp
import numpy as np

from dem_jax.solve.hyper_laplacian import hyper_laplacian


def test_a_blurred_step_is_sharp_again():
    sharp = np.zeros((40, 48), np.float32)
    sharp[:, 24:] = 0.7
    kernel = jnp.zeros((7, 7)).at[3].set(1 / 7)
    photo = jax.scipy.signal.convolve2d(sharp, kernel, mode="valid")
    latent = jax.jit(hyper_laplacian)(photo, kernel, 1e-5)
    assert latent.shape == sharp.shape
    np.testing.assert_allclose(latent[6:-6, 6:-6], sharp[6:-6, 6:-6], atol=0.02)
