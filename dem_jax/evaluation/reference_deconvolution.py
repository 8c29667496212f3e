"""The non-blind deconvolution whose error with the true kernel is the unit of error ratios.

Hyper-Laplacian deconvolution of D. Krishnan and R. Fergus, NIPS 2009, with one change: only photo
pixels are data. The unknown border is not padded or tapered but filled with what the current
estimate predicts, which minimises the same energy by majorisation. Runs on the host in float64.
"""

import dataclasses
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import fft

Array = npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class Parameters:
    """Parameters of the reference, to be named beside every error ratio."""

    weight: float = 1e-4  # of the prior, for photos of about 1 % noise
    exponent: float = 2 / 3  # of the gradients in the prior, below 1
    quadratic_sweeps: int = 30  # to settle the border before the prior enters
    quadratic_weight: float = 1e-2
    first_penalty: float = 1e-3  # weight x beta of Krishnan and Fergus, at the first stage
    last_penalty: float = 5e-2
    penalty_factor: float = 2.0
    sweeps: int = 2  # per stage


class Deconvolved(NamedTuple):
    """What `deconvolve` returns."""

    image: Array  # [H, W, C] the sharp picture under the photo
    energy: float  # the minimised energy, to compare kernels with each other


def deconvolve(
    photo: npt.ArrayLike, kernel: npt.ArrayLike, *, parameters: Parameters | None = None
) -> Deconvolved:
    """Minimises 1/2 sum (k * f - g)^2 + weight sum |grad f|^exponent over the picture f.

    Args:
      photo: [H, W] or [H, W, C] blurred photo g in [0, 1].
      kernel: [k, k] kernel of a true convolution, k odd; it is divided by its sum.
      parameters: see `Parameters`.

    Returns:
      The picture, in the photo's shape and not clipped, and the energy.
    """
    photo, kernel = np.asarray(photo, np.float64), np.asarray(kernel, np.float64)
    if kernel.ndim != 2 or kernel.shape[0] != kernel.shape[1] or kernel.shape[0] % 2 == 0:
        raise ValueError(f"kernel has shape {kernel.shape}; it must be square with an odd side.")
    if kernel.min() < 0 or kernel.sum() <= 0:
        raise ValueError("the kernel must be non-negative with a positive sum.")
    parameters = parameters or Parameters()
    channels = np.moveaxis(np.atleast_3d(photo), 2, 0)
    solved = [_deconvolve_channel(c, kernel / kernel.sum(), parameters) for c in channels]
    image = np.stack([image for image, _ in solved], axis=2).reshape(photo.shape)
    return Deconvolved(image, sum(energy for _, energy in solved))


def deconvolve_unknown_orientation(
    photo: npt.ArrayLike, kernel: npt.ArrayLike, *, parameters: Parameters | None = None
) -> Deconvolved:
    """`deconvolve` with the kernel as it is and turned by 180 degrees; the lower energy counts.

    Kernel files of the data sets are meant for convolution in some and correlation in others.
    """
    turned = np.asarray(kernel)[::-1, ::-1]
    candidates = [deconvolve(photo, k, parameters=parameters) for k in (kernel, turned)]
    return min(candidates, key=lambda candidate: candidate.energy)


def _deconvolve_channel(photo: Array, kernel: Array, parameters: Parameters) -> tuple[Array, float]:
    rows, cols = photo.shape
    border = kernel.shape[0] - 1
    size = [fft.next_fast_len(n + border, real=True) for n in photo.shape]
    blur = fft.rfft2(kernel, size)
    gradients = [fft.rfft2(d, size) for d in (np.array([[1.0, -1.0]]), np.array([[1.0], [-1.0]]))]
    power, roughness = np.abs(blur) ** 2, sum(np.abs(d) ** 2 for d in gradients)
    valid = np.s_[border : border + rows, border : border + cols]
    under = np.s_[border // 2 : border // 2 + rows, border // 2 : border // 2 + cols]

    def fill(latent: Array) -> Array:
        """The photo where it is known, the prediction elsewhere, as a spectrum."""
        predicted = fft.irfft2(blur * latent, size)
        predicted[valid] = photo
        return np.conj(blur) * fft.rfft2(predicted)

    margin = [(border // 2, n - m - border // 2) for n, m in zip(size, photo.shape, strict=True)]
    latent = fft.rfft2(np.pad(photo, margin, mode="edge"))
    for _ in range(parameters.quadratic_sweeps):
        latent = fill(latent) / (power + parameters.quadratic_weight * roughness)
    penalty = parameters.first_penalty
    while penalty <= parameters.last_penalty:
        for _ in range(parameters.sweeps):
            top = fill(latent)
            for d in gradients:
                slope = fft.irfft2(d * latent, size)
                strength = parameters.weight / penalty
                split = shrink(slope, strength=strength, exponent=parameters.exponent)
                top = top + penalty * np.conj(d) * fft.rfft2(split)
            latent = top / (power + penalty * roughness)
        penalty *= parameters.penalty_factor
    residual = fft.irfft2(blur * latent, size)[valid] - photo
    slopes = [fft.irfft2(d * latent, size)[1 : border + rows, 1 : border + cols] for d in gradients]
    prior = sum(np.sum(np.abs(slope) ** parameters.exponent) for slope in slopes)
    energy = 0.5 * np.sum(residual**2) + parameters.weight * prior
    return fft.irfft2(latent, size)[under], float(energy)


def shrink(values: Array, *, strength: float, exponent: float) -> Array:
    """The w of least strength |w|^exponent + 1/2 (w - v)^2, for every v.

    The positive root is found by Newton's method on a fine grid of |v| and interpolated; zero
    counts where it costs less.
    """
    grid = np.linspace(0, max(float(np.abs(values).max()), 1e-12), 20_000)
    root = grid.copy()
    for _ in range(30):
        root = np.maximum(root, 1e-12)
        slope = root - grid + strength * exponent * root ** (exponent - 1)
        curvature = 1 + strength * exponent * (exponent - 1) * root ** (exponent - 2)
        step = root - slope / np.where(curvature > 0, curvature, np.inf)
        root = np.where(curvature > 0, np.maximum(step, 0), 0)
    cost = strength * root**exponent + 0.5 * (root - grid) ** 2
    root = np.where(cost < 0.5 * grid**2, root, 0)
    return np.sign(values) * np.interp(np.abs(values), grid, root)
