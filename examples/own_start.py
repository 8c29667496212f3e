"""A start of one's own: straight lines in many directions, beside the starts that there are.

A start gives candidates for the first kernel; the photo chooses among those of all starts.

python examples/own_start.py photo.jpg sharp.png
"""

import sys

import jax
import jax.numpy as jnp
import numpy as np

import dem_jax
from dem_jax.runtime.files import images, writing
from dem_jax.start.views import View
from dem_jax.start.warm_start import Candidates, named_starts

DIRECTIONS, LENGTHS = 8, (0.4, 0.8)  # of the kernel's side


def straight_lines(photo: View, config: dem_jax.DeblurConfig) -> Candidates:
    """[A, P, k, k]: the camera moved evenly along a line, everywhere the same."""
    k, (rows, cols) = config.kernel_size, config.patch_grid
    kernels = []
    for angle in np.pi * np.arange(DIRECTIONS) / DIRECTIONS:
        for length in LENGTHS:
            along = np.linspace(-0.5, 0.5, 8 * k) * length * k
            places = (np.round(along * f(angle)).astype(int) + k // 2 for f in (np.sin, np.cos))
            kernel = np.zeros((k, k), np.float32)
            np.add.at(kernel, tuple(places), 1 / len(along))
            kernels.append(np.tile(kernel, (rows * cols, 1, 1)))
    return Candidates(jnp.asarray(np.stack(kernels)), jnp.zeros(len(kernels), photo.plane.dtype))


def main(source: str, target: str, **settings) -> dem_jax.Result:
    """Deblurs one file, its first kernel chosen among all of them."""
    photo, config = images.read_photo(source), dem_jax.DeblurConfig(**settings)
    starts = (*named_starts(config), straight_lines)
    deblur = jax.jit(lambda key, photo: dem_jax.deblur(key, photo, config, starts=starts))
    result = deblur(jax.random.key(0), photo.pixels)
    writing.write_photo(target, result.latent, like=photo)
    return result


if __name__ == "__main__":
    main(*sys.argv[1:3])
