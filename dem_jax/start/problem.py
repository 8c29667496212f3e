"""The problem that EM begins with: the photo, its first kernels, and the inputs of both networks.

`prepare` takes kernels that are given or were found in a first look, or finds them itself, and
deconvolves the photo by them.
"""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from dem_jax.config import DeblurConfig
from dem_jax.model import arrays, blur, kernel_priors, likelihood, promotion, softness
from dem_jax.model.luma import LUMA
from dem_jax.model.paper_model import paper_model
from dem_jax.solve import fourier
from dem_jax.solve.deconvolution import deconvolved
from dem_jax.start import odd_pixels
from dem_jax.start.views import View, of_photo
from dem_jax.start.warm_start import Start, named_starts, warm_start
from dem_jax.types import BlurOperator, Model, Problem

_NOISE_CHANNELS = 8  # of T_f's input
_NOISE_AMPLITUDE = 0.1  # of these channels, against image values up to 1
_KERNEL_CHANNELS = 8  # of T_K's input
_LEAST_WHITE = 1e-4  # of the image range: a darker photo is not made brighter than this one
_PLAUSIBLE = 4.0  # residuals of a start that are plausible, in errors of photo and kernel
_ODD_SHARE = 1e-3  # of the pixels: where more are not explained, the start's image leaves them out
_ROUNDS = 2  # of leaving them out; the second for what lies on the photo and has spoilt the first
_MODEL_ERROR = 0.008  # image units: what a start's kernel leaves over beside the noise


@promotion.standard
def prepare(
    key: jax.Array,
    photo: Any,
    config: DeblurConfig,
    *,
    kernels: jax.Array | None = None,
    model: Model | None = None,
    starts: Sequence[Start] | None = None,
) -> Problem:
    """The start, from kernels that are given or found here, and the inputs of both networks.

    Photos of near sizes can share one compiled program: padded to one shape [H, W], with
    `Given.size` telling how much of it is photo. What the padding holds does not matter: the
    photo's edge is continued into it, and its weight is zero.

    Args:
      key: random key, consumed.
      photo: g, [H, W, C] as of `deblur`, or what is given with it.
      config: kernel size, patch grid (over all of [H, W]) and everything else.
      kernels: [P, k, k] or [1, k, k] to start from; None: those of `Given`, or they are found.
      model: its blur is the one that the start's image is deconvolved by; None: the paper's.
      starts: ways to first kernels; None: those of `start.warm_start`.

    Raises:
      ValueError: as `deblur`.

    >>> photo, config = jax.ShapeDtypeStruct((32, 40, 3), "float32"), DeblurConfig(kernel_size=5)
    >>> jax.eval_shape(lambda g: prepare(jax.random.key(0), g, config), photo).start_latent.shape
    (36, 44, 3)
    """
    given = arrays.as_given(photo)
    photo, size = given.pixels, given.size
    kernels = None if kernels is None else arrays.kernels(kernels, photo.dtype)
    arrays.require_room(photo, config, kernels)
    model = model or paper_model(config)
    seen, weight = of_photo(given), likelihood.trusted(photo)
    gain = 1 / jnp.maximum(jnp.max(photo), _LEAST_WHITE)
    photo, coding_std = gain * photo, given.coding_std
    coding_std = None if coding_std is None else gain * coding_std
    seen = seen._replace(plane=gain * seen.plane, coding_std=coding_std)
    k, patches = config.kernel_size, config.patch_grid[0] * config.patch_grid[1]
    image_key, kernel_key = jax.random.split(key)
    padded = jnp.pad(photo, ((k // 2, k // 2), (k // 2, k // 2), (0, 0)), mode="edge")
    shape = (*padded.shape[:2], _NOISE_CHANNELS)
    image_input = _NOISE_AMPLITUDE * jax.random.uniform(image_key, shape, photo.dtype)
    m = kernel_priors.input_size(k)
    if given.weight is not None:
        weight = weight * given.weight
    if size is not None:
        weight = weight * fourier.inside(size, weight.shape)
    noise_std = _noise_std(photo, gain * config.noise_std, size)
    if coding_std is not None and not config.noise_std:
        noise_std = jnp.hypot(noise_std, coding_std)
    if config.warm_start:
        if kernels is None and given.kernel is not None:
            kernels = given.kernel if given.kernel.ndim == 3 else given.kernel[None]
        if kernels is None:
            luma_std = _luma_noise_std(seen, config.noise_std, photo.shape[-1], gain)
            ways = starts or named_starts(config)
            kernels = warm_start(seen, luma_std, config, blur=model.blur, starts=ways)
        else:
            kernels = blur.unit_sums(kernels)
        kernels = jnp.broadcast_to(kernels, (patches, k, k))
        start = _start(photo, kernels, weight, noise_std=noise_std, gain=gain, blur=model.blur)
        image_input = jnp.concatenate([image_input, start.latent, padded], axis=-1)
    else:
        kernels = jnp.full((patches, k, k), 1 / k**2, photo.dtype)
        start = _Start(padded, weight, jnp.zeros_like(gain))
    found = model.kernels.update is not None and config.warm_start
    return Problem(
        photo=photo,
        weight=start.weight,
        image_input=image_input,
        kernel_input=jax.random.uniform(kernel_key, (m, m, _KERNEL_CHANNELS), photo.dtype),
        start_latent=start.latent,
        start_kernels=kernels,
        noise_std=noise_std,
        cameras_part=start.cameras_part * (found and config.camera_softness),
        gain=gain,
        overlay=start.overlay,
    )


class _Start(NamedTuple):
    """What first kernels make of a photo."""

    latent: jax.Array  # [H+k-1, W+k-1, C]
    weight: jax.Array  # [H, W] of the likelihood
    cameras_part: jax.Array  # [] see `model.softness`
    overlay: jax.Array | None = None  # [H, W] bool, what lies on the photo


def _start(
    photo: jax.Array,
    kernels: jax.Array,
    weight: jax.Array,
    *,
    noise_std: jax.Array,
    gain: jax.Array,
    blur: BlurOperator,
) -> _Start:
    """The photo's deconvolution by first kernels [P, k, k].

    What one kernel cannot explain, such as hot pixels, loses its weight [H, W], see `odd_pixels`,
    and is left out of the image where it is more than a few pixels. Kernels of a grid explain no
    photo that well, and nothing loses weight.
    """
    latent_by = functools.partial(
        deconvolved, photo, kernels, noise_std=noise_std, gain=gain, blur=blur
    )
    latent = latent_by(weight)
    if len(kernels) > 1:
        return _Start(latent, weight, jnp.full_like(gain, softness.GRIDS_PART))
    scale = _PLAUSIBLE * jnp.hypot(noise_std, _MODEL_ERROR)
    clipped = ~likelihood.unclipped(photo, gain * likelihood.CLIPPED)

    def explained(latent: jax.Array) -> tuple[jax.Array, jax.Array]:
        believed, overlay = odd_pixels.explained((photo - blur(kernels, latent)) / scale, clipped)
        return weight * believed, overlay

    def again(number: jax.Array, latent: jax.Array) -> jax.Array:
        left, overlay = explained(latent)
        many = jnp.mean(left < 0.5 * weight) > _ODD_SHARE
        needed = many & ((number == 0) | jnp.any(overlay))
        return lax.cond(needed, latent_by, lambda _: latent, left)

    latent = lax.fori_loop(0, _ROUNDS, again, latent)
    left, overlay = explained(latent)
    misfit = likelihood.root_mean_square(photo - blur(kernels, latent), left) / noise_std
    return _Start(latent, left, softness.cameras_part(misfit), overlay)


def _noise_std(photo: jax.Array, known: jax.Array, size: jax.Array | None) -> jax.Array:
    """[] the noise that is known, or where that is 0, estimated from the photo [H, W, C]."""
    return jnp.where(known > 0, known, likelihood.estimate_noise_std(photo, size=size))


def _luma_noise_std(seen: View, known: float, channels: int, gain: jax.Array) -> jax.Array:
    """[] the noise of a photo's luma, from the `known` one of its channels or else estimated."""
    of_mean = float(np.linalg.norm(LUMA)) if channels > 1 else 1.0
    return _noise_std(seen.plane[..., None], gain * (of_mean * known), seen.size)
