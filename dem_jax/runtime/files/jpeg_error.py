"""How far a JPEG's pixels are from those of the photo that was stored in it.

A JPEG holds the cosine transform of blocks of 8 x 8 pixels, every coefficient rounded to a multiple
of a step q that its file tells. Most become zero; the error of one that does not is spread evenly
between -q/2 and q/2. Deconvolution sees the photo in these coefficients, and what it must not
explain is

    s^2 = mean of q^2 / 12 over all coefficients that are not zero, but for the blocks' means.

It is many times what the finest differences show, which a JPEG leaves out (benchmarks/NOTEBOOK.md).

Source of the error's variance: Bennett: Spectra of quantized signals, 1948.
"""

import numpy as np
from PIL import Image

from dem_jax.model.luma import LUMA

_BLOCK = 8  # pixels
_MOST_ROWS = 128  # of blocks that are looked at, evenly over the picture
_WHITE = 255.0  # of 8 bits


def coding_std(image: Image.Image, samples: np.ndarray) -> float:
    """The error s of a picture that Pillow has opened, in image units; 0 for what is no JPEG.

    Args:
      image: its file's steps are known, if it is a JPEG.
      samples: [H, W, S] uint8, its pixels as the file holds them, S = 1 grey, 3 RGB.
    """
    steps = getattr(image, "quantization", None)
    if not steps or samples.dtype != np.uint8:
        return 0.0
    layers = getattr(image, "layer", None) or [(0, 1, 1, 0)]
    step = np.asarray(steps[layers[0][3]], np.float32).reshape(_BLOCK, _BLOCK)
    return rounding_std(samples, step) / _WHITE


def rounding_std(samples: np.ndarray, step: np.ndarray) -> float:
    """The error s of samples [H, W, S], in their own units, that were rounded by steps q [8, 8].

    >>> flat = np.full((16, 16, 1), 100, np.uint8)
    >>> rounding_std(flat, np.full((8, 8), 12.0))
    0.0
    """
    from scipy import fft

    rows, cols = (n // _BLOCK for n in samples.shape[:2])
    if not rows * cols:
        return 0.0
    taken = np.linspace(0, rows - 1, min(rows, _MOST_ROWS)).round().astype(int)
    blocks = samples[: rows * _BLOCK, : cols * _BLOCK].reshape(rows, _BLOCK, cols, _BLOCK, -1)
    plane = (
        blocks[taken] @ np.asarray(LUMA, np.float32)
        if samples.shape[-1] == 3
        else blocks[taken][..., 0]
    )
    found = fft.dctn(plane.astype(np.float32), axes=(1, 3), norm="ortho")
    step = step[:, None, :]
    kept = np.abs(found) > step / 2
    kept[:, 0, :, 0] = False
    errors = np.broadcast_to(step**2 / 12, found.shape)[kept]
    return float(np.sqrt(errors.mean())) if errors.size else 0.0
