import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dem_jax.config import DeblurConfig, WarmStartConfig
from dem_jax.evaluation import protocols
from dem_jax.runtime.files import images
from dem_jax.start.warm_start import entropy, warm_start


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


@pytest.mark.parametrize("starts", [{"path_sparsity": ()}, {"line_sparsity": ()}, {}])
def test_every_kind_of_start_along_a_path_gives_kernels(starts):
    start = WarmStartConfig(alternations=1, splittings=3, **starts)
    config = DeblurConfig(kernel_size=5, patch_grid=(1, 2), start=start)
    photo = jax.random.uniform(jax.random.key(0), (30, 36, 1))
    kernels, latent = jax.jit(warm_start, static_argnums=1)(photo, config)
    assert latent.shape == (34, 40, 1)
    assert bool((kernels >= 0).all())
    np.testing.assert_allclose(kernels.sum((1, 2)), [1, 1], rtol=1e-4)


def test_a_path_needs_a_start():
    with pytest.raises(ValueError, match="both empty"):
        WarmStartConfig(path_sparsity=(), line_sparsity=())


def test_strong_edges_give_their_part_of_the_kernel():
    ramp = jnp.linspace(0, 6, 48)
    photo = 0.5 + 0.4 * jnp.sin(ramp[:, None] + jnp.cos(2 * ramp[None]))[..., None]

    def kernel(part):
        start = WarmStartConfig(
            alternations=1, splittings=3, sparsity=(8e-3,), reach=(1.0,), strong_edges=part
        )
        config = DeblurConfig(kernel_size=7, start=start)
        return jax.jit(lambda g: warm_start(g, config)[0])(photo)

    without, half, alone = kernel(0.0), kernel(0.5), kernel(1.0)
    np.testing.assert_allclose(half, (without + alone) / 2, atol=1e-6)
    assert jnp.abs(without - alone).max() > 1e-3
    with pytest.raises(ValueError, match=r"strong_edges=1\.5 must be between 0 and 1"):
        kernel(1.5)
