"""Which of several kernels is the photo's, and how far that can be trusted.

The kernel whose deconvolution is sparsest is taken; independent estimates that agree tell that it
is right. Kernels are [k, k] of sum one.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from dem_jax.model.blur import good_size
from dem_jax.model.likelihood import estimate_noise_std
from dem_jax.solve import fourier
from dem_jax.solve.deconvolution import hyper_laplacian
from dem_jax.start.views import View

_JUDGED_SMOOTHNESS, _JUDGED_ERROR = 8.0, 0.003  # of images to be judged: smooth ones
_ENTROPY_WEIGHT = 0.005  # per nat
_FRIENDS = 3  # candidates that a kernel is compared with: the nearest ones
_SMOOTHNESS = 1.0  # pixels, deviation of a Gaussian, of kernels that are compared
_MARGIN = 4  # pixels around kernels that are smoothed, in its deviations


class Choice(NamedTuple):
    """The chosen kernel, and what speaks for it."""

    kernel: jax.Array  # [k, k]
    number: jax.Array  # [] of it among the candidates
    scores: jax.Array  # [N] of the candidates, less is better
    agreement: jax.Array  # [] of the chosen one with the others, 0 to 1


def choose(view: View, kernels: jax.Array) -> Choice:
    """The kernel of the least score among candidates [N, k, k] for a view of contrast one."""
    weight = judging_weight(view)
    scores = jax.vmap(lambda kernel: score(view, kernel, weight))(kernels)
    best = jnp.argmin(scores)
    return Choice(kernels[best], best, scores, agreement(kernels)[best])


def score(
    view: View, kernel: jax.Array, weight: jax.Array | float, *, iterations: int = 40
) -> jax.Array:
    """[] `normalized_sparsity` of what a kernel makes of a view, and 0.005 per nat of `entropy`.

    A kernel that covers more pixels has more freedom to leave an image of few edges; hence its
    entropy. `weight` and `iterations` are the deconvolution's.
    """
    half = kernel.shape[0] // 2
    latent = hyper_laplacian(view.plane, kernel, weight, size=view.size, iterations=iterations)
    latent = latent[half:-half, half:-half]
    return normalized_sparsity(latent, size=view.size) + _ENTROPY_WEIGHT * entropy(kernel[None])


def judging_weight(view: View) -> jax.Array:
    """[] the prior weight of images to be judged, of a view of contrast one: of edges only."""
    noise = estimate_noise_std(view.plane[..., None], size=view.size) ** 2
    return _JUDGED_SMOOTHNESS * (noise + _JUDGED_ERROR**2)


def agreement(kernels: jax.Array) -> jax.Array:
    """[N] mean `similarity` of each of the kernels [N, k, k] with the three nearest others."""
    alike = similarity(kernels) * (1 - jnp.eye(len(kernels)))
    nearest = jnp.sort(alike, axis=1)[:, -min(_FRIENDS, len(kernels) - 1) :]
    return jnp.clip(jnp.mean(nearest, axis=1), 0, 1)


def similarity(kernels: jax.Array) -> jax.Array:
    """[N, N] normalised correlation of kernels [N, k, k] under the best shift by whole pixels.

        max_x sum_y a(y) b(y + x) / (|a| |b|),    a, b smoothed by a Gaussian of one pixel

    So candidates that lie a pixel apart are alike.
    """
    side = good_size(2 * (kernels.shape[-1] + 2 * round(_MARGIN * _SMOOTHNESS)))
    spectra = jnp.fft.rfft2(kernels, s=(side, side))
    rows, cols = jnp.fft.fftfreq(side)[:, None], jnp.fft.rfftfreq(side)[None]
    spectra *= jnp.exp(-2 * (jnp.pi * _SMOOTHNESS) ** 2 * (rows**2 + cols**2))[None]
    products = spectra[:, None] * jnp.conj(spectra[None])
    best = jnp.max(jnp.fft.irfft2(products, s=(side, side)), (2, 3))
    norms = jnp.sqrt(jnp.diagonal(best))
    return best / jnp.maximum(norms[:, None] * norms[None], 1e-12)


def normalized_sparsity(latent: jax.Array, *, size: jax.Array | None = None) -> jax.Array:
    """How far a plane [H, W] is from a sharp photo; a number near one half.

    The L1 norm of the gradient over its L2 norm and the root of its size: small where few edges
    hold the contrast. Unlike a sparse prior's energy it does not favour the blurred photo itself.
    Only the first `size` [2] rows and columns count, where it is given.

    Source: Krishnan, Tay, Fergus: Blind deconvolution using a normalized sparsity measure, 2011.
    """
    mask = fourier.inside(latent.shape if size is None else size, latent.shape)
    rows = (latent[1:] - latent[:-1]) * mask[1:]
    cols = (latent[:, 1:] - latent[:, :-1]) * mask[:, 1:]
    count = jnp.sum(mask[1:]) + jnp.sum(mask[:, 1:])
    l1 = jnp.sum(jnp.abs(rows)) + jnp.sum(jnp.abs(cols))
    l2 = jnp.sqrt(jnp.sum(rows**2) + jnp.sum(cols**2) + 1e-12)
    return l1 / l2 / jnp.sqrt(count)


def entropy(kernels: jax.Array) -> jax.Array:
    """Mean entropy of kernels [P, k, k] of sum one, in nats: log of how many pixels they cover.

        -(1/P) sum_p sum_x k_p(x) log k_p(x)

    A kernel with a faint floor everywhere explains texture, and the image that it leaves looks
    sharp. `normalized_sparsity` does not see that; the more pixels a kernel may use, the more often
    it happens.
    """
    return jnp.mean(jnp.sum(jax.scipy.special.entr(kernels), (1, 2)))
