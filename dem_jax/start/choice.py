"""Which of several kernels is the photo's, and how far that can be trusted.

The kernel whose deconvolution is sparsest is taken; independent estimates that agree tell that it
is right. Kernels are [k, k] of sum one.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from dem_jax.solve.hyper_laplacian import hyper_laplacian
from dem_jax.solve.kernels import entropy, similarity
from dem_jax.solve.sparsity import normalized_sparsity
from dem_jax.start import spread
from dem_jax.start.views import View, noise_variance

_JUDGED_SMOOTHNESS, _JUDGED_ERROR = 8.0, 0.003  # of images to be judged: smooth ones
_ENTROPY_WEIGHT = 0.005  # per nat
_FRIENDS = 3  # candidates that a kernel is compared with: the nearest ones


class Choice(NamedTuple):
    """The chosen kernel, and what speaks for it."""

    candidates: jax.Array  # [N, k, k]
    number: jax.Array  # [] of the chosen one among them
    scores: jax.Array  # [N] of the candidates, less is better
    agreement: jax.Array  # [] of the chosen one with the others, 0 to 1

    @property
    def kernel(self) -> jax.Array:
        """[k, k] the chosen one."""
        return self.candidates[self.number]


def score(
    view: View, kernel: jax.Array, weight: jax.Array | float, *, iterations: int = 40
) -> jax.Array:
    """[] `normalized_sparsity` of what a kernel makes of a view, and 0.005 per nat of `entropy`.

    A kernel that covers more pixels has more freedom to leave an image of few edges; hence its
    entropy. `weight` and `iterations` are the deconvolution's.
    """
    latent = hyper_laplacian(view.plane, kernel, weight, size=view.size, iterations=iterations)
    half = kernel.shape[0] // 2
    latent = latent[half:-half, half:-half]
    return normalized_sparsity(latent, size=view.size) + _ENTROPY_WEIGHT * entropy(kernel[None])


def choose(view: View, kernels: jax.Array, *, axis_name: str | None = None) -> Choice:
    """The kernel of the least `score` among candidates for a view of contrast one.

    Args:
      view: of the photo.
      kernels: [N, k, k] the candidates.
      axis_name: of the devices that share the work, see `spread`.
    """
    weight = judging_weight(view)
    scores = spread.each(
        lambda kernel: score(view, kernel, weight), kernels, axis_name, mapped=spread.vmapped
    )
    best = jnp.argmin(scores)
    return Choice(kernels, best, scores, agreement(kernels)[best])


def judging_weight(view: View, *, coding: float = 1.0) -> jax.Array:
    """[] the prior weight of images to be judged, of a view of contrast one: of edges only.

    `coding` as of `views.noise_variance`.
    """
    return _JUDGED_SMOOTHNESS * (noise_variance(view, coding=coding) + _JUDGED_ERROR**2)


def agreement(kernels: jax.Array) -> jax.Array:
    """[N] mean `similarity` of each of the kernels [N, k, k] with the three nearest others."""
    alike = similarity(kernels) * (1 - jnp.eye(len(kernels)))
    nearest = jnp.sort(alike, axis=1)[:, -min(_FRIENDS, len(kernels) - 1) :]
    return jnp.clip(jnp.mean(nearest, axis=1), 0, 1)
