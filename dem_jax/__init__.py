"""Blind motion deblurring by deep expectation maximization, in JAX."""

from dem_jax.config import DeblurConfig, ImageNetworkConfig, KernelNetworkConfig
from dem_jax.em import langevin, mcem
from dem_jax.model import blur
from dem_jax.solver import Solver, deblur, make_solver
from dem_jax.types import EMInfo, ImagePrior, KernelPrior, Model, Problem, Result

__version__ = "0.1.0"

__all__ = [
    "DeblurConfig",
    "EMInfo",
    "ImageNetworkConfig",
    "ImagePrior",
    "KernelNetworkConfig",
    "KernelPrior",
    "Model",
    "Problem",
    "Result",
    "Solver",
    "__version__",
    "blur",
    "deblur",
    "langevin",
    "make_solver",
    "mcem",
]
