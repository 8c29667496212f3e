"""Numbers that say how close a picture is to the truth, and the registrations they need.

Images are [H, W] or [H, W, C] arrays with values in [0, 1] (the peak is 1), computed in float64 on
the host: a judge runs once a photo and has to be exact, not fast. Shifts are (row, column), pixels.
Every function raises ValueError where two pictures differ in shape or are too small for its rule.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import fft, ndimage

Array = npt.NDArray[np.float64]

SSIM_SIGMA, SSIM_RADIUS = 1.5, 5  # 11 x 11 Gaussian windows
SSIM_C1, SSIM_C2 = 0.01**2, 0.03**2
MS_SSIM_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
_REFERENCE_MAX_SHIFT = 10  # pixels, of a deconvolution with a kernel file


class Registered(NamedTuple):
    """A result moved onto the truth, both cropped to the pixels that count."""

    result: Array  # [h, w] or [h, w, C]
    truth: Array  # same shape
    shift: tuple[float, float]  # result(x + shift) lies on truth(x)


class ErrorRatio(NamedTuple):
    """Error of a result over the error of the deconvolution with the true kernel."""

    squared: float  # ratio of sums of squared differences (Levin's definition)
    spectral: float  # ratio of spectral norms of the differences (SelfDeblur's published tables)


# --- colour and intensity -------------------------------------------------------------------------


def luma(image: npt.ArrayLike, *, rule: str = "matlab") -> Array:
    """Brightness of a picture as [H, W]; a grey one ([H, W] or [H, W, 1]) is returned as it is.

    Args:
      image: [H, W], [H, W, 1] or [H, W, 3].
      rule: "matlab" is Y of rgb2ycbcr, (16 + 65.481 R + 128.553 G + 24.966 B) / 255, which lies in
        [16, 235] / 255; "rec601" is 0.299 R + 0.587 G + 0.114 B.
    """
    if rule not in ("matlab", "rec601"):
        raise ValueError(f"rule={rule!r} is unknown; use 'matlab' or 'rec601'.")
    image = np.asarray(image, np.float64)
    if image.ndim == 2:
        return image
    if image.ndim != 3 or image.shape[2] not in (1, 3):
        raise ValueError(f"image has shape {image.shape}; it must be grey or have 3 channels.")
    if image.shape[2] == 1:
        return image[..., 0]
    if rule == "rec601":
        return image @ np.array([0.299, 0.587, 0.114])
    return (image @ np.array([65.481, 128.553, 24.966]) + 16) / 255


def scale_intensity(result: npt.ArrayLike, truth: npt.ArrayLike) -> Array:
    """The result times the one factor a that minimises |a result - truth|^2 (Koehler's rule)."""
    result, truth = _pair(result, truth)
    energy = np.vdot(result, result)
    return result * (np.vdot(result, truth) / energy) if energy > 0 else result


# --- similarity -----------------------------------------------------------------------------------


def psnr(result: npt.ArrayLike, truth: npt.ArrayLike) -> float:
    """Peak signal-to-noise ratio -10 log10(mean squared error) in dB, for a peak of 1.

    Infinite for equal pictures, not a number where a picture is not.
    """
    result, truth = _pair(result, truth)
    error = np.mean((result - truth) ** 2)
    return float("inf") if error == 0 else float(-10 * np.log10(error))


def ssim(result: npt.ArrayLike, truth: npt.ArrayLike) -> float:
    """Structural similarity of Wang et al., IEEE TIP 2004.

    Gaussian windows of 11 x 11 pixels (sigma 1.5), K1 = 0.01, K2 = 0.03, population covariances,
    averaged over the windows that lie inside the picture, and over channels.
    """
    result, truth = _pair(result, truth, smallest=2 * SSIM_RADIUS + 1)
    luminance, contrast, structure = _ssim_maps(result, truth)
    return float(np.mean(luminance * contrast * structure))


def multiscale_ssim(result: npt.ArrayLike, truth: npt.ArrayLike, *, variant: str = "wang") -> float:
    """Multi-scale structural similarity over five scales, factors below zero counting as zero.

    Args:
      result: [H, W] or [H, W, C], at least 176 x 176.
      truth: same shape.
      variant: "wang" is the product of mean(c s)^w over four scales and mean(l c s)^w at the
        coarsest, each scale the 2 x 2 mean of the one before (Wang, Simoncelli and Bovik, Asilomar
        2003). "metrix" is the variant of MeTriX MuX 1.0 behind Koehler's published scores: the
        means of l, c and s are taken apart, and the scales are made by the 9/7 wavelet's low pass.

    Returns:
      The mean over channels.
    """
    if variant not in ("wang", "metrix"):
        raise ValueError(f"variant={variant!r} is unknown; use 'wang' or 'metrix'.")
    smallest = (2 * SSIM_RADIUS + 1) * 2 ** (len(MS_SSIM_WEIGHTS) - 1)
    result, truth = _pair(result, truth, smallest=smallest)
    score = np.ones(result.shape[2:])
    for scale, weight in enumerate(MS_SSIM_WEIGHTS):
        if scale > 0:
            halve = _halve if variant == "wang" else _halve_by_wavelet
            result, truth = halve(result), halve(truth)
        luminance, contrast, structure = _ssim_maps(result, truth)
        if scale < len(MS_SSIM_WEIGHTS) - 1:
            luminance = np.ones_like(luminance)
        if variant == "wang":
            factors = [luminance * contrast * structure]
        else:
            factors = [luminance, contrast, structure]
        for factor in factors:
            score = score * np.maximum(factor.mean(axis=(0, 1)), 0) ** weight
    return float(np.mean(score))


def error_ratio(
    result: npt.ArrayLike,
    reference: npt.ArrayLike,
    truth: npt.ArrayLike,
    *,
    max_shift: int = 5,
) -> ErrorRatio:
    """Error of `result` over the error of `reference`, each registered by its own best shift.

    That of the reference may be up to 10 pixels, since its kernel file may lie off its photo:
    Levin's kernel 6 moves image 1 by 5.25 pixels.

    Args:
      result: [H, W] or [H, W, C] picture to judge.
      reference: the deconvolution with the true kernel, same shape.
      truth: the sharp picture, same shape.
      max_shift: of the result, see `register_shift`.
    """
    norms = []
    for picture, limit in ((result, max_shift), (reference, _REFERENCE_MAX_SHIFT)):
        registered = register_shift(luma(picture), luma(truth), max_shift=limit)
        error = registered.result - registered.truth
        norms.append((np.sum(error**2), np.linalg.norm(error, 2)))
    (squared, spectral), (reference_squared, reference_spectral) = norms
    if reference_squared == 0:
        raise ValueError("the reference equals the truth; an error ratio needs a reference error.")
    return ErrorRatio(float(squared / reference_squared), float(spectral / reference_spectral))


def kernel_correlation(kernel: npt.ArrayLike, truth: npt.ArrayLike) -> float:
    """Normalised cross-correlation of two kernels at their best integer shift, at most 1."""
    a, b = np.asarray(kernel, np.float64), np.asarray(truth, np.float64)
    size = [n + m - 1 for n, m in zip(a.shape, b.shape, strict=True)]
    correlation = fft.irfft2(fft.rfft2(a, size) * fft.rfft2(b[::-1, ::-1], size), size)
    return float(correlation.max() / (np.linalg.norm(a) * np.linalg.norm(b)))


# --- registration ---------------------------------------------------------------------------------


def register_shift(
    result: npt.ArrayLike, truth: npt.ArrayLike, *, max_shift: int, crop: int = 15, steps: int = 4
) -> Registered:
    """Moves the result by the bilinear sub-pixel shift of least squared error.

    The minimum is exact over all shifts in [-max_shift, max_shift]^2 in steps of 1 / `steps`:
    for each fraction of a pixel, |J|^2 - 2 J * T + |T|^2 at all whole shifts at once, by FFT.

    Args:
      result: [H, W] or [H, W, C] picture to move.
      truth: the picture to move it onto, same shape.
      max_shift: largest shift along each axis in pixels, at most `crop`.
      crop: pixels of the truth left out on every side.
      steps: shifts tried per pixel.

    Returns:
      Both pictures [H - 2 crop, W - 2 crop(, C)], and the shift.
    """
    result, truth = _pair(result, truth, smallest=2 * crop + 1)
    if not 0 <= max_shift <= crop:
        raise ValueError(f"max_shift={max_shift} must be between 0 and crop={crop}.")
    rows, cols = truth.shape[:2]
    target = truth[crop : rows - crop, crop : cols - crop]
    border = crop - max_shift
    window = result[border : rows - border, border : cols - border]
    best, shift = np.inf, (0.0, 0.0)
    for i in range(steps):
        for j in range(steps):
            moved = _shift(window, i / steps, j / steps)
            error = _squared_errors(moved, target)
            # shifts beyond max_shift read past the window
            error = error[: 2 * max_shift + (i == 0), : 2 * max_shift + (j == 0)]
            if error.size and error.min() < best:
                best = error.min()
                row, col = np.unravel_index(error.argmin(), error.shape)
                shift = (row - max_shift + i / steps, col - max_shift + j / steps)
    whole = [int(np.floor(s)) for s in shift]
    moved = _shift(result, shift[0] - whole[0], shift[1] - whole[1])
    r, c = crop + whole[0], crop + whole[1]
    return Registered(
        moved[r : r + target.shape[0], c : c + target.shape[1]],
        target,
        (float(shift[0]), float(shift[1])),
    )


def register_motion(
    result: npt.ArrayLike, truth: npt.ArrayLike, *, motion: str, max_shift: int = 10, crop: int = 15
) -> Registered:
    """Moves the result by a rigid motion or a homography fitted by ECC, bilinearly.

    The fit (Evangelidis and Psarakis, PAMI 2008, as in OpenCV) starts from the best shift and
    maximises the correlation of the lumas; where it fails, or fits worse than the shift alone, the
    shift counts. Pixels that come from outside the result repeat its border.

    Args:
      result: [H, W] or [H, W, C] picture to move.
      truth: the picture to move it onto, same shape.
      motion: "rigid" or "homography".
      max_shift: of the shift it starts from, see `register_shift`.
      crop: pixels left out on every side.
    """
    import cv2  # an extra that only this registration needs

    result, truth = _pair(result, truth, smallest=2 * crop + 1)
    kinds = {"rigid": cv2.MOTION_EUCLIDEAN, "homography": cv2.MOTION_HOMOGRAPHY}
    if motion not in kinds:
        raise ValueError(f"motion={motion!r} is unknown; use one of {sorted(kinds)}.")
    shifted = register_shift(result, truth, max_shift=max_shift, crop=crop)
    matrix = np.eye(3 if motion == "homography" else 2, 3, dtype=np.float32)
    matrix[0, 2], matrix[1, 2] = shifted.shift[1], shifted.shift[0]
    stop = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 300, 1e-7)
    target, source = (luma(image).astype(np.float32) for image in (truth, result))
    try:
        _, fitted = cv2.findTransformECC(target, source, matrix, kinds[motion], stop)
    except cv2.error:  # no convergence: a result too far from the truth
        return shifted
    matrix = np.asarray(fitted, np.float32)
    size = (truth.shape[1], truth.shape[0])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    warp = cv2.warpPerspective if motion == "homography" else cv2.warpAffine
    moved = warp(result, matrix, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    inside = slice(crop, -crop or None)
    moved = np.asarray(moved, np.float64).reshape(truth.shape)[inside, inside]
    if np.sum((moved - shifted.truth) ** 2) > np.sum((shifted.result - shifted.truth) ** 2):
        return shifted
    return Registered(moved, shifted.truth, (float(matrix[1, 2]), float(matrix[0, 2])))


def register_whole_pixels(result: npt.ArrayLike, truth: npt.ArrayLike) -> Registered:
    """Moves the result by the whole-pixel shift of highest circular cross-correlation.

    Koehler's rule: the correlation is that of the channels' means, the frame keeps its size, and
    pixels that only one of the two pictures has are zero in both.
    """
    result, truth = _pair(result, truth)
    spectra = [fft.rfft2(np.atleast_3d(image).mean(axis=2)) for image in (result, truth)]
    correlation = fft.irfft2(spectra[0] * np.conj(spectra[1]), truth.shape[:2])
    peak = np.unravel_index(correlation.argmax(), correlation.shape)
    shift = [int(p) if p <= n // 2 else int(p) - n for p, n in zip(peak, truth.shape, strict=False)]
    here = tuple(slice(max(-s, 0), n - max(s, 0)) for s, n in zip(shift, truth.shape, strict=False))
    there = tuple(
        slice(max(s, 0), n - max(-s, 0)) for s, n in zip(shift, truth.shape, strict=False)
    )
    moved, target = np.zeros_like(truth), np.zeros_like(truth)
    moved[here], target[here] = result[there], truth[here]
    return Registered(moved, target, (shift[0], shift[1]))


# --- helpers --------------------------------------------------------------------------------------


def _pair(result: npt.ArrayLike, truth: npt.ArrayLike, smallest: int = 1) -> tuple[Array, Array]:
    """Both pictures in float64, checked."""
    a, b = np.asarray(result, np.float64), np.asarray(truth, np.float64)
    if a.shape != b.shape:
        raise ValueError(f"the result has shape {a.shape}, the truth {b.shape}; they must agree.")
    if a.ndim not in (2, 3) or min(a.shape[:2]) < smallest:
        raise ValueError(f"shape {a.shape} will not do; at least {smallest}x{smallest} is needed.")
    return a, b


def _ssim_maps(a: Array, b: Array) -> tuple[Array, Array, Array]:
    """Luminance, contrast and structure of SSIM at every window inside the picture."""
    offset = np.arange(-SSIM_RADIUS, SSIM_RADIUS + 1)
    weight = np.exp(-(offset**2) / (2 * SSIM_SIGMA**2))
    weight /= weight.sum()
    inside = slice(SSIM_RADIUS, -SSIM_RADIUS)

    def mean(x: Array) -> Array:
        for axis in (0, 1):
            x = ndimage.correlate1d(x, weight, axis=axis)
        return x[inside, inside]

    mean_a, mean_b = mean(a), mean(b)
    variance_a = np.maximum(mean(a * a) - mean_a**2, 0)
    variance_b = np.maximum(mean(b * b) - mean_b**2, 0)
    covariance = mean(a * b) - mean_a * mean_b
    product = np.sqrt(variance_a * variance_b)
    luminance = (2 * mean_a * mean_b + SSIM_C1) / (mean_a**2 + mean_b**2 + SSIM_C1)
    contrast = (2 * product + SSIM_C2) / (variance_a + variance_b + SSIM_C2)
    structure = (covariance + SSIM_C2 / 2) / (product + SSIM_C2 / 2)
    return luminance, contrast, structure


def _halve(image: Array) -> Array:
    """Means of 2 x 2 blocks; an odd last row or column counts twice."""
    for axis in (0, 1):
        image = np.moveaxis(image, axis, 0)
        second = np.concatenate([image[1::2], image[-1:]])[: len(image[::2])]
        image = np.moveaxis((image[::2] + second) / 2, 0, axis)
    return image


def _halve_by_wavelet(image: Array) -> Array:
    """Every second pixel after the low pass of the biorthogonal 9/7 wavelet."""
    half = [0.852698679008890, 0.377402855612830, -0.110624404418440]
    half += [-0.023849465019560, 0.037828455507260]
    weight = np.array(half[:0:-1] + half)
    for axis in (0, 1):
        image = ndimage.correlate1d(image, weight / weight.sum(), axis=axis, mode="reflect")
    return image[::2, ::2]


def _shift(image: Array, row: float, col: float) -> Array:
    """image(x + (row, col)) for fractions in [0, 1), bilinear; the last row and column repeat."""
    down = np.concatenate([image[1:], image[-1:]])
    image = (1 - row) * image + row * down
    right = np.concatenate([image[:, 1:], image[:, -1:]], axis=1)
    return (1 - col) * image + col * right


def _squared_errors(image: Array, target: Array) -> Array:
    """Sum of squared differences to `target` at every whole shift inside `image`, [2m+1, 2m+1]."""
    image, target = np.atleast_3d(image), np.atleast_3d(target)
    size = [fft.next_fast_len(n, real=True) for n in image.shape[:2]]
    rows, cols = (n - m + 1 for n, m in zip(image.shape[:2], target.shape[:2], strict=True))

    def correlate(a: Array, b: Array) -> Array:
        spectrum = fft.rfft2(a, size, axes=(0, 1)) * np.conj(fft.rfft2(b, size, axes=(0, 1)))
        return fft.irfft2(spectrum.sum(2), size)[:rows, :cols]

    energy = correlate(image**2, np.ones_like(target))
    return energy - 2 * correlate(image, target) + np.sum(target**2)
