"""Blind motion deblurring by deep expectation maximization, in JAX."""

from dem_jax.config import DeblurConfig, ImageNetworkConfig, KernelNetworkConfig, WarmStartConfig
from dem_jax.em import langevin, mcem
from dem_jax.model import blur
from dem_jax.solver import deblur
from dem_jax.types import EMInfo, Model, Problem, Result

__version__ = "0.1.0"

__all__ = [
    "DeblurConfig",
    "EMInfo",
    "ImageNetworkConfig",
    "KernelNetworkConfig",
    "Model",
    "Problem",
    "Result",
    "WarmStartConfig",
    "__version__",
    "blur",
    "deblur",
    "langevin",
    "mcem",
]
