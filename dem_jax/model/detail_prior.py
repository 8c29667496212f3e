"""What is expected of the detail beside T_f's image, for a photo sharp to the pixel and a soft one.

A picture that a computer has blurred is explained down to its noise, and part of the noise with it.
A camera's photo leaves more than its noise over, as neither the camera nor its shake is exactly
what the model says; and cameras' photos are soft, even where nothing moved. So the start's misfit
tells the two apart. Kernels of a grid err more on any photo; there the misfit tells nothing, and
only the user can say that the detail is soft.
"""

import jax
import jax.numpy as jnp

from dem_jax.types import DetailPrior

# Chosen on simulated photos (sharp) and on Levin's (soft); see benchmarks/NOTEBOOK.md.
SHARP = DetailPrior(std=0.1, m_part=1.0)
SOFT = DetailPrior(std=0.03, m_part=0.5)
NONE = DetailPrior(std=0.0, m_part=0.0)
MIN_MISFIT = 1.06  # of the start, in deviations of the noise: from here on a photo is soft


def choose(name: str, start_misfit: jax.Array) -> DetailPrior:
    """The prior called `name`, one of `config.DETAILS`; every field [].

    Args:
      name: sharp, soft or none; auto asks the misfit.
      start_misfit: [] the start's residual in deviations of the noise, 0 where it tells nothing.
    """
    if name == "auto":
        soft = start_misfit >= MIN_MISFIT
        pairs = zip(SOFT, SHARP, strict=True)
        return DetailPrior(*[jnp.where(soft, *pair).astype(start_misfit.dtype) for pair in pairs])
    named = {"sharp": SHARP, "soft": SOFT, "none": NONE}[name]
    return DetailPrior(*[jnp.asarray(value, start_misfit.dtype) for value in named])
