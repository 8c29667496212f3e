"""The evidence of kernels: its terms against closed forms, its search against what it searches."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from lines import kernels_of
from scipy import ndimage, signal

from dem_jax.evaluation import metrics
from dem_jax.start import evidence
from dem_jax.start.views import View

ENERGY = jax.jit(evidence.free_energy)
IMPROVED = jax.jit(evidence.improved, static_argnames="times")


def photo_by(kernel, sharp, rng, noise=0.002):
    photo = signal.fftconvolve(sharp, np.asarray(kernel), mode="valid")
    return jnp.asarray(photo + noise * rng.normal(size=photo.shape), jnp.float32)


def blocks(rng, shape=(120, 150)):
    """A picture of blocks and fine texture, of range one."""
    rows, cols = shape
    coarse = np.kron(rng.uniform(size=(rows // 6, cols // 6)), np.ones((6, 6)))
    return 0.9 * coarse + 0.1 * ndimage.gaussian_filter(rng.normal(size=coarse.shape), 0.5)


def shake(rng, size=9):
    """A kernel: a walk of unequal stays."""
    kernel, place = np.zeros((size, size)), np.array([size // 2, size // 2])
    for _ in range(3 * size):
        kernel[tuple(place)] += rng.uniform()
        place = np.clip(place + rng.integers(-1, 2, 2), 1, size - 2)
    return kernel / kernel.sum()


def point(size=9):
    return np.zeros((size, size)) + np.eye(size)[:, size // 2, None] * np.eye(size)[size // 2]


@pytest.mark.parametrize("seed", range(3))
def test_the_photos_kernel_has_most_evidence(seed):
    rng = np.random.default_rng(seed)
    true = shake(rng)
    view = View(photo_by(true, blocks(rng), rng))
    others = [point(), ndimage.gaussian_filter(true, 0.7), true[::-1], np.ones((9, 9)) / 81]
    energies = [float(ENERGY(view, kernel)) for kernel in kernels_of(true, *others)]
    assert np.argmin(energies) == 0


@pytest.mark.parametrize("seed", range(4))
def test_a_nearly_right_kernel_wins_that_leaves_waves(seed):
    rng = np.random.default_rng(seed)
    sharp = np.ones((160, 200))
    for row, col in zip(rng.integers(30, 125, 90), rng.integers(10, 180, 90), strict=True):
        sharp[row : row + rng.integers(2, 9), col : col + rng.integers(2, 5)] = 0
    true, doubled = np.zeros((2, 15, 15))
    true[4, 3:6], true[10, 9:12] = 1, 1.2
    true /= true.sum()
    doubled[7, 6:9] = 1
    mistakes = (rng.uniform(size=true.shape) < 0.08) * rng.uniform(size=true.shape)
    view = View(photo_by(true, sharp, rng))
    wrong, right = kernels_of(doubled + 0.1 * true, true + 0.03 * mistakes)
    assert ENERGY(view, right) < ENERGY(view, wrong)


def test_without_any_image_only_the_volume_counts():
    # Nothing but grey is explained by every kernel; what is left is the determinant.
    view, k = View(jnp.full((64, 80), 0.5)), 9
    rng = np.random.default_rng(0)
    for kernel in (point(k), shake(rng, k)):
        spectrum = np.abs(np.fft.fft2(kernel, (72, 72))) ** 2
        waves = 2 - 2 * np.cos(2 * np.pi * np.fft.fftfreq(72))
        curvature = spectrum + 0.1 * (waves[:, None] + waves[None])
        # Half of the transform is kept: its frequencies are not counted by how often they occur.
        expected = 0.5 * np.log(curvature)[:, : 72 // 2 + 1].mean()
        assert ENERGY(view, kernels_of(kernel)[0]) == pytest.approx(expected, abs=2e-3)


@pytest.mark.parametrize("seed", range(3))
def test_every_improvement_has_more_evidence_and_leads_to_the_photos_kernel(seed):
    rng = np.random.default_rng(seed)
    true = shake(rng)
    view = View(photo_by(true, blocks(rng), rng))
    kernel = kernels_of(ndimage.gaussian_filter(true, 0.6) + 0.2 * shake(rng) / 81)[0]
    better = IMPROVED(view, kernel, times=8)
    assert ENERGY(view, better) < ENERGY(view, kernel)
    before, after = (float(metrics.kernel_correlation(k, true)) for k in (kernel, better))
    assert after > before + 0.02
    assert better.sum() == pytest.approx(1, abs=1e-5)
    assert better.min() >= 0


@pytest.mark.parametrize("seed", range(3))
def test_noise_does_not_make_an_improvement_harm(seed):
    # A noise that counts twice makes images too smooth, and the kernels too sharp.
    rng = np.random.default_rng(seed)
    true = shake(rng)
    view = View(photo_by(true, blocks(rng, (240, 300)), rng, noise=0.03))
    kernel = kernels_of(ndimage.gaussian_filter(true, 0.6))[0]
    better = IMPROVED(view, kernel, times=8)
    before, after = (float(metrics.kernel_correlation(k, true)) for k in (kernel, better))
    assert after > before


def test_neither_padding_nor_what_is_not_trusted_counts():
    rng = np.random.default_rng(1)
    true = shake(rng)
    photo = photo_by(true, blocks(rng), rng)
    padded = jnp.pad(photo, ((0, 12), (0, 20)), constant_values=7.0)
    kernel = kernels_of(ndimage.gaussian_filter(true, 0.6))[0]
    plain, size = View(photo), View(padded, jnp.asarray(photo.shape))
    np.testing.assert_allclose(ENERGY(size, kernel), ENERGY(plain, kernel), atol=5e-3)
    improve = functools.partial(IMPROVED, times=2)
    assert metrics.kernel_correlation(improve(size, kernel), improve(plain, kernel)) > 0.995
    trusted = jnp.ones(photo.shape, bool).at[40:60, 50:70].set(False)
    spoilt = View(photo, trusted=trusted)
    assert metrics.kernel_correlation(improve(spoilt, kernel), improve(plain, kernel)) > 0.99


def test_many_kernels_at_once_and_one_by_one_are_the_same():
    rng = np.random.default_rng(2)
    kernels = kernels_of(shake(rng), shake(rng))
    view = View(photo_by(kernels[0], blocks(rng), rng))
    both = jax.vmap(lambda kernel: evidence.improved(view, kernel, times=2))(kernels)
    for kernel, found in zip(kernels, both, strict=True):
        np.testing.assert_allclose(IMPROVED(view, kernel, times=2), found, atol=1e-4)
