import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dem_jax.config import DeblurConfig
from dem_jax.evaluation import protocols
from dem_jax.inference.warm_start import entropy, warm_start
from dem_jax.runtime import images


def test_entropy_is_the_logarithm_of_the_pixels_covered():
    kernels = jnp.zeros((2, 5, 5)).at[0, 1, 1:4].set(1 / 3).at[1, 2, 2].set(1.0)
    np.testing.assert_allclose(entropy(kernels[:1]), np.log(3), rtol=1e-6)
    np.testing.assert_allclose(entropy(kernels), np.log(3) / 2, rtol=1e-6)  # a point has none


@pytest.mark.slow
def test_a_kernel_twice_too_large_costs_nothing(data_folder):
    """Without the entropy a kernel with a faint floor was chosen, five decibels worse."""
    photo = images.read_photo(data_folder / "levin" / "blurry" / "im2_kernel7_img.png").pixels
    truth = images.read_photo(data_folder / "levin" / "sharp" / "im2.png").pixels

    def psnr(size):
        config = DeblurConfig(kernel_size=size)
        _, latent = jax.jit(lambda g: warm_start(g, config))(jnp.asarray(photo))
        inner = slice(size // 2, -(size // 2))
        result = np.clip(np.asarray(latent)[inner, inner], 0, 1)
        return protocols.levin_score(result, truth)["psnr"]

    assert psnr(45) > psnr(23) - 0.3
