"""Kernels that are given instead of found, read from a file: `--init_kernels=FILE.npy`."""

import os
import pathlib

import jax.numpy as jnp
import numpy as np

from dem_jax.solver import Solver, make_solver


def read(path: str) -> np.ndarray:
    """Kernels [P, k, k] of an .npy file of shape [P, k, k] or [k, k], each made to sum to one.

    Raises:
      ValueError: when there are none that could be kernels.
    """
    try:
        kernels = np.load(pathlib.Path(os.path.expanduser(path)), allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise ValueError(
            f"--init_kernels={path} cannot be read; give an .npy file, such as an earlier run's "
            "kernels.npy."
        ) from error
    if not isinstance(kernels, np.ndarray) or kernels.dtype.kind not in "fiu":
        raise ValueError(f"--init_kernels={path} holds no numbers; give an .npy file of kernels.")
    kernels = kernels[None] if kernels.ndim == 2 else kernels
    square = kernels.ndim == 3 and kernels.shape[1] == kernels.shape[2]
    if not square or not len(kernels) or kernels.shape[1] % 2 == 0:
        raise ValueError(
            f"--init_kernels={path} has shape {kernels.shape}; give [k, k] or [P, k, k], k odd."
        )
    kernels = kernels.astype(np.float32)
    total = kernels.sum(axis=(1, 2), keepdims=True)
    if not np.isfinite(kernels).all() or kernels.min() < 0 or total.min() <= 0:
        raise ValueError(
            f"--init_kernels={path} has negative, infinite or empty kernels; kernels are zero or "
            "positive and have a sum above zero."
        )
    return kernels / total


def solver(kernels: np.ndarray | None) -> Solver:
    """Monte Carlo EM from given kernels [P, k, k]; None: from those that the photo shows."""
    if kernels is None:
        return make_solver()
    return make_solver(
        kernels=lambda config: jnp.asarray(fit(kernels, config.kernel_size, config.patch_grid))
    )


def fit(kernels: np.ndarray, kernel_size: int, grid: tuple[int, int]) -> np.ndarray:
    """The kernels in the middle of `kernel_size` pixels.

    Raises:
      ValueError: when they are larger, or neither one nor as many as the patches.
    """
    count, size, _ = kernels.shape
    if size > kernel_size:
        raise ValueError(
            f"the kernels of --init_kernels are {size} pixels wide, more than "
            f"--kernel_size={kernel_size}; use --kernel_size={size} or more."
        )
    if count not in (1, grid[0] * grid[1]):
        raise ValueError(
            f"--init_kernels has {count} kernels for {grid[0]}x{grid[1]} patches; give one kernel, "
            "or the --patch_grid that they belong to."
        )
    margin = (kernel_size - size) // 2
    return np.pad(kernels, ((0, 0), (margin, margin), (margin, margin)))
