"""Verdicts: extents of known kernels, and which sentence which number calls for."""

import dataclasses
import types

import jax
import numpy as np
import pytest

from dem_jax.config import DeblurConfig
from dem_jax.evaluation import camera_shake
from dem_jax.runtime.report import verdict
from dem_jax.start.problem import prepare
from dem_jax.types import Given

FINE = verdict.Evidence(3.0, 0.0, 0.0, 0.0, 0.01, 0.01, 0.001, 0.1, None)
CONFIG = DeblurConfig(kernel_size=31)


def line(length, size=31):
    kernel = np.zeros((1, size, size), np.float32)
    kernel[0, size // 2, size // 2 - length // 2 : size // 2 + length // 2 + 1] = 1 / length
    return kernel


def bell(std, size=31):
    along = np.exp(-0.5 * (np.arange(size) - size // 2) ** 2 / std**2)
    kernel = along[:, None] * along
    return (kernel / kernel.sum())[None]


def test_extent_of_known_kernels():
    np.testing.assert_allclose(verdict.kernel_extent(line(1)), 0)
    for length in (3, 5, 9):  # a row of n equal values has variance (n^2 - 1) / 12, columns none
        expected = np.sqrt((length**2 - 1) / 12 / 2)
        np.testing.assert_allclose(verdict.kernel_extent(line(length)), expected, rtol=1e-5)
    kernels = np.concatenate([bell(1.0), bell(2.5)])
    np.testing.assert_allclose(verdict.kernel_extent(kernels), [1.0, 2.5], rtol=0.06)


def test_a_faint_floor_does_not_count_as_blur():
    kernel = 0.99 * line(1) + 0.01 / 31**2
    assert verdict.kernel_extent(kernel) == 0


@pytest.mark.parametrize(
    ("changes", "last"), [((0.3, 0.0), 0.3), ((0.3, 0.6), 0.6), ((0.0,), None), ((), None)]
)
def test_the_kernels_change_is_that_by_the_last_m_step(changes, last):
    """EM ends with an E-step alone, an interrupted one with an M-step."""
    latent = np.zeros((8, 9, 1))
    problem = types.SimpleNamespace(start_latent=latent, noise_std=0.01)
    history = [{"residual_std": 0.01, "kernel_change": change} for change in changes]
    evidence = verdict.weigh(np.zeros((8, 9, 1)), problem, line(5), history)
    assert evidence.kernel_change == last


def test_overexposure_counts_by_its_reach():
    photo = np.full((40, 60, 3), 0.5)
    assert verdict.clipped_reach(photo, line(9)) == 0
    photo[20, 10::20, 0] = 1.0  # three lamps of one pixel
    assert verdict.clipped_share(photo) == 3 / 2400
    assert verdict.clipped_reach(photo, line(9)) == 3 * 17 / 2400
    assert verdict.clipped_reach(photo, bell(1.0)) > 10 * verdict.clipped_share(photo)


def test_nothing_to_say_of_a_fine_result():
    assert verdict.warnings(FINE, CONFIG) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"kernel_extent": 0.7}, "the photo was kept as it is"),
        ({"kernel_extent": 1.2}, "most of the photo was kept"),
        ({"kernel_border_mass": 0.05}, "--kernel_size=47"),
        ({"clipped_share": 0.25, "clipped_reach": 0.3}, "25% of the pixels are overexposed"),
        ({"clipped_share": 0.015, "clipped_reach": 0.2}, "1.5% of the pixels are overexposed"),
        ({"residual_std": 0.05}, "misfit 5 times the noise"),
        ({"excess": 0.1}, "rings beside edges"),
        ({"kernel_change": 0.9}, "--em_iterations"),
        ({"kernel_confidence": 0.72}, "agree to 72% only"),
        ({"kernel_confidence": 0.72, "kernel_extent": 0.1}, "doubtful"),
    ],
)
def test_each_number_has_its_sentence(change, said):
    (sentence,) = verdict.warnings(FINE._replace(**change), CONFIG)
    assert said in sentence
    assert sentence.endswith(".")


def test_kernels_of_a_grid_cannot_be_asked_to_be_larger():
    grid = dataclasses.replace(CONFIG, patch_grid=(2, 2))
    (sentence,) = verdict.warnings(FINE._replace(kernel_border_mass=0.05), grid)
    assert "--crop" in sentence
    assert "--kernel_size" not in sentence


@pytest.mark.parametrize("change", [{"kernel_border_mass": 0.05}, {"excess": 0.1}])
def test_a_larger_kernel_is_advised_where_it_changes_anything(change):
    """Not where the program chose the size below the largest, nor beyond half of the photo."""

    def said(most):
        return " ".join(verdict.warnings(FINE._replace(**change), CONFIG, most))

    assert "--kernel_size=47" in said(101)
    assert "--kernel_size=39" in said(39)
    assert "--kernel_size" not in said(31)


def test_given_kernels_are_not_asked_to_be_larger():
    fixed = dataclasses.replace(CONFIG, kernels="fixed")
    assert verdict.warnings(FINE._replace(kernel_border_mass=0.05), fixed) == []


def test_little_blur_gives_the_photo_back_and_a_share_between():
    rng = np.random.default_rng(0)
    photo, latent = rng.random((2, 8, 9, 1), dtype=np.float32)
    for extent, share in ((0.0, 0), (1.0, 0), (1.2, 0.5), (1.4, 1), (5.0, 1)):
        evidence = FINE._replace(kernel_extent=extent)
        image, _ = verdict.decide(evidence, photo, latent, CONFIG)
        np.testing.assert_allclose(image, share * latent + (1 - share) * photo, atol=1e-6)
        assert image.dtype == np.float32


def test_kernels_that_the_user_fixed_are_believed():
    config = DeblurConfig(kernels="fixed")
    photo, latent = np.zeros((2, 8, 9, 1), np.float32)
    latent = latent + 1
    image, said = verdict.decide(FINE._replace(kernel_extent=0.1), photo, latent, config)
    np.testing.assert_array_equal(image, latent)
    assert said == []


@pytest.mark.parametrize(
    ("extent", "confidence", "said", "share"),
    [
        (0.4, 0.95, verdict.LITTLE_BLUR, 0),
        (0.8, 0.95, verdict.FOUND, 0.5),
        (1.2, 0.95, verdict.FOUND, 1),
        (0.4, 0.7, verdict.DOUBTFUL, 1),  # nobody knows: it may be blurred
        (0.4, None, verdict.LITTLE_BLUR, 0),
        (3.0, None, verdict.FOUND, 1),
    ],
)
def test_a_photo_is_kept_only_where_candidates_agree_on_little_blur(
    extent, confidence, said, share
):
    evidence = FINE._replace(kernel_extent=extent, kernel_confidence=confidence)
    assert verdict.finding(evidence) == said
    assert verdict.trust(evidence) == pytest.approx(share)


def test_a_doubtful_blur_that_ruins_the_photo_is_not_removed():
    """Of a screenshot that shows a photo, say; with kernels of the user's own it is."""
    photo, latent = np.zeros((2, 8, 9, 1), np.float32)
    latent = latent + 1
    evidence = FINE._replace(kernel_extent=9.0, kernel_confidence=0.88, excess=0.18)
    image, said = verdict.decide(evidence, photo, latent, CONFIG)
    np.testing.assert_array_equal(image, photo)
    assert len(said) == 2
    assert "the photo was kept as it is" in said[1]
    assert verdict.finding(evidence) == verdict.DOUBTFUL
    for change in ({"excess": 0.01}, {"kernel_confidence": 0.97}):
        image, _ = verdict.decide(evidence._replace(**change), photo, latent, CONFIG)
        np.testing.assert_array_equal(image, latent)
    fixed = DeblurConfig(kernels="fixed")
    image, said = verdict.decide(evidence, photo, latent, fixed)
    np.testing.assert_array_equal(image, latent)
    assert "rings" in said[0]


def test_rings_of_a_wrong_grid_of_kernels_are_told():
    """A photo of little blur, restored with long kernels that differ from patch to patch."""
    data = pytest.importorskip("skimage.data")
    sharp = np.asarray(data.camera()[100:260, 100:300], np.float32)[..., None] / 255
    kernels = np.tile(bell(0.8), (6, 1, 1)).astype(np.float32)
    wrong = np.stack([np.rot90(line(25)[0], number % 2) for number in range(6)])
    photo = np.asarray(camera_shake.blur_uniform(sharp, kernels[0]))
    config = DeblurConfig(kernel_size=31, patch_grid=(2, 3))
    start = jax.jit(lambda g, k: prepare(jax.random.key(0), Given(g, kernel=k), config))

    def said(kernels):
        evidence = verdict.weigh(photo, start(photo, kernels), kernels, [])
        return " ".join(verdict.warnings(evidence, config))

    assert "rings" in said(wrong)
    assert "rings" not in said(kernels)
