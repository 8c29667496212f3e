"""The first kernels: several starts give candidates, and the photo chooses one of them."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from dem_jax.config import DeblurConfig
from dem_jax.solve import fourier
from dem_jax.solve.deconvolution import deconvolve
from dem_jax.solve.kernels import entropy
from dem_jax.solve.sparsity import normalized_sparsity
from dem_jax.start.find import find
from dem_jax.start.turning import refined
from dem_jax.start.views import View
from dem_jax.types import BlurOperator

_JUDGED_SMOOTHNESS, _JUDGED_ERROR = 2.0, 0.003  # of images to be judged: smooth, of edges only
_EXCESS_WEIGHT = 5.0  # wrong kernels leave [0, 1] by 2e-2 on average, right ones by under 4e-3
_ENTROPY_WEIGHT = 0.03  # per nat; what 0.02 and 0.04 choose: benchmarks/NOTEBOOK.md


class Candidates(NamedTuple):
    """Kernels that EM may start from."""

    kernels: jax.Array  # [A, P, k, k]
    penalty: jax.Array  # [A] added to their scores


# (luma of the photo and what of it may vote, config) -> Candidates
Start = Callable[[View, DeblurConfig], Candidates]


def named_starts(config: DeblurConfig) -> tuple[Start, ...]:
    """The starts that suit the grid: of one kernel, or of a kernel for every patch."""
    return (_one_kernel if config.patch_grid == (1, 1) else _along_paths,)


def warm_start(
    photo: View,
    noise_std: jax.Array,
    config: DeblurConfig,
    *,
    blur: BlurOperator,
    starts: Sequence[Start],
) -> jax.Array:
    """The first kernels [P, k, k]: of all that the starts give, those that the photo prefers.

    Args:
      photo: luma of g, [H, W] in [0, 1]; what follows its `size` continues its edge, and enters
        neither the fit of the kernel, nor the data that f must explain, nor the scores.
      noise_std: [] of its luma, image units.
      config: kernel_size and patch_grid are used.
      blur: A, by which what the kernels make of the photo is judged.
      starts: each gives candidates.
    """
    found = [start(photo, config) for start in starts]
    kernels = jnp.concatenate([one.kernels for one in found])
    if len(kernels) == 1:
        return kernels[0]
    penalty = jnp.concatenate([one.penalty for one in found])
    weight = _JUDGED_SMOOTHNESS * (noise_std**2 + _JUDGED_ERROR**2)
    return choose(photo.plane, kernels, penalty, weight, blur=blur, size=photo.size)


def choose(
    plane: jax.Array,
    kernels: jax.Array,
    penalty: jax.Array,
    weight: jax.Array | float,
    *,
    blur: BlurOperator,
    size: jax.Array | None = None,
) -> jax.Array:
    """The kernels [P, k, k] of the least score among candidates [A, P, k, k].

    The score is the `normalized_sparsity` of what the kernels make of the photo, its mean `_excess`
    beyond [0, 1], the kernels' `entropy`, and their penalty [A].

    Args:
      plane: luma of the photo, [H, W].
      kernels: [A, P, k, k].
      penalty: [A].
      weight: [] of the deconvolution's prior.
      blur: A.
      size: [2] rows and columns of the photo where what follows them is padding; None is all.
    """
    latent_size = None if size is None else size + kernels.shape[-1] - 1

    def score(kernels: jax.Array) -> jax.Array:
        latent = deconvolve(plane[..., None], kernels, weight, blur=blur, size=size)[..., 0]
        sparsity = normalized_sparsity(latent, size=latent_size)
        ringing = _EXCESS_WEIGHT * _excess(latent, size=latent_size)
        return sparsity + ringing + _ENTROPY_WEIGHT * entropy(kernels)

    one_by_one = kernels.shape[1] > 1  # the patches of a grid are many already
    scores = lax.map(score, kernels) if one_by_one else jax.vmap(score)(kernels)
    return kernels[jnp.argmin(scores + penalty)]


def _one_kernel(photo: View, config: DeblurConfig) -> Candidates:
    """One kernel for the photo, see `find`."""
    kernel, _ = find(photo, config)
    return Candidates(kernel[None, None], jnp.zeros(1, kernel.dtype))


def _along_paths(photo: View, config: DeblurConfig) -> Candidates:
    """A kernel for every patch along a camera's path, see `turning`."""
    kernel, _ = find(photo, config)
    kernels = refined(photo, kernel, config)
    return Candidates(kernels[None], jnp.zeros(1, kernels.dtype))


def _excess(latent: jax.Array, *, size: jax.Array | None = None) -> jax.Array:
    """[] mean distance of a plane [H, W] from [0, 1]; only its first `size` [2] pixels count.

    A wrong kernel makes edges ring, which looks sharp.
    """
    mask = fourier.inside(latent.shape if size is None else size, latent.shape)
    return jnp.sum(mask * jnp.abs(latent - jnp.clip(latent, 0, 1))) / jnp.sum(mask)
