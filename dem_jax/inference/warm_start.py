"""The warm start: deblurring from several starts, one chosen by the photo alone."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from dem_jax.config import DeblurConfig
from dem_jax.inference import spectral
from dem_jax.inference.camera_path import path_kernels, turned_motion
from dem_jax.inference.deconvolution import (
    hyper_laplacian,
    prior_weight,
    robust_hyper_laplacian,
)
from dem_jax.inference.kernel_estimation import coarse_to_fine, from_strong_edges
from dem_jax.inference.motion_spectrum import agrees, line_ends, straight_motion
from dem_jax.model import blur
from dem_jax.model.likelihood import estimate_noise_std

_LUMA = (0.299, 0.587, 0.114)  # Rec. 601
_JUDGED = 8.0, 0.003  # smoothness and model_std of images to be judged: smooth ones, of edges only
_EXCESS_WEIGHT = 5.0  # wrong kernels leave [0, 1] by 2e-2 on average, right ones by under 4e-3
_ENTROPY_WEIGHT = 0.03  # per nat; what 0.02 and 0.04 choose: docs/accuracy.md
_SHORTNESS_WEIGHT = 0.3  # per nat; right kernels have 0.6 to 1.1 of the motion's length
_SHORT, _SLACK = 0.6, 0.5  # part of it, pixels: what kernels may lack without a penalty


def luma(photo: jax.Array) -> jax.Array:
    """[H, W] brightness of a photo [H, W, C], C = 1 or 3."""
    return photo[..., 0] if photo.shape[-1] == 1 else photo @ jnp.asarray(_LUMA, photo.dtype)


def warm_start(
    photo: jax.Array, config: DeblurConfig, *, size: jax.Array | None = None
) -> tuple[jax.Array, jax.Array]:
    """A first kernel and image.

    Every start of `config.start` gives kernels: one for the photo, by a pair (sparsity, reach), or
    one for every patch of a grid, by a path_sparsity (from coarse to fine) or a line_sparsity (from
    the straight motion that the photo's spectrum shows, as it is and turned). They are scored by
    the `blurriness` of what they make of the photo and by their `entropy`, those of a grid by their
    `shortness` too, and the least score wins. One kernel for the photo is then drawn towards the
    one `from_strong_edges`, by `config.start.strong_edges`.

    Args:
      photo: g, [H, W, C] in [0, 1].
      config: kernel_size, patch_grid and start are used.
      size: [2] rows and columns of the photo where what follows them continues its edge: that
        enters neither the fit of the kernel, nor the data that f must explain, nor the scores.

    Returns:
      kernels: [P, k, k], and latent: [H+k-1, W+k-1, C], not clipped.
    """
    start, plane = config.start, luma(photo)
    latent_size = None if size is None else size + config.kernel_size - 1
    judged = prior_weight(estimate_noise_std(plane[..., None], size=size), *_JUDGED)

    def uniform(sparsity, reach):
        return coarse_to_fine(
            plane, sparsity, reach, kernel_size=config.kernel_size, config=start, size=size
        )[None]

    def score(kernels):
        latent = restore(plane[..., None], kernels, config, weight=judged, size=size)
        return blurriness(latent[..., 0], size=latent_size) + _ENTROPY_WEIGHT * entropy(kernels)

    one = config.patch_grid == (1, 1)
    if one:
        attempts = jax.vmap(uniform)(jnp.asarray(start.sparsity), jnp.asarray(start.reach))
        scores = jax.vmap(score)(attempts)
    else:
        attempts, short = _along_paths(plane, config, size)
        scores = lax.map(score, attempts) + _SHORTNESS_WEIGHT * short
    kernels = attempts[jnp.argmin(scores)]
    if one and start.strong_edges:
        other = from_strong_edges(plane, kernels[0], judged, config=start, size=size)
        kernels += start.strong_edges * (other[None] - kernels)
    return kernels, restore(photo, kernels, config, size=size)


def restore(
    photo: jax.Array,
    kernels: jax.Array,
    config: DeblurConfig,
    *,
    weight: jax.Array | float | None = None,
    trust: jax.Array | None = None,
    size: jax.Array | None = None,
) -> jax.Array:
    """The image [H+k-1, W+k-1, C] that known kernels [P, k, k] make of a photo [H, W, C].

    Each kernel's deconvolution of the whole photo, weighted by the window of its patch. `weight` is
    that of the deconvolution's prior; None: `prior_weight` for a start's kernels. `size` is that of
    `warm_start`. With `trust` [H, W] a single kernel's is `robust_hyper_laplacian`.
    """
    if weight is None:
        noise_std = estimate_noise_std(photo, size=size)
        one = config.patch_grid == (1, 1)
        model_std = config.start.model_std if one else config.start.path_model_std
        weight = prior_weight(noise_std, config.start.smoothness, model_std)
    if config.patch_grid == (1, 1):
        return _deconvolve(photo, kernels[0], weight, size, trust)
    k = config.kernel_size
    rows, cols = blur.windows((photo.shape[0] + k - 1, photo.shape[1] + k - 1), config.patch_grid)
    rows, cols = np.repeat(rows, len(cols), axis=0), np.tile(cols, (len(rows), 1))

    def add(total, patch):
        kernel, row, col = patch
        window = row[:, None, None] * col[None, :, None]
        return total + window * _deconvolve(photo, kernel, weight, size), None

    patches = (kernels, jnp.asarray(rows, photo.dtype), jnp.asarray(cols, photo.dtype))
    nothing = jnp.zeros((rows.shape[1], cols.shape[1], photo.shape[-1]), photo.dtype)
    return lax.scan(add, nothing, patches)[0]


def blurriness(latent: jax.Array, *, size: jax.Array | None = None) -> jax.Array:
    """How little a plane [H, W] looks like a sharp photo; a number near one half.

    The L1 norm of the gradient over its L2 norm and the root of its size: small where few edges
    hold the contrast. Unlike a sparse prior's energy it does not favour the blurred photo itself.
    A wrong kernel may pass by ringing, so leaving [0, 1] counts too, in mean excess.

    Only the first `size` [2] rows and columns count, where it is given.

    Source: Krishnan, Tay, Fergus: Blind deconvolution using a normalized sparsity measure, 2011.
    """
    mask = spectral.inside(latent.shape if size is None else size, latent.shape)
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
    sharp. `blurriness` does not see that; it happens the more, the more pixels a kernel may use.
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


def _along_paths(
    plane: jax.Array, config: DeblurConfig, size: jax.Array | None
) -> tuple[jax.Array, jax.Array]:
    """Kernels [A, P, k, k] by every start along a camera's path, and their `shortness` [A]."""
    k, start = config.kernel_size, config.start
    motion = straight_motion(plane, kernel_size=k, size=size)
    turned = turned_motion(plane, motion, kernel_size=k, config=start, size=size)
    agreed = agrees(plane, motion, turned, kernel_size=k, size=size)
    lines = jnp.stack([motion, jnp.where(agreed, turned, motion)])

    def kernels(sparsity, motion=None):
        return path_kernels(
            plane,
            sparsity,
            kernel_size=k,
            grid=config.patch_grid,
            config=start,
            motion=motion,
            size=size,
        )

    pairs = (
        jnp.tile(jnp.asarray(start.line_sparsity), len(lines)),
        jnp.repeat(lines, len(start.line_sparsity), axis=0),
    )
    from_coarse = lax.map(kernels, jnp.asarray(start.path_sparsity))
    from_lines = lax.map(lambda pair: kernels(*pair), pairs)
    attempts = jnp.concatenate([from_coarse, from_lines])
    centres = blur.patch_centres((plane.shape[0], plane.shape[1]), config.patch_grid)
    moves = line_ends(motion, centres, plane.shape)
    return attempts, jax.vmap(lambda kernels: shortness(kernels, moves))(attempts)


def _deconvolve(
    photo: jax.Array,
    kernel: jax.Array,
    weight: jax.Array | float,
    size: jax.Array | None,
    trust: jax.Array | None = None,
) -> jax.Array:
    """The deconvolution of every channel, [H+k-1, W+k-1, C]."""

    def channel(plane):
        if trust is None:
            return hyper_laplacian(plane, kernel, weight, size=size)
        return robust_hyper_laplacian(plane, kernel, weight, trust, size=size)

    return jax.vmap(channel, -1, -1)(photo)
