"""The first kernels: several starts give candidates, and the photo chooses one of them."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from dem_jax.config import DeblurConfig
from dem_jax.model.windows import patch_centres
from dem_jax.solve import fourier
from dem_jax.solve.deconvolution import deconvolve, prior_weight
from dem_jax.start.camera_path import path_kernels, turned_motion
from dem_jax.start.choice import entropy, normalized_sparsity
from dem_jax.start.find import find
from dem_jax.start.motion_spectrum import agrees, line_ends, straight_motion
from dem_jax.start.views import View
from dem_jax.types import BlurOperator

LUMA = (0.299, 0.587, 0.114)  # Rec. 601
_JUDGED_SMOOTHNESS, _JUDGED_ERROR = 8.0, 0.003  # of images to be judged: smooth, of edges only
_EXCESS_WEIGHT = 5.0  # wrong kernels leave [0, 1] by 2e-2 on average, right ones by under 4e-3
_ENTROPY_WEIGHT = 0.03  # per nat; what 0.02 and 0.04 choose: benchmarks/NOTEBOOK.md
_SHORTNESS_WEIGHT = 0.3  # per nat; right kernels have 0.6 to 1.1 of the motion's length
_SHORT, _SLACK = 0.6, 0.5  # part of it, pixels: what kernels may lack without a penalty


def luma(photo: jax.Array) -> jax.Array:
    """[H, W] brightness of a photo [H, W, C], C = 1 or 3."""
    return photo[..., 0] if photo.shape[-1] == 1 else photo @ jnp.asarray(LUMA, photo.dtype)


class Candidates(NamedTuple):
    """Kernels that EM may start from."""

    kernels: jax.Array  # [A, P, k, k]
    penalty: jax.Array  # [A] added to their scores


# (luma of the photo and what of it may vote, config) -> Candidates
Start = Callable[[View, DeblurConfig], Candidates]


def named_starts(config: DeblurConfig) -> tuple[Start, ...]:
    """The starts that suit the grid: of one kernel, or of a kernel for every patch."""
    return (one_kernel if config.patch_grid == (1, 1) else along_paths,)


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
      config: kernel_size, patch_grid and start are used.
      blur: A, by which what the kernels make of the photo is judged.
      starts: each gives candidates.
    """
    found = [start(photo, config) for start in starts]
    kernels = jnp.concatenate([one.kernels for one in found])
    if len(kernels) == 1:
        return kernels[0]
    penalty = jnp.concatenate([one.penalty for one in found])
    weight = prior_weight(noise_std, _JUDGED_ERROR, smoothness=_JUDGED_SMOOTHNESS)
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

    The score is the `normalized_sparsity` of what the kernels make of the photo, its mean `excess`
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
        ringing = _EXCESS_WEIGHT * excess(latent, size=latent_size)
        return sparsity + ringing + _ENTROPY_WEIGHT * entropy(kernels)

    one_by_one = kernels.shape[1] > 1  # the patches of a grid are many already
    scores = lax.map(score, kernels) if one_by_one else jax.vmap(score)(kernels)
    return kernels[jnp.argmin(scores + penalty)]


def one_kernel(photo: View, config: DeblurConfig) -> Candidates:
    """One kernel for the photo, see `find`."""
    kernel, _ = find(photo, kernel_size=config.kernel_size)
    return Candidates(kernel[None, None], jnp.zeros(1, kernel.dtype))


def along_paths(photo: View, config: DeblurConfig) -> Candidates:
    """A kernel for every patch along a camera's path; their penalty is their `shortness`.

    By every path_sparsity from coarse to fine, and by every line_sparsity from the straight motion
    that the photo's spectrum shows, as it is and turned.
    """
    k, start, (plane, size, _) = config.kernel_size, config.start, photo
    motion = straight_motion(plane, kernel_size=k, size=size)
    turned = turned_motion(plane, motion, kernel_size=k, size=size)
    agreed = agrees(plane, motion, turned, kernel_size=k, size=size)
    lines = jnp.stack([motion, jnp.where(agreed, turned, motion)])

    def kernels(sparsity, motion=None):
        return path_kernels(
            plane, sparsity, kernel_size=k, grid=config.patch_grid, motion=motion, size=size
        )

    pairs = (
        jnp.tile(jnp.asarray(start.line_sparsity), len(lines)),
        jnp.repeat(lines, len(start.line_sparsity), axis=0),
    )
    from_coarse = lax.map(kernels, jnp.asarray(start.path_sparsity))
    from_lines = lax.map(lambda pair: kernels(*pair), pairs)
    found = jnp.concatenate([from_coarse, from_lines])
    centres = patch_centres((plane.shape[0], plane.shape[1]), config.patch_grid)
    moves = line_ends(motion, centres, plane.shape)
    short = jax.vmap(lambda kernels: shortness(kernels, moves))(found)
    return Candidates(found, _SHORTNESS_WEIGHT * short)


def excess(latent: jax.Array, *, size: jax.Array | None = None) -> jax.Array:
    """[] mean distance of a plane [H, W] from [0, 1]; only its first `size` [2] pixels count.

    A wrong kernel makes edges ring, which looks sharp.
    """
    mask = fourier.inside(latent.shape if size is None else size, latent.shape)
    return jnp.sum(mask * jnp.abs(latent - jnp.clip(latent, 0, 1))) / jnp.sum(mask)


def shortness(kernels: jax.Array, moves: jax.Array) -> jax.Array:
    """How much shorter kernels [P, k, k] are than lines `moves` [P, 2], from end to end in pixels.

        max(0, log (0.6 L / (l + 0.5))),    L^2 = sum_p |v_p|^4 / 12 / sum_p |v_p|^2

    L and l being standard deviations along the lines, of the lines and of the kernels: a start that
    explains much less motion than the photo's spectrum shows has been lost on a coarse level. Half
    a pixel more is allowed, since sharp photos show that much.
    """
    middle = kernels.shape[-1] // 2
    steps = jnp.arange(kernels.shape[-1]) - middle
    along = moves[:, 0, None, None] * steps[None, :, None]
    along = along + moves[:, 1, None, None] * steps[None, None]
    mean = jnp.sum(kernels * along, (1, 2), keepdims=True)
    power = jnp.sum(moves**2, 1)
    total = jnp.maximum(jnp.sum(power), 1e-6)
    found = jnp.sqrt(jnp.sum(kernels * (along - mean) ** 2) / total)
    shown = jnp.sqrt(jnp.sum(power**2) / 12 / total)
    return jnp.maximum(jnp.log(jnp.maximum(_SHORT * shown, 1e-6) / (found + _SLACK)), 0)
