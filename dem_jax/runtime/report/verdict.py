"""What a result is worth, in plain words, judged from its numbers and not from the truth.

`weigh` gathers the numbers; `decide` says how much of the result to take, for a photo with little
blur must not get worse, and turns the numbers into sentences: what was found, and what to do.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from dem_jax.config import DeblurConfig
from dem_jax.model.likelihood import CLIPPED
from dem_jax.runtime import sizes
from dem_jax.types import Problem

FOUND, DOUBTFUL, LITTLE_BLUR = "found", "doubtful", "little blur"
# In pixels: narrower kernels than the first number are not told from none, and the photo is kept;
# wider ones than the second are believed.
_ONE_KERNEL = (0.6, 1.0)
# Of a sharp photo the estimator of grids makes kernels of extent 0.9 to 1.0, because pixels of real
# cameras are themselves a little blurred. A straight blur of 5 pixels has 1.4 with this.
_GRID = (1.0, 1.4)
_AGREED = 0.9  # confidence from which on candidates say the same
_CLIPPED_REACH = 0.05  # of the pixels that a saturated one has blurred into
_RESIDUAL_RATIO = 3.0  # of the residual to the noise seen in the photo
# Mean excess of a latent image beyond [0, 1] that tells of ringing: of one kernel; and of a grid,
# or where candidates do not agree (screenshots of photos have 0.018 to 0.08 there, photos 0.008).
_EXCESS, _UNSURE_EXCESS = 4e-2, 1.2e-2
_CHANGE = 0.5  # of kernels by the last M-step; the first one on good photos reaches 0.48


class Evidence(NamedTuple):
    """The numbers that a verdict rests on; all are written to run.json."""

    kernel_extent: float  # pixels, median over the patches
    kernel_border_mass: float  # see `sizes.border_mass`
    clipped_share: float  # of the photo's pixels
    clipped_reach: float  # of the photo's pixels, as far as blur carries what is saturated
    residual_std: float | None  # after the last EM iteration; relative to the brightest value
    photo_noise_std: float  # with the error of the file's coding; relative as well
    excess: float  # mean distance of the deconvolved image from [0, 1]; relative as well
    kernel_change: float | None  # by the last M-step
    kernel_confidence: float | None  # agreement of the candidates for one kernel; None: no choice


def kernel_extent(kernels: np.ndarray) -> np.ndarray:
    """[P] standard deviation of each kernel's [P, k, k] mass about its centre, in pixels.

    That of rows and columns, averaged as variances: a Gaussian's is its own standard deviation.
    Mass below 2 % of a kernel's peak is left out: a faint floor far away is no blur.
    """
    kept = np.where(kernels < 0.02 * kernels.max(axis=(1, 2), keepdims=True), 0, kernels)
    kept = kept / np.maximum(kept.sum(axis=(1, 2), keepdims=True), 1e-12)
    places = np.arange(kernels.shape[-1], dtype=float)
    total = np.zeros(len(kernels))
    for axis in (1, 2):
        profile = kept.sum(axis=axis)
        centre = profile @ places
        total += (profile * (places - centre[:, None]) ** 2).sum(axis=1)
    return np.sqrt(total / 2)


def clipped_share(photo: np.ndarray) -> float:
    """Share of pixels of [H, W, C] of which a channel is saturated."""
    return float(np.mean(np.any(photo >= CLIPPED, axis=-1)))


def clipped_reach(photo: np.ndarray, kernels: np.ndarray) -> float:
    """Share of pixels of [H, W, C] that kernels [P, k, k] connect with a saturated one.

    A lamp of few pixels spoils as much as its blur is wide, not as it is large.
    """
    from scipy import ndimage

    clipped = np.any(photo >= CLIPPED, axis=-1)
    if not clipped.any():
        return 0.0
    seen = (kernels >= 0.02 * kernels.max(axis=(1, 2), keepdims=True)).any(axis=0)
    spans = [np.ptp(np.flatnonzero(seen.any(axis=axis))) + 1 for axis in (1, 0)]
    reached = ndimage.maximum_filter(clipped, size=[2 * span - 1 for span in spans])
    return float(np.mean(reached))


def weigh(
    photo: np.ndarray,
    problem: Problem,
    kernels: np.ndarray,
    history: Sequence[Mapping[str, Any]],
    confidence: float | None = None,
) -> Evidence:
    """The evidence on a photo [H, W, C], from its kernels [P, k, k] and EM's history.

    `confidence` is the agreement of the start's candidates, where there were several.
    """
    start = np.asarray(problem.start_latent)
    last = history[-1] if history else {}
    changes = [row["kernel_change"] for row in history if row.get("kernel_change")]
    return Evidence(
        kernel_extent=round(float(np.median(kernel_extent(kernels))), 4),
        kernel_border_mass=round(sizes.border_mass(kernels), 4),
        clipped_share=round(clipped_share(photo), 4),
        clipped_reach=round(clipped_reach(photo, kernels), 4),
        residual_std=last.get("residual_std"),
        photo_noise_std=float(problem.noise_std),
        excess=float(np.mean(np.abs(start - np.clip(start, 0, 1)))),
        kernel_change=changes[-1] if changes else None,  # the last iteration has no M-step
        kernel_confidence=None if confidence is None else round(confidence, 4),
    )


def finding(evidence: Evidence) -> str:
    """What is to be said of the kernel in a word or two."""
    if _in_doubt(evidence):
        return DOUBTFUL
    return LITTLE_BLUR if trust(evidence) == 0 else FOUND


def decide(
    evidence: Evidence,
    photo: np.ndarray,
    latent: np.ndarray,
    config: DeblurConfig,
    largest: int | None = None,
) -> tuple[np.ndarray, list[str]]:
    """The image [H, W, C] as far as it can be trusted, and the `warnings`.

    What cannot be trusted is replaced by the photo, unless the user has fixed the kernels.
    """
    share = 1.0 if config.kernels == "fixed" else trust(evidence)
    if share < 1:
        latent = (share * latent + (1 - share) * photo).astype(latent.dtype)
    return latent, warnings(evidence, config, largest)


def trust(evidence: Evidence) -> float:
    """How much of the result to take, the rest being the photo: 0 for no blur, 1 for enough.

    The estimate of a kernel that is a point up to a pixel tells more of the estimator than of the
    photo, and the sharpening it asks for is mostly noise. But where candidates do not agree, a
    small kernel is no evidence of a sharp photo; there only a result beyond black and white is
    left out.
    """
    if _in_doubt(evidence):
        return float(not _is_ruined(evidence))
    least, enough = _GRID if evidence.kernel_confidence is None else _ONE_KERNEL
    return float(np.clip((evidence.kernel_extent - least) / (enough - least), 0, 1))


def _in_doubt(evidence: Evidence) -> bool:
    return evidence.kernel_confidence is not None and evidence.kernel_confidence < _AGREED


def _is_ruined(evidence: Evidence) -> bool:
    return _in_doubt(evidence) and evidence.excess > _UNSURE_EXCESS


def warnings(evidence: Evidence, config: DeblurConfig, largest: int | None = None) -> list[str]:
    """Sentences for a person, the most important first; [] where nothing is to be said.

    `largest` is the largest --kernel_size that may change anything; None: any.
    """
    found = []
    kernel_size, fixed = config.kernel_size, config.kernels == "fixed"
    room = _room(config, largest)
    share = trust(evidence)
    if _in_doubt(evidence) and not fixed:
        found.append(
            f"The blur found is doubtful: independent estimates of it agree to "
            f"{evidence.kernel_confidence:.0%} only. Look at kernels.png, and where it shows no "
            "plausible path of a camera, try --crop, with a part of clear edges, another "
            "--kernel_size, or --blur=nonuniform."
        )
    if _is_ruined(evidence) and not fixed:
        found.append(
            "What this blur makes of the photo lies far beyond black and white, so the photo was "
            "kept as it is."
        )
    elif share < 1 and not fixed:
        kept = "the photo was kept as it is" if share == 0 else "most of the photo was kept"
        found.append(
            f"Little blur was found (about {evidence.kernel_extent:.1f} pixels), so {kept}: "
            "sharpening it further would mostly add noise. If it does look blurred, the blur was "
            "not recognised, as happens in pictures full of fine texture: try --crop, with a part "
            "of clear edges, another --kernel_size, or the other --blur."
        )
    if evidence.kernel_border_mass > sizes.CUT_OFF and kernel_size >= 7 and room:
        found.append(
            f"The blur reaches the edge of the {kernel_size} x {kernel_size} pixels allowed for "
            f"it; try {room}."
        )
    if evidence.clipped_reach > _CLIPPED_REACH:
        found.append(
            f"{_percent(evidence.clipped_share)} of the pixels are overexposed (pure white or a "
            f"saturated colour), and their blur reaches {_percent(evidence.clipped_reach)} of the "
            "photo; there bright streaks or rings may remain."
        )
    ratio = (evidence.residual_std or 0) / max(evidence.photo_noise_std, 1e-9)
    if ratio > _RESIDUAL_RATIO:
        found.append(
            f"The result does not explain the photo well (misfit {ratio:.0f} times the noise): "
            "the blur may differ across the photo (try --blur=nonuniform), things may have moved, "
            "the kernel may be wrong (try another --kernel_size), or the run was too short (try "
            "more --em_iterations)."
        )
    most = _UNSURE_EXCESS if evidence.kernel_confidence is None else _EXCESS
    if evidence.excess > most and (fixed or not _is_ruined(evidence)):
        other = "a different kernel" if fixed else room or "--crop, with a part of clear edges"
        found.append(
            "Light and dark rings beside edges are likely; the blur found is doubtful. "
            f"Try {other}."
        )
    if evidence.kernel_change is not None and evidence.kernel_change > _CHANGE:
        found.append(
            "The kernels were still changing at the end; more --em_iterations may give a "
            "better result."
        )
    return found


def _room(config: DeblurConfig, largest: int | None) -> str | None:
    """What gives the blur more room; None where nothing does."""
    if config.patch_grid != (1, 1):  # whose kernels' size follows from the one for all
        return "--crop, with a part where the blur is long"
    larger = (config.kernel_size * 3 // 2) | 1
    larger = larger if largest is None else min(larger, largest)
    if config.kernels == "fixed" or larger <= config.kernel_size:
        return None
    return f"a larger kernel, such as --kernel_size={larger}"


def _percent(share: float) -> str:
    return f"{share:.0%}" if share >= 0.1 else f"{100 * share:.2g}%"
