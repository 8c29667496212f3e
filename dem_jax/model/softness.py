"""How soft the photo would have been that the camera had taken on a tripod.

A kernel that is found holds the camera's own softness too: its pixels, its lens, the filter before
its sensor. Undone with the shake, that gives a picture sharper than the camera ever takes, with
rings. So the result is blurred again, by a Gaussian of variance

    s^2 = p max(0, t^2 - 0.55^2),    t the `thickness` of its kernels in pixels.

The path of a shake is a thin line: drawn on pixels without any softness, its thickness is about
0.55. What a kernel is thicker than that is the camera's softness, or that of a shake that no line
describes. The photo's misfit says which. A picture that a computer has blurred is explained by its
kernel down to its noise; a camera's photo leaves more over, as neither the camera nor its shake is
exactly what the model says. So p, the camera's part, is

    p = min(1, 1.5 max(0, misfit^2 - 1)),

misfit being what the start leaves over in deviations of the noise: misfit^2 - 1 is the variance of
what is not noise (measured in benchmarks/NOTEBOOK.md). Kernels of a grid err more on any photo, and
their misfit tells nothing; two thirds are a compromise there. Kernels that are known to be exact
hold no softness, p = 0.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

_FREQUENCY = 0.45  # cycles per pixel: the paths of shakes differ little there
_DIRECTIONS = 48
_LINE = 0.55  # pixels, thickness of a path without softness
_STEEPNESS = 1.5  # of the camera's part over the relative variance of what is not noise
GRIDS_PART = 2 / 3  # the camera's, where kernels form a grid
_LEAST = 1e-3  # pixels, a softness that changes nothing
_REACH = 3  # pixels of the Gaussian


def thickness(kernels: jax.Array) -> jax.Array:
    """[P] how thick the strokes of kernels [P, k, k] of sum one are, in pixels.

        t^2 = -log(max over directions of |K(f)|^2) / (2 pi |f|)^2,    |f| = 0.45 per pixel

    It is the standard deviation of a Gaussian, and of any line that a Gaussian has blurred, where
    the line alone leaves some direction as it is.

    >>> thickness(jnp.zeros((1, 5, 5)).at[:, 2, 2].set(1.0)).round(2)  # no blur at all
    Array([0.], dtype=float32)
    """
    angles = np.arange(_DIRECTIONS) * np.pi / _DIRECTIONS
    places = np.arange(kernels.shape[-1]) - kernels.shape[-1] // 2
    waves = [
        jnp.asarray(np.exp(-2j * np.pi * _FREQUENCY * np.outer(part, places)), jnp.complex64)
        for part in (np.sin(angles), np.cos(angles))
    ]
    spectrum = jnp.einsum("ar,prc,ac->pa", waves[0], kernels, waves[1], precision="highest")
    power = jnp.max(spectrum.real**2 + spectrum.imag**2, axis=1)
    power = jnp.clip(power, jnp.finfo(power.dtype).tiny, 1)
    return jnp.sqrt(jnp.maximum(-jnp.log(power) / (2 * np.pi * _FREQUENCY) ** 2, _LEAST**2))


def cameras_part(misfit: jax.Array) -> jax.Array:
    """[] p, 0 to 1, of a photo whose start by one kernel leaves `misfit` [] noises over.

    >>> cameras_part(jnp.array([0.8, 1.0, 1.1, 1.3])).round(1)
    Array([0. , 0. , 0.3, 1. ], dtype=float32)
    """
    return jnp.clip(_STEEPNESS * (misfit**2 - 1), 0, 1)


def of_camera(kernels: jax.Array, part: jax.Array | float) -> jax.Array:
    """[] pixels, s: the camera's softness in kernels [P, k, k] that were found, their median's.

    Args:
      kernels: each of sum one.
      part: [] p.

    >>> of_camera(jnp.zeros((1, 5, 5)).at[:, 2, 2].set(1.0), 1.0).round(2)
    Array(0., dtype=float32)
    """
    beyond = jnp.median(thickness(kernels)) ** 2 - _LINE**2
    return jnp.sqrt(jnp.maximum(part * beyond, _LEAST**2))


def after_em(start: jax.Array, kernels: jax.Array, part: jax.Array | float) -> jax.Array:
    """[] pixels, the softness that a picture of EM's kernels [P, k, k] still lacks.

    EM's image takes some of the softness up, and its kernels become thinner by it and by what they
    were wrong in. The mean variance of both counts.

    Args:
      start: [P, k, k], the kernels that EM began with.
      kernels: [P, k, k], EM's.
      part: [] p.
    """
    return jnp.sqrt((of_camera(start, part) ** 2 + of_camera(kernels, part) ** 2) / 2)


def softened(image: jax.Array, std: jax.Array | float) -> jax.Array:
    """An image [H, W, C] blurred by a Gaussian of a fraction of a pixel, its edge continued.

    Args:
      image: of any values.
      std: [] the Gaussian's standard deviation in pixels, at most 1; 0 changes nothing.

    >>> softened(jnp.zeros((5, 5, 1)).at[2, 2].set(1.0), 0.45)[2, :, 0].round(3)
    Array([0.   , 0.062, 0.731, 0.062, 0.   ], dtype=float32)
    """
    places = jnp.arange(-_REACH, _REACH + 1)
    weights = jnp.exp(-0.5 * (places / jnp.maximum(std, _LEAST)) ** 2)
    weights = (weights / jnp.sum(weights)).astype(image.dtype)
    for axis in (0, 1):
        pad = [(_REACH, _REACH) if i == axis else (0, 0) for i in range(image.ndim)]
        wide, n = jnp.pad(image, pad, mode="edge"), image.shape[axis]
        parts = [lax.slice_in_dim(wide, i, i + n, axis=axis) for i in range(len(places))]
        image = sum((w * part for w, part in zip(weights, parts, strict=True)), 0 * image)
    return image
