"""Which of several kernels is the photo's, and how far that can be trusted.

The kernel whose deconvolution is sparsest is taken; independent estimates that agree tell that it
is right. Kernels are [k, k] of sum one.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from dem_jax.model import blur
from dem_jax.model.likelihood import estimate_noise_std
from dem_jax.solve import fourier
from dem_jax.solve.hyper_laplacian import hyper_laplacian
from dem_jax.solve.kernels import entropy, similarity
from dem_jax.solve.sparsity import normalized_sparsity
from dem_jax.start.views import View

_JUDGED_SMOOTHNESS, _JUDGED_ERROR = 8.0, 0.003  # of images to be judged: smooth ones
_ENTROPY_WEIGHT = 0.005  # per nat
_MISFIT_WEIGHT = 0.1  # per nat of the residual's power
_FRIENDS = 3  # candidates that a kernel is compared with: the nearest ones


Judge = Callable[[View, jax.Array, jax.Array], jax.Array]


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


def score_and_misfit(view: View, kernel: jax.Array, weight: jax.Array | float) -> jax.Array:
    """[] `score`, and 0.1 per nat of the power of what a kernel leaves over of the view.

    For kernels in windows that fit: in a wide one what should not be there explains noise.
    """
    latent = hyper_laplacian(view.plane, kernel, weight, size=view.size)
    residual = view.plane - blur.uniform(kernel, latent[..., None])[..., 0]
    size = view.plane.shape if view.size is None else view.size
    known = fourier.inside(size, view.plane.shape)
    power = jnp.sum(known * residual**2) / jnp.sum(known)
    return _sparsity(view, kernel, latent) + _MISFIT_WEIGHT * jnp.log(power)


def score(
    view: View, kernel: jax.Array, weight: jax.Array | float, *, iterations: int = 40
) -> jax.Array:
    """[] `normalized_sparsity` of what a kernel makes of a view, and 0.005 per nat of `entropy`.

    A kernel that covers more pixels has more freedom to leave an image of few edges; hence its
    entropy. `weight` and `iterations` are the deconvolution's.
    """
    latent = hyper_laplacian(view.plane, kernel, weight, size=view.size, iterations=iterations)
    return _sparsity(view, kernel, latent)


def _sparsity(view: View, kernel: jax.Array, latent: jax.Array) -> jax.Array:
    half = kernel.shape[0] // 2
    latent = latent[half:-half, half:-half]
    return normalized_sparsity(latent, size=view.size) + _ENTROPY_WEIGHT * entropy(kernel[None])


def choose(view: View, kernels: jax.Array, judge: Judge = score) -> Choice:
    """The kernel of the least score among candidates [N, k, k] for a view of contrast one.

    `judge` gives the score [] of a kernel for the view by its `judging_weight`.
    """
    weight = judging_weight(view)
    scores = jax.vmap(lambda kernel: judge(view, kernel, weight))(kernels)
    best = jnp.argmin(scores)
    return Choice(kernels, best, scores, agreement(kernels)[best])


def judging_weight(view: View) -> jax.Array:
    """[] the prior weight of images to be judged, of a view of contrast one: of edges only."""
    noise = estimate_noise_std(view.plane[..., None], size=view.size) ** 2
    return _JUDGED_SMOOTHNESS * (noise + _JUDGED_ERROR**2)


def agreement(kernels: jax.Array) -> jax.Array:
    """[N] mean `similarity` of each of the kernels [N, k, k] with the three nearest others."""
    alike = similarity(kernels) * (1 - jnp.eye(len(kernels)))
    nearest = jnp.sort(alike, axis=1)[:, -min(_FRIENDS, len(kernels) - 1) :]
    return jnp.clip(jnp.mean(nearest, axis=1), 0, 1)
