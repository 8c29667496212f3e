"""How Levin's, Lai's and Koehler's data sets judge a result.

Images [H, W] or [H, W, C] in [0, 1]; scores are plain dictionaries of floats, so that they go into
tables and JSON as they are. The rules are those behind the published tables:

* Levin and Lai, as SelfDeblur (Ren et al., CVPR 2020) and later papers score them: luma, 15 pixels
  cropped, the best of all shifts in quarter pixels counts, PSNR with peak 1, SSIM of Wang 2004.
* Lai's non-uniform photos also after a rigid motion and a homography (the method's authors take
  the rotation into account; a blind result may be turned as well as shifted).
* Koehler, as the data set's own script: intensity scaled by least squares (before the shift, so a
  shifted result is scaled a little too low), whole-pixel shift, PSNR and MSSIM of the Rec. 601 luma
  over the whole frame, against each sharp frame; the best counts.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from dem_jax.evaluation import metrics, published

LEVIN_MAX_SHIFT = 5
LAI_MAX_SHIFT = 10
CROP = 15

Scores = dict[str, Any]


class Case(NamedTuple):
    """What a photo's name says about it."""

    truth: str  # stem of the sharp picture
    group: str  # the photos averaged together
    kernel: str  # stem of the kernel file, "" where there is none
    section: str  # the part of the data set with a table of its own


class Protocol(NamedTuple):
    """One data set's rules."""

    identify: Callable[[str], Case]  # from a photo's name; ValueError for a foreign name
    tables: Mapping[str, published.Table]  # by section


# --- scores ---------------------------------------------------------------------------------------


def levin_score(
    result: npt.ArrayLike, sharp: npt.ArrayLike, *, reference: npt.ArrayLike | None = None
) -> Scores:
    """Scores a result of Levin's set.

    Args:
      result: deblurred picture.
      sharp: the truth, same height and width.
      reference: deconvolution with the true kernel, for the error ratios.

    Returns:
      psnr [dB], ssim, shift (row, column) [pixels], and with a reference error_ratio (squared
      differences) and error_ratio_spectral.
    """
    return _shifted_score(result, sharp, LEVIN_MAX_SHIFT, reference)


def lai_score(
    result: npt.ArrayLike,
    sharp: npt.ArrayLike,
    *,
    reference: npt.ArrayLike | None = None,
    rotation: bool = False,
) -> Scores:
    """Scores a result of Lai's set.

    Args:
      result: deblurred picture.
      sharp: the truth, same height and width.
      reference: deconvolution with the true kernel, for the error ratios.
      rotation: also align by rigid motion and homography, as for the non-uniform photos.

    Returns:
      As `levin_score`, with rotation also psnr_rigid, ssim_rigid, psnr_homography, ssim_homography.
    """
    scores = _shifted_score(result, sharp, LAI_MAX_SHIFT, reference)
    if rotation:
        result, sharp = _brightness(result, sharp)
        for motion in ("rigid", "homography"):
            moved = metrics.register_motion(
                result, sharp, motion=motion, max_shift=LAI_MAX_SHIFT, crop=CROP
            )
            scores[f"psnr_{motion}"] = metrics.psnr(moved.result, moved.truth)
            scores[f"ssim_{motion}"] = metrics.ssim(moved.result, moved.truth)
    return scores


def koehler_score(result: npt.ArrayLike, frames: Sequence[npt.ArrayLike]) -> Scores:
    """Scores a result of Koehler's set.

    Args:
      result: deblurred picture, at least 176 x 176.
      frames: the sharp pictures along the camera's path, each of the result's shape.

    Returns:
      psnr [dB], that of the best frame (its index) of `frames`, and the highest mssim of any frame.
    """
    if not frames:
        raise ValueError("Koehler's protocol needs at least one sharp frame.")
    scores = []
    for frame in frames:
        scaled = metrics.scale_intensity(result, frame)
        pair = metrics.register_whole_pixels(scaled, frame)
        a, b = (metrics.luma(image, rule="rec601") for image in (pair.result, pair.truth))
        scores.append((metrics.psnr(a, b), metrics.multiscale_ssim(a, b, variant="metrix")))
    psnrs, similarities = zip(*scores, strict=True)
    best = int(np.argmax(psnrs))
    return {
        "psnr": psnrs[best],
        "mssim": max(similarities),
        "frame": best,
        "frames": len(frames),
    }


# --- data sets ------------------------------------------------------------------------------------


def _identify_levin(name: str) -> Case:
    image, kernel = _match(r"im(\d+)_kernel(\d+)", name, "im1_kernel1_img")
    return Case(f"im{image}", f"im{image}", f"kernel{kernel}", "all")


def _identify_lai(name: str) -> Case:
    pattern = r"(manmade|natural|people|saturated|text)_(\d+)_(kernel|gyro)_(\d+)"
    category, number, kind, kernel = _match(pattern, name, "text_01_kernel_02")
    uniform = kind == "kernel"
    return Case(
        f"{category}_{number}",
        category,
        f"kernel_{kernel}" if uniform else "",
        "uniform" if uniform else "nonuniform",
    )


def _identify_koehler(name: str) -> Case:
    image, shake = _match(r"(\d+)_(\d+)(?!.*\d)", name, "Blurry1_12")
    return Case(f"GroundTruth{image}_{shake}", f"image {image}", "", "all")


PROTOCOLS: Mapping[str, Protocol] = {
    "levin": Protocol(_identify_levin, {"all": published.LEVIN}),
    "lai": Protocol(
        _identify_lai,
        {"uniform": published.LAI_UNIFORM, "nonuniform": published.LAI_NONUNIFORM},
    ),
    "koehler": Protocol(_identify_koehler, {"all": published.KOEHLER}),
}


# --- averages -------------------------------------------------------------------------------------


def average(scores: Sequence[Scores]) -> Scores:
    """Mean of every number that all scores have; the shift and the frame are left out."""
    keys = [k for k, v in scores[0].items() if isinstance(v, float)] if scores else []
    return {
        key: float(np.mean([s[key] for s in scores]))
        for key in keys
        if all(key in s for s in scores)
    }


# --- helpers --------------------------------------------------------------------------------------


def _shifted_score(
    result: npt.ArrayLike, sharp: npt.ArrayLike, max_shift: int, reference: npt.ArrayLike | None
) -> Scores:
    a, b = _brightness(result, sharp)
    pair = metrics.register_shift(a, b, max_shift=max_shift, crop=CROP)
    scores = {
        "psnr": metrics.psnr(pair.result, pair.truth),
        "ssim": metrics.ssim(pair.result, pair.truth),
        "shift": list(pair.shift),
    }
    if reference is not None:
        other, _ = _brightness(reference, sharp)
        ratio = metrics.error_ratio(a, other, b, max_shift=max_shift)
        scores |= {"error_ratio": ratio.squared, "error_ratio_spectral": ratio.spectral}
    return scores


def _brightness(result: npt.ArrayLike, sharp: npt.ArrayLike) -> tuple[metrics.Array, metrics.Array]:
    """Lumas; a grey picture stored as colour must not be squeezed into [16, 235] on one side."""
    colours = [np.ndim(image) == 3 and np.shape(image)[2] == 3 for image in (result, sharp)]
    rule = "matlab" if all(colours) else "rec601"
    return metrics.luma(result, rule=rule), metrics.luma(sharp, rule=rule)


def _match(pattern: str, name: str, example: str) -> tuple[str, ...]:
    found = re.search(pattern, name)
    if not found:
        raise ValueError(
            f"{name} is not named as in the data set; a name like {example} is needed."
        )
    return found.groups()
