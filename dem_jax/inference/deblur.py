"""Warm start -> EM -> posterior mean and spread: one photo, one pure function."""

import jax
import jax.numpy as jnp
from jax import lax

from dem_jax.config import DeblurConfig
from dem_jax.inference import mcem
from dem_jax.inference.warm_start import warm_start
from dem_jax.model import blur, kernel_network, likelihood
from dem_jax.types import EMInfo, Problem, Result

_NOISE_AMPLITUDE = 0.1  # of the random input channels, against image values up to 1
_KERNEL_CHANNELS = 8  # of T_K's input
_SPREAD = 0.01  # mass given to the whole support, so that T_K can raise entries the start lacks


def deblur(key: jax.Array, photo: jax.Array, config: DeblurConfig) -> Result:
    """Deblurs one photo.

    Args:
      key: random key, consumed.
      photo: g, [H, W, C], C = 1 or 3, float values in [0, 1], at least twice the kernel's size.
      config: kernel size, patch grid and everything else; static under jit.

    Returns:
      `Result`: latent [H, W, C], kernels [P, k, k], std [H, W, C] and info, [T] per field.

    Raises:
      ValueError: if the photo's shape does not allow this.

    Source: Li et al., CVPR 2023; what is added to it is named in the modules that add it.
    """
    start_key, init_key = jax.random.split(jax.random.fold_in(key, 0))
    problem = prepare(start_key, photo, config)
    state = mcem.init(init_key, problem, config)

    def iterate(state, t):
        return mcem.step(jax.random.fold_in(key, t), state, problem, config)

    state, info = lax.scan(iterate, state, jnp.arange(1, config.em_iterations + 1))
    return finish(state, problem, config)._replace(info=info)


def prepare(key: jax.Array, photo: jax.Array, config: DeblurConfig) -> Problem:
    """The warm start, and the inputs of both networks."""
    _check(photo, config)
    k, grid = config.kernel_size, config.patch_grid
    patches = grid[0] * grid[1]
    shape = (photo.shape[0] + k - 1, photo.shape[1] + k - 1)
    image_key, kernel_key = jax.random.split(key)
    noise = config.image_network.noise_channels
    image_input = _NOISE_AMPLITUDE * jax.random.uniform(image_key, (*shape, noise), photo.dtype)
    padded = jnp.pad(photo, ((k // 2, k // 2), (k // 2, k // 2), (0, 0)), mode="edge")
    if config.warm_start:
        kernel, latent = warm_start(photo, config)
        kernel = (1 - _SPREAD) * kernel + _SPREAD / k**2
        image_input = jnp.concatenate([image_input, latent, padded], axis=-1)
    else:
        kernel, latent = jnp.full((k, k), 1 / k**2, photo.dtype), padded
    m = kernel_network.input_size(k)
    return Problem(
        photo=photo,
        weight=likelihood.trusted(photo),
        image_input=image_input,
        kernel_input=jax.random.uniform(kernel_key, (m, m, _KERNEL_CHANNELS), photo.dtype),
        start_latent=latent,
        start_kernels=jnp.tile(kernel, (patches, 1, 1)),
        noise_std=jnp.asarray(config.noise_std, photo.dtype)
        if config.noise_std
        else likelihood.estimate_noise_std(photo),
    )


def finish(state: mcem.MCEMState, problem: Problem, config: DeblurConfig) -> Result:
    """What EM has found: kernels recentred jointly, the image moved with them and cropped."""
    kernels, shift = blur.recentre(state.kernels)

    def crop(image: jax.Array) -> jax.Array:
        half = config.kernel_size // 2
        return blur.translate(image, -shift)[half:-half, half:-half]

    nothing = jnp.zeros((), problem.photo.dtype)
    info = EMInfo(nothing, nothing, state.noise_std, nothing, jnp.all(jnp.isfinite(state.mean)))
    return Result(
        latent=jnp.clip(crop(state.mean), 0, 1),
        kernels=kernels,
        std=jnp.sqrt(crop(state.variance)),
        info=info,
    )


def _check(photo: jax.Array, config: DeblurConfig) -> None:
    if photo.ndim != 3 or photo.shape[-1] not in (1, 3):
        raise ValueError(f"photo has shape {photo.shape}; give [H, W, C] with C = 1 or 3.")
    if min(photo.shape[:2]) < 2 * config.kernel_size:
        raise ValueError(
            f"photo is {photo.shape[1]}x{photo.shape[0]} pixels, too small for "
            f"kernel_size={config.kernel_size}; each side needs at least {2 * config.kernel_size}."
        )
