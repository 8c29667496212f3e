"""Metrics against independent implementations and against pictures moved by known amounts."""

import itertools

import numpy as np
import pytest
import scipy.ndimage
import scipy.signal

from dem_jax.evaluation import metrics


def picture(rows=64, cols=72, channels=None, seed=0):
    """Random but smooth, so that a sub-pixel motion is well defined."""
    shape = (rows, cols) if channels is None else (rows, cols, channels)
    noise = np.random.default_rng(seed).normal(size=shape)
    sigma = (2, 2) if channels is None else (2, 2, 0)
    smooth = scipy.ndimage.gaussian_filter(noise, sigma)
    return 0.5 + 0.4 * smooth / np.abs(smooth).max()


def noisy(image, std, seed=1):
    return image + std * np.random.default_rng(seed).normal(size=image.shape)


def test_psnr_of_equal_pictures_and_of_no_numbers():
    grey = np.full((8, 8), 0.5)
    assert metrics.psnr(grey, grey) == np.inf
    assert np.isnan(metrics.psnr(grey * np.nan, grey))


@pytest.mark.parametrize("channels", [None, 1, 3])
def test_psnr_and_ssim_equal_scikit_image(channels):
    skimage_metrics = pytest.importorskip("skimage.metrics")
    truth = picture(channels=channels)
    result = noisy(truth, 0.05)
    axis = None if channels is None else 2
    expected = skimage_metrics.peak_signal_noise_ratio(truth, result, data_range=1)
    assert metrics.psnr(result, truth) == pytest.approx(expected, abs=1e-9)
    expected = skimage_metrics.structural_similarity(
        truth,
        result,
        data_range=1,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        channel_axis=axis,
    )
    assert metrics.ssim(result, truth) == pytest.approx(expected, abs=1e-9)


def test_psnr_and_ssim_equal_dm_pix():
    dm_pix = pytest.importorskip("dm_pix")
    truth = picture(channels=3).astype(np.float32)
    result = noisy(truth, 0.05).astype(np.float32)
    assert metrics.psnr(result, truth) == pytest.approx(float(dm_pix.psnr(truth, result)), abs=1e-3)
    assert metrics.ssim(result, truth) == pytest.approx(float(dm_pix.ssim(truth, result)), abs=1e-4)


def test_identical_pictures_are_perfect():
    truth = picture(180, 180)
    assert metrics.psnr(truth, truth) == float("inf")
    assert metrics.ssim(truth, truth) == pytest.approx(1)
    for variant in ("wang", "metrix"):
        assert metrics.multiscale_ssim(truth, truth, variant=variant) == pytest.approx(1)


def test_multiscale_ssim_equals_a_direct_transcription():
    """The definition, with dense windows and no shared code."""
    a, b = picture(181, 190), noisy(picture(181, 190), 0.1)
    window = np.outer(*[np.exp(-(np.arange(-5, 6) ** 2) / 4.5)] * 2)
    window /= window.sum()

    def mean(x):
        return scipy.signal.convolve(x, window, mode="valid", method="direct")

    score, x, y = 1.0, a, b
    for weight in (0.0448, 0.2856, 0.3001, 0.2363, None):
        mx, my = mean(x), mean(y)
        covariance = mean(x * y) - mx * my
        spread = mean(x * x) - mx**2 + mean(y * y) - my**2
        structure = (2 * covariance + 0.0009) / (spread + 0.0009)
        luminance = (2 * mx * my + 0.0001) / (mx**2 + my**2 + 0.0001)
        if weight is None:
            score *= np.mean(structure * luminance) ** 0.1333
            break
        score *= np.mean(structure) ** weight
        x, y = (
            scipy.ndimage.correlate(z, np.full((2, 2), 0.25), origin=-1, mode="reflect")[::2, ::2]
            for z in (x, y)
        )
    assert metrics.multiscale_ssim(b, a) == pytest.approx(score, abs=1e-9)


def test_multiscale_variants_agree_roughly_and_fall_with_noise():
    truth = picture(180, 200)
    for variant in ("wang", "metrix"):
        scores = [
            metrics.multiscale_ssim(noisy(truth, std), truth, variant=variant)
            for std in (0.02, 0.1, 0.3)
        ]
        assert scores == sorted(scores, reverse=True)
    wang = metrics.multiscale_ssim(noisy(truth, 0.1), truth)
    metrix = metrics.multiscale_ssim(noisy(truth, 0.1), truth, variant="metrix")
    assert wang == pytest.approx(metrix, abs=0.05)


def test_luma_follows_the_stated_rules():
    colours = np.array([[[0.0, 0, 0], [1, 1, 1], [1, 0, 0], [0, 1, 0]]])
    np.testing.assert_allclose(
        metrics.luma(colours)[0] * 255, [16, 235, 81.481, 144.553], atol=1e-9
    )
    np.testing.assert_allclose(metrics.luma(colours, rule="rec601")[0], [0, 1, 0.299, 0.587])
    grey = picture()
    np.testing.assert_array_equal(metrics.luma(grey[..., None]), grey)


def test_scale_intensity_undoes_any_factor():
    truth = picture(channels=3)
    np.testing.assert_allclose(metrics.scale_intensity(0.37 * truth, truth), truth, atol=1e-12)
    black = np.zeros_like(truth)
    np.testing.assert_array_equal(metrics.scale_intensity(black, truth), black)


@pytest.mark.parametrize("shift", [(0, 0), (1.25, -2.5), (-3, 0.75), (5, -5)])
@pytest.mark.parametrize("channels", [None, 3])
def test_a_known_shift_is_found_and_undone(shift, channels):
    result = picture(channels=channels)
    offset = shift if channels is None else (*shift, 0)
    truth = scipy.ndimage.shift(result, [-s for s in offset], order=1, mode="nearest")
    registered = metrics.register_shift(result, truth, max_shift=5)
    assert registered.shift == shift
    assert registered.truth.shape[:2] == (34, 42)
    np.testing.assert_allclose(registered.result, registered.truth, atol=1e-12)
    assert metrics.psnr(registered.result, registered.truth) > 200


def test_best_shift_is_the_exhaustive_minimum():
    truth = picture(40, 44)
    moved = scipy.ndimage.shift(truth, (0.6, -1.1), order=3, mode="nearest")
    result = noisy(moved, 0.1)
    steps = np.arange(-2, 2.25, 0.25)
    inside = slice(15, -15)

    def error(shift):
        candidate = scipy.ndimage.shift(result, [-s for s in shift], order=1, mode="nearest")
        return np.sum((candidate - truth)[inside, inside] ** 2)

    best = min(itertools.product(steps, steps), key=error)
    registered = metrics.register_shift(result, truth, max_shift=2)
    assert registered.shift == best
    found = np.sum((registered.result - registered.truth) ** 2)
    assert found == pytest.approx(error(best), rel=1e-9)


@pytest.mark.parametrize("motion", ["rigid", "homography"])
def test_a_known_rotation_is_undone(motion):
    pytest.importorskip("cv2")
    truth = picture(120, 140, channels=3)
    angle = 1.5
    result = scipy.ndimage.rotate(truth, angle, axes=(0, 1), reshape=False, order=3, mode="nearest")
    result = np.roll(result, (2, -1), axis=(0, 1))
    shifted = metrics.register_shift(result, truth, max_shift=5)
    turned = metrics.register_motion(result, truth, motion=motion)
    assert metrics.psnr(shifted.result, shifted.truth) < 32
    assert metrics.psnr(turned.result, turned.truth) > 45
    assert turned.result.shape == turned.truth.shape == (90, 110, 3)


def test_motion_that_cannot_be_fitted_falls_back_to_the_shift():
    pytest.importorskip("cv2")
    truth = picture(80, 80)
    constant = np.full_like(truth, 0.5)
    shifted = metrics.register_shift(constant, truth, max_shift=10)
    fitted = metrics.register_motion(constant, truth, motion="rigid")
    np.testing.assert_allclose(fitted.result, shifted.result, atol=1e-6)


def test_whole_pixel_registration_scores_only_the_overlap():
    truth = picture(50, 60, channels=3)
    result = np.roll(truth, (3, -7), axis=(0, 1))
    registered = metrics.register_whole_pixels(result, truth)
    assert registered.shift == (3, -7)
    np.testing.assert_allclose(registered.result, registered.truth)
    np.testing.assert_array_equal(registered.truth[-3:], 0)
    np.testing.assert_array_equal(registered.truth[:, :7], 0)
    np.testing.assert_array_equal(registered.truth[:-3, 7:], truth[:-3, 7:])


def test_error_ratio_is_one_for_the_reference_and_quadratic_in_the_error():
    truth = picture()
    reference = noisy(truth, 0.01)
    same = metrics.error_ratio(reference, reference, truth)
    assert same == pytest.approx((1, 1))
    double = metrics.error_ratio(2 * reference - truth, reference, truth, max_shift=0)
    assert double.squared == pytest.approx(4)
    assert double.spectral == pytest.approx(2)


def test_the_reference_may_lie_further_off_than_the_result():
    truth = picture()
    reference = np.roll(noisy(truth, 0.01), 8, axis=0)
    ratio = metrics.error_ratio(noisy(truth, 0.01), reference, truth)
    assert ratio.squared == pytest.approx(1, rel=0.1)


def test_kernel_correlation_ignores_shifts_and_size():
    kernel = np.random.default_rng(0).random((5, 5))
    moved = np.pad(kernel, ((3, 1), (0, 4)))
    assert metrics.kernel_correlation(moved, 3 * kernel) == pytest.approx(1)
    assert metrics.kernel_correlation(kernel[::-1, ::-1], kernel) < 0.99


def test_bad_input_gets_a_clear_sentence():
    image = picture()
    with pytest.raises(ValueError, match="must agree"):
        metrics.psnr(image, image[1:])
    with pytest.raises(ValueError, match="176x176"):
        metrics.multiscale_ssim(image, image)
    with pytest.raises(ValueError, match="max_shift"):
        metrics.register_shift(image, image, max_shift=16)
    with pytest.raises(ValueError, match="31x31"):
        metrics.register_shift(image[:20], image[:20], max_shift=5)
    with pytest.raises(ValueError, match="3 channels"):
        metrics.luma(np.ones((4, 4, 2)))
    with pytest.raises(ValueError, match="reference"):
        metrics.error_ratio(image, image, image)
    with pytest.raises(ValueError, match="motion"):
        metrics.register_motion(image, image, motion="affine")
