"""What comes out: the image and its deviation, in the photo's own exposure, and the kernels.

`finish` makes the result of what EM has found, `started` that of a start without EM, and `restore`
that of a tile of a photo too large for one piece. The examples' `problem` and `config` are those of
`mcem`.
"""

import jax
import jax.numpy as jnp

from dem_jax.config import DeblurConfig
from dem_jax.em import uncertainty
from dem_jax.em.state import MCEMState
from dem_jax.model import blur, promotion, softness
from dem_jax.model.paper_model import paper_model
from dem_jax.solve.deconvolution import deconvolve, deconvolved, error_variance
from dem_jax.types import EMInfo, Model, Problem, Result

_MAX_GRAIN = 3.0  # noise deviations; a larger residual is not noise but a wrong model


@promotion.standard
def finish(
    state: MCEMState, problem: Problem, config: DeblurConfig, *, model: Model | None = None
) -> Result:
    """What EM has found: kernels recentred jointly, the image moved with them, cropped, softened.

    `config.refinement` is the part of the image that is a deconvolution with EM's kernels: T_f is
    smoother than fine texture, the deconvolution rings, and their mean is nearer to the truth than
    either (benchmarks/NOTEBOOK.md). With `config.grain` the image gets that part of the residual
    g - A(K) f back, which is the photo's own noise, unsharpened. The standard deviation is that of
    `uncertainty`.
    """
    model = model or paper_model(config)
    # What EM's images leave over is the photo's noise and all that the model does not know,
    # such as JPEG: the deconvolution must not explain it either.
    noise_std = jnp.maximum(problem.noise_std, state.noise_std)
    mean = state.mean
    if config.refinement:
        sharp = deconvolved(
            problem.photo,
            state.kernels,
            problem.weight,
            noise_std=noise_std,
            gain=problem.gain,
            blur=model.blur,
        )
        mean = mean + config.refinement * (sharp - mean)
    kernels, shift = blur.recentre(state.kernels)
    half = config.kernel_size // 2
    image = blur.translate(mean, -shift)[half:-half, half:-half]
    error = error_variance(noise_std, len(kernels))
    variance = _variance(image, kernels, error)
    soft = softness.after_em(problem.start_kernels, state.kernels, problem.cameras_part)
    latent = softness.softened(image, soft)
    if config.grain:
        residual = problem.photo - model.blur(state.kernels, mean)
        most = _MAX_GRAIN * state.noise_std
        latent = latent + config.grain * jnp.clip(residual, -most, most)
    latent = _with_overlay(latent, problem)
    nothing, gain = jnp.zeros((), problem.photo.dtype), problem.gain
    info = EMInfo(nothing, nothing, state.noise_std, nothing, jnp.all(jnp.isfinite(state.mean)))
    return Result(
        latent=jnp.clip(latent / gain, 0, 1),
        kernels=kernels,
        std=jnp.sqrt(variance) / gain,
        info=info,
    )


def started(problem: Problem) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Image and deviation [H, W, C], kernels [P, k, k] as the start leaves them, without EM.

    The kernels are recentred and the image moved with them and softened, as `finish` does it; the
    deviation is that of `uncertainty.gaussian_variance`.

    >>> image, std, kernels = jax.eval_shape(started, problem)
    >>> image.shape, std.shape, kernels.shape
    ((32, 40, 3), (32, 40, 3), (1, 5, 5))
    """
    kernels, shift = blur.recentre(problem.start_kernels)
    half = kernels.shape[-1] // 2
    image = blur.translate(problem.start_latent, -shift)[half:-half, half:-half]
    error = error_variance(problem.noise_std, len(kernels))
    std = jnp.sqrt(_variance(image, kernels, error))
    soft = softness.of_camera(problem.start_kernels, problem.cameras_part)
    image = _with_overlay(softness.softened(image, soft), problem)
    return jnp.clip(image / problem.gain, 0, 1), std / problem.gain, kernels


def _variance(image: jax.Array, kernels: jax.Array, error: jax.Array | float) -> jax.Array:
    displaced = uncertainty.displacement(len(kernels))
    return uncertainty.gaussian_variance(image, kernels, error, displaced=displaced)


def _with_overlay(image: jax.Array, problem: Problem) -> jax.Array:
    """The image [H, W, C] under what lies on the photo, such as a date stamp."""
    if problem.overlay is None:
        return image
    return jnp.where(problem.overlay[..., None], problem.photo, image)


@promotion.standard
def restore(
    photo: jax.Array,
    kernels: jax.Array,
    weight: jax.Array | float,
    config: DeblurConfig,
    *,
    model: Model | None = None,
) -> jax.Array:
    """The deconvolution [H, W, C] of a photo, or a tile of one, with kernels that EM has found.

    Args:
      photo: [H, W, C] in [0, 1].
      kernels: [P, k, k], each of sum one.
      weight: [] of the prior, see `deconvolution.prior_weight`.
      config: patch grid and kernel size.
      model: its blur is used; None: the paper's.

    >>> config, photo = DeblurConfig(kernel_size=5), jnp.full((32, 40, 3), 0.5)
    >>> point = jnp.zeros((1, 5, 5)).at[0, 2, 2].set(1.0)
    >>> restore(photo, point, 1e-3, config).shape
    (32, 40, 3)
    """
    photo, kernels, weight = (jnp.asarray(x, float) for x in (photo, kernels, weight))
    operator, half = (model or paper_model(config)).blur, config.kernel_size // 2
    return deconvolve(photo, kernels, weight, blur=operator)[half:-half, half:-half]
