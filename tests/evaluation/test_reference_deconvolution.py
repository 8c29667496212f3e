"""The reference deconvolution: its shrinkage by brute force, its results on solvable pictures."""

import numpy as np
import pytest
import scipy.signal

from dem_jax.evaluation import metrics, reference_deconvolution


@pytest.mark.parametrize("exponent", [0.5, 2 / 3, 0.8])
@pytest.mark.parametrize("strength", [1e-3, 0.1])
def test_shrink_is_the_brute_force_minimum(exponent, strength):
    values = np.linspace(-1, 1, 21)
    candidates = np.linspace(-1.2, 1.2, 24001)
    cost = strength * np.abs(candidates) ** exponent
    cost = cost[None] + 0.5 * (candidates[None] - values[:, None]) ** 2
    found = reference_deconvolution.shrink(values, strength=strength, exponent=exponent)
    found_cost = strength * np.abs(found) ** exponent + 0.5 * (found - values) ** 2
    np.testing.assert_allclose(found_cost, cost.min(axis=1), atol=1e-7)


def blocks(size):
    """A picture of flat blocks, which the prior describes."""
    rng = np.random.default_rng(0)
    return np.kron(rng.random((size // 8, size // 8)), np.ones((8, 8)))


def moving_kernel():
    """A lopsided kernel, so that a wrong orientation is noticed."""
    kernel = np.zeros((7, 7))
    kernel[np.arange(6), np.arange(6)] = np.arange(1, 7)
    return kernel / kernel.sum()


def test_known_kernel_restores_flat_blocks_up_to_the_border():
    latent = blocks(72)
    kernel = moving_kernel()
    photo = scipy.signal.convolve2d(latent, kernel, mode="valid")
    sharp = latent[3:-3, 3:-3]
    restored = reference_deconvolution.deconvolve(photo, kernel)
    assert metrics.psnr(photo, sharp) < 23
    assert metrics.psnr(restored.image, sharp) > 33
    turned = reference_deconvolution.deconvolve(photo, kernel[::-1, ::-1])
    assert turned.energy > restored.energy
    either = reference_deconvolution.deconvolve_unknown_orientation(photo, kernel[::-1, ::-1])
    np.testing.assert_allclose(either.image, restored.image, atol=1e-9)


def test_channels_are_independent():
    photo = np.stack([blocks(32), 1 - blocks(32)], axis=2)
    kernel = moving_kernel()
    together = reference_deconvolution.deconvolve(photo, kernel)
    alone = reference_deconvolution.deconvolve(photo[..., 1], kernel)
    assert together.image.shape == photo.shape
    np.testing.assert_allclose(together.image[..., 1], alone.image)


def test_bad_kernels_get_a_clear_sentence():
    photo = blocks(32)
    with pytest.raises(ValueError, match="odd"):
        reference_deconvolution.deconvolve(photo, np.ones((4, 4)))
    with pytest.raises(ValueError, match="non-negative"):
        reference_deconvolution.deconvolve(photo, -np.ones((5, 5)))


@pytest.mark.slow
def test_true_kernel_on_a_levin_photo(data_folder):
    image = pytest.importorskip("PIL.Image")

    def read(name):
        return np.asarray(image.open(data_folder / "levin" / name), np.float64) / 255

    restored = reference_deconvolution.deconvolve_unknown_orientation(
        read("blurry/im1_kernel1_img.png"), read("kernels/kernel1.png")
    )
    aligned = metrics.register_shift(restored.image, read("sharp/im1.png"), max_shift=5)
    assert metrics.psnr(aligned.result, aligned.truth) > 34.5
