"""Warm start -> EM -> posterior mean and spread: one photo, one pure function."""

import dataclasses

import jax
import jax.numpy as jnp
from jax import lax

from dem_jax.config import DeblurConfig
from dem_jax.inference import detail, given, mcem, spectral, uncertainty
from dem_jax.inference.deconvolution import prior_weight
from dem_jax.inference.warm_start import restore, warm_start
from dem_jax.model import blur, kernel_network, likelihood, promotion
from dem_jax.types import EMInfo, Model, Problem, Result

_NOISE_AMPLITUDE = 0.1  # of the random input channels, against image values up to 1
_KERNEL_CHANNELS = 8  # of T_K's input
_PLAUSIBLE = 4.0  # residuals of a start that are plausible, in errors of photo and kernel
_LARGEST_GRAIN = 3.0  # noise deviations; a larger residual is not noise but a wrong model
_SPREAD = 0.01  # mass given to the whole support, so that T_K can raise entries the start lacks


@promotion.standard
def deblur(
    key: jax.Array,
    photo: jax.Array,
    config: DeblurConfig,
    *,
    kernels: jax.Array | None = None,
    model: Model | None = None,
) -> Result:
    """Deblurs one photo.

    Args:
      key: random key, consumed.
      photo: g, [H, W, C], C = 1 or 3, floats in [0, 1], or uint8 or uint16, which are scaled; at
        least twice the kernel's size.
      config: kernel size, patch grid and everything else; static under jit.
      kernels: [P, k, k] or [1, k, k], somebody's kernels to start from, or to keep where
        `config.kernels` is "fixed"; None: they are found from the photo.
      model: networks and blur other than the paper's, see `mcem.paper_model`. The result is then
        the posterior mean as it is, without `config.refinement`, which knows one blur only.

    Returns:
      `Result`: latent [H, W, C], kernels [P, k, k], std [H, W, C] and info, [T] per field.

    Raises:
      ValueError: if the photo's shape does not allow this.

    Source: Li et al., CVPR 2023; what is added to it is named in the modules that add it.

    >>> config = DeblurConfig(kernel_size=5, patch_grid=(2, 3))
    >>> photo = jnp.full((32, 40, 3), 0.5)
    >>> run = jax.jit(deblur, static_argnums=2)
    >>> result = jax.eval_shape(lambda k, g: run(k, g, config), jax.random.key(0), photo)
    >>> result.latent.shape, result.kernels.shape, result.std.shape
    ((32, 40, 3), (6, 5, 5), (32, 40, 3))
    """
    start_key, init_key = jax.random.split(jax.random.fold_in(key, 0))
    problem = prepare(start_key, photo, config, kernels=kernels)
    state = mcem.init(init_key, problem, config, model=model)

    def iterate(state, t):
        return mcem.step(jax.random.fold_in(key, t), state, problem, config, model=model)

    state, info = lax.scan(iterate, state, jnp.arange(1, config.em_iterations + 1))
    if model is not None:
        soft = dataclasses.replace(config.soft, spread=1.0)
        config = dataclasses.replace(config, refinement=0.0, spread=1.0, soft=soft)
    result = finish(state, problem, config)._replace(info=info)
    return given.like(photo, result)


@promotion.standard
def prepare(
    key: jax.Array,
    photo: jax.Array,
    config: DeblurConfig,
    *,
    kernels: jax.Array | None = None,
    weight: jax.Array | None = None,
    size: jax.Array | None = None,
) -> Problem:
    """The warm start, from somebody's `kernels` if given, and the inputs of both networks.

    Photos of near sizes can share one compiled program: padded to one shape [H, W], with `size`
    telling how much of it is photo. What the padding holds does not matter: the photo's edge is
    continued into it, and its weight is zero.

    Args:
      key: random key, consumed.
      photo: g, [H, W, C].
      config: kernel size, patch grid (over all of [H, W]) and everything else.
      kernels: [P, k, k] or [1, k, k] to start from; None: they are found.
      weight: [H, W] in [0, 1], how far each pixel is known; None: wholly.
      size: [2] rows and columns of the photo, the rest being padding; None is all.

    Raises:
      ValueError: as `deblur`.
    """
    photo = given.photo(photo)
    kernels = None if kernels is None else given.kernels(kernels, photo.dtype)
    _check(photo, config, kernels)
    if size is not None:
        photo = _continue_edge(photo, size)
    k, grid = config.kernel_size, config.patch_grid
    patches = grid[0] * grid[1]
    shape = (photo.shape[0] + k - 1, photo.shape[1] + k - 1)
    image_key, kernel_key = jax.random.split(key)
    noise = config.image_network.noise_channels
    image_input = _NOISE_AMPLITUDE * jax.random.uniform(image_key, (*shape, noise), photo.dtype)
    padded = jnp.pad(photo, ((k // 2, k // 2), (k // 2, k // 2), (0, 0)), mode="edge")
    if not config.warm_start:
        kernels, latent = jnp.full((1, k, k), 1 / k**2, photo.dtype), padded
    elif kernels is not None:
        kernels = kernels / jnp.sum(kernels, axis=(1, 2), keepdims=True)
        kernels = jnp.broadcast_to(kernels, (patches, k, k))
        latent = restore(photo, kernels, config, size=size)
    else:
        kernels, latent = warm_start(photo, config, size=size)
    known = likelihood.trusted(photo)
    weight = known if weight is None else known * weight
    if size is not None:
        weight = weight * spectral.inside(size, weight.shape)
    noise_std = (
        jnp.asarray(config.noise_std, photo.dtype)
        if config.noise_std
        else likelihood.estimate_noise_std(photo, size=size)
    )
    misfit = jnp.zeros((), photo.dtype)
    guide = latent
    if config.warm_start and patches == 1:
        trust = likelihood.without_saturation(photo, weight)
        guide = restore(photo, kernels, config, trust=trust, size=size)
        scale = _PLAUSIBLE * jnp.hypot(noise_std, config.start.model_std)
        gap = jnp.max(jnp.abs(photo - blur.uniform(kernels, guide)), axis=-1)
        believed = likelihood.plausible(gap, scale)
        weight = weight * jnp.where(believed < 0.5, believed, 1)  # most photos have none such
        residual = photo - blur.uniform(kernels, latent)
        misfit = likelihood.root_mean_square(residual, weight) / noise_std
    if config.warm_start:
        image_input = jnp.concatenate([image_input, guide, padded], axis=-1)
        if config.kernels == "estimated":
            kernels = (1 - _SPREAD) * kernels + _SPREAD / k**2
    m = kernel_network.input_size(k)
    return Problem(
        photo=photo,
        weight=weight,
        image_input=image_input,
        kernel_input=jax.random.uniform(kernel_key, (m, m, _KERNEL_CHANNELS), photo.dtype),
        start_latent=latent,
        start_kernels=jnp.broadcast_to(kernels, (patches, k, k)),
        noise_std=noise_std,
        start_misfit=misfit,
    )


@promotion.standard
def finish(state: mcem.MCEMState, problem: Problem, config: DeblurConfig) -> Result:
    """What EM has found: kernels recentred jointly, the image moved with them and cropped.

    `config.refinement` is the part of the image that is a deconvolution with EM's kernels, by
    filter flow: T_f is smoother than fine texture, the deconvolution rings, and their mean is
    nearer to the truth than either (docs/accuracy.md). With `config.grain` the image gets that
    part of the residual g - A(K) f back, which is the photo's own noise, unsharpened. The standard
    deviation is that of `uncertainty`.
    """
    mean = _refined(state, problem, config) if config.refinement else state.mean
    kernels, shift = blur.recentre(state.kernels)

    def crop(image: jax.Array) -> jax.Array:
        half = config.kernel_size // 2
        return blur.translate(image, -shift)[half:-half, half:-half]

    latent = crop(mean)
    if config.grain:
        residual = problem.photo - blur.blur_operator(config.patch_grid)(state.kernels, mean)
        most = _LARGEST_GRAIN * state.noise_std
        latent = latent + config.grain * jnp.clip(residual, -most, most)
    expected = detail.expected(problem, config)
    variance = expected.spread**2 * state.variance + uncertainty.noise_variance(state.noise_std)
    if config.kernels != "fixed":
        variance += uncertainty.displacement_variance(state.mean, expected.displacement_std)
    nothing = jnp.zeros((), problem.photo.dtype)
    info = EMInfo(nothing, nothing, state.noise_std, nothing, jnp.all(jnp.isfinite(state.mean)))
    return Result(
        latent=jnp.clip(latent, 0, 1),
        kernels=kernels,
        std=jnp.sqrt(crop(variance)),
        info=info,
    )


def _refined(state: mcem.MCEMState, problem: Problem, config: DeblurConfig) -> jax.Array:
    """[H+k-1, W+k-1, C]; padding, which weighs nothing, does not enter."""
    known = problem.weight > 0
    size = jnp.stack([jnp.sum(jnp.any(known, 1)), jnp.sum(jnp.any(known, 0))])
    one = config.patch_grid == (1, 1)
    model_std = config.model_std if one else config.start.path_model_std
    weight = prior_weight(problem.noise_std, config.start.smoothness, model_std)
    trust = likelihood.without_saturation(problem.photo, problem.weight)
    sharp = restore(problem.photo, state.kernels, config, weight=weight, trust=trust, size=size)
    return state.mean + config.refinement * (sharp - state.mean)


def _continue_edge(photo: jax.Array, size: jax.Array) -> jax.Array:
    """The photo's last row and column, `size` [2] giving their numbers, repeated to the end."""
    for axis in (0, 1):
        places = jnp.minimum(jnp.arange(photo.shape[axis]), size[axis] - 1)
        photo = jnp.take(photo, places, axis=axis)
    return photo


def _check(photo: jax.Array, config: DeblurConfig, kernels: jax.Array | None) -> None:
    if min(photo.shape[:2]) < 2 * config.kernel_size:
        raise ValueError(
            f"photo is {photo.shape[1]}x{photo.shape[0]} pixels, too small for "
            f"kernel_size={config.kernel_size}; each side needs at least {2 * config.kernel_size}."
        )
    if kernels is None:
        return
    k, patches = config.kernel_size, config.patch_grid[0] * config.patch_grid[1]
    if kernels.shape not in ((1, k, k), (patches, k, k)):
        raise ValueError(
            f"kernels have shape {kernels.shape}; give [1, {k}, {k}] or [{patches}, {k}, {k}], as "
            "kernel_size and patch_grid say."
        )
    if not config.warm_start:
        raise ValueError("kernels were given with warm_start=false, which takes none; drop one.")
