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
from dem_jax.start.kernel_estimation import coarse_to_fine, from_strong_edges
from dem_jax.start.motion_spectrum import agrees, line_ends, straight_motion
from dem_jax.types import BlurOperator

LUMA = (0.299, 0.587, 0.114)  # Rec. 601
_JUDGED_SMOOTHNESS, _JUDGED_ERROR = 8.0, 0.003  # of images to be judged: smooth, of edges only
_EDGE_KERNEL_WEIGHT = 0.33  # part of a single kernel that strong edges give: docs/accuracy.md
_EXCESS_WEIGHT = 5.0  # wrong kernels leave [0, 1] by 2e-2 on average, right ones by under 4e-3
_ENTROPY_WEIGHT = 0.03  # per nat; what 0.02 and 0.04 choose: docs/accuracy.md
_SHORTNESS_WEIGHT = 0.3  # per nat; right kernels have 0.6 to 1.1 of the motion's length
_SHORT, _SLACK = 0.6, 0.5  # part of it, pixels: what kernels may lack without a penalty


def luma(photo: jax.Array) -> jax.Array:
    """[H, W] brightness of a photo [H, W, C], C = 1 or 3."""
    return photo[..., 0] if photo.shape[-1] == 1 else photo @ jnp.asarray(LUMA, photo.dtype)


class Candidates(NamedTuple):
    """Kernels that EM may start from."""

    kernels: jax.Array  # [A, P, k, k]
    penalty: jax.Array  # [A] added to their scores


# (luma of the photo [H, W], config, size) -> Candidates
Start = Callable[[jax.Array, DeblurConfig, jax.Array | None], Candidates]


def named_starts(config: DeblurConfig) -> tuple[Start, ...]:
    """The starts that suit the grid: of one kernel, or of a kernel for every patch."""
    return (one_kernel,) if config.patch_grid == (1, 1) else (along_paths,)


def warm_start(
    photo: jax.Array,
    noise_std: jax.Array,
    config: DeblurConfig,
    *,
    blur: BlurOperator,
    starts: Sequence[Start],
    size: jax.Array | None = None,
) -> jax.Array:
    """The first kernels [P, k, k]: of all that the starts give, those that the photo prefers.

    Args:
      photo: g, [H, W, C] in [0, 1].
      noise_std: [] of its luma, image units.
      config: kernel_size, patch_grid and start are used.
      blur: A, by which what the kernels make of the photo is judged.
      starts: each gives candidates.
      size: [2] rows and columns of the photo where what follows them continues its edge: that
        enters neither the fit of the kernel, nor the data that f must explain, nor the scores.
    """
    plane = luma(photo)
    found = [start(plane, config, size) for start in starts]
    kernels = jnp.concatenate([one.kernels for one in found])
    penalty = jnp.concatenate([one.penalty for one in found])
    weight = prior_weight(noise_std, _JUDGED_ERROR, smoothness=_JUDGED_SMOOTHNESS)
    chosen = choose(plane, kernels, penalty, weight, blur=blur, size=size)
    if config.patch_grid == (1, 1):
        other = from_strong_edges(plane, chosen[0], weight, size=size)
        chosen += _EDGE_KERNEL_WEIGHT * (other[None] - chosen)
    return chosen


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

    The score is the `normalized_sparsity` of what the kernels make of the photo, their `entropy`,
    and their penalty [A].

    Args:
      plane: luma of the photo, [H, W].
      kernels: [A, P, k, k].
      penalty: [A].
      weight: [] of the deconvolution's prior.
      blur: A.
      size: as of `warm_start`.
    """
    latent_size = None if size is None else size + kernels.shape[-1] - 1

    def score(kernels: jax.Array) -> jax.Array:
        latent = deconvolve(plane[..., None], kernels, weight, blur=blur, size=size)[..., 0]
        return normalized_sparsity(latent, size=latent_size) + _ENTROPY_WEIGHT * entropy(kernels)

    one_by_one = kernels.shape[1] > 1  # the patches of a grid are many already
    scores = lax.map(score, kernels) if one_by_one else jax.vmap(score)(kernels)
    return kernels[jnp.argmin(scores + penalty)]


def one_kernel(plane: jax.Array, config: DeblurConfig, size: jax.Array | None) -> Candidates:
    """One kernel for the photo, by every pair of sparsity and support_fraction."""

    def kernels(sparsity: jax.Array, support_fraction: jax.Array) -> jax.Array:
        return coarse_to_fine(
            plane, sparsity, support_fraction, kernel_size=config.kernel_size, size=size
        )[None]

    pairs = jnp.asarray(config.start.sparsity), jnp.asarray(config.start.support_fraction)
    found = jax.vmap(kernels)(*pairs)
    return Candidates(found, jnp.zeros(len(found), plane.dtype))


def along_paths(plane: jax.Array, config: DeblurConfig, size: jax.Array | None) -> Candidates:
    """A kernel for every patch along a camera's path; their penalty is their `shortness`.

    By every path_sparsity from coarse to fine, and by every line_sparsity from the straight motion
    that the photo's spectrum shows, as it is and turned.
    """
    k, start = config.kernel_size, config.start
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


def normalized_sparsity(latent: jax.Array, *, size: jax.Array | None = None) -> jax.Array:
    """How far a plane [H, W] is from a sharp photo; a number near one half.

    The L1 norm of the gradient over its L2 norm and the root of its size: small where few edges
    hold the contrast. Unlike a sparse prior's energy it does not favour the blurred photo itself.
    A wrong kernel makes edges ring, which looks sharp; so the mean excess beyond [0, 1] counts too.

    Only the first `size` [2] rows and columns count, where it is given.

    Source: Krishnan, Tay, Fergus: Blind deconvolution using a normalized sparsity measure, 2011.
    """
    mask = fourier.inside(latent.shape if size is None else size, latent.shape)
    rows = (latent[1:] - latent[:-1]) * mask[1:]
    cols = (latent[:, 1:] - latent[:, :-1]) * mask[:, 1:]
    count = jnp.sum(mask[1:]) + jnp.sum(mask[:, 1:])
    l1 = jnp.sum(jnp.abs(rows)) + jnp.sum(jnp.abs(cols))
    l2 = jnp.sqrt(jnp.sum(rows**2) + jnp.sum(cols**2) + 1e-12)
    excess = jnp.sum(mask * jnp.abs(latent - jnp.clip(latent, 0, 1))) / jnp.sum(mask)
    return l1 / l2 / jnp.sqrt(count) + _EXCESS_WEIGHT * excess


def entropy(kernels: jax.Array) -> jax.Array:
    """Mean entropy of kernels [P, k, k] of sum one, in nats: log of how many pixels they cover.

        -(1/P) sum_p sum_x k_p(x) log k_p(x)

    A kernel with a faint floor everywhere explains texture, and the image that it leaves looks
    sharp. `normalized_sparsity` does not see that; the more pixels a kernel may use, the more often
    it happens.
    """
    return jnp.mean(jnp.sum(jax.scipy.special.entr(kernels), (1, 2)))


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
