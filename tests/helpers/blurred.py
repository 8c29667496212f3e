"""Random kernels, and pictures blurred by them without transforms."""

import numpy as np


def random_kernel(size, seed=0):
    return np.random.default_rng(seed).dirichlet(0.3 * np.ones(size**2)).reshape(size, size)


def cyclic_blur(planes, kernel):
    """By sums of shifted planes: an implementation without transforms."""
    half = len(kernel) // 2
    offsets = np.ndindex(kernel.shape)
    return sum(kernel[i, j] * np.roll(planes, (i - half, j - half), (-2, -1)) for i, j in offsets)
