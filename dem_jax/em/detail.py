"""The fine detail e that T_f cannot carry: f = T_f(theta_f, z) + e.

A network that is fitted for a few hundred steps leaves fine texture out, and chains of it spread
too little at high frequencies. Given T_f's image, e has a Gaussian posterior in closed form,

    e ~ N(0, s_e^2 (D^T D)^-1),   g = A(K) (T_f + e) + noise
    (A^T W A + (s / s_e)^2 D^T D) e = A^T W (g - A T_f)                     for the mean,

D being forward differences, W the pixels' weights, s the noise and s_e the detail's standard
deviation per difference. The same system with white noise on its right-hand side draws from the
posterior exactly (Papandreou and Yuille, NIPS 2010). It is solved by conjugate gradients.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from dem_jax.config import DeblurConfig
from dem_jax.model.blur import good_size
from dem_jax.types import BlurOperator, Problem


class Expected(NamedTuple):
    """The settings that depend on how soft a photo is, each [], see `DeblurConfig`."""

    detail_std: jax.Array
    m_detail: jax.Array
    spread: jax.Array
    displacement_std: jax.Array


def expected(problem: Problem, config: DeblurConfig) -> Expected:
    """Those of `config.soft` where the photo is soft, else those of `config`.

    A photo that is sharp to the pixel has texture in its finest differences, which is taken for
    noise: the start leaves no more than that over. Of a soft one only the noise is left there, and
    the start, whose kernel errs, leaves over more than the noise. The kernels of a grid err more on
    any photo, so that there only `config.soft.least_misfit` = 0 says that a photo is soft.
    """
    soft = problem.start_misfit >= config.soft.least_misfit
    pairs = ((getattr(config.soft, name), getattr(config, name)) for name in Expected._fields)
    return Expected(*(jnp.where(soft, *pair) for pair in pairs))


class DetailModel(NamedTuple):
    """Everything that defines the posterior of e for one photo and one kernel set."""

    blur: BlurOperator
    kernels: jax.Array  # [P, k, k]
    weight: jax.Array  # [H, W]
    noise_std: jax.Array  # []
    detail_std: jax.Array | float  # s_e, image units per pixel
    iterations: int


def mean(model: DetailModel, photo: jax.Array, latent: jax.Array) -> jax.Array:
    """E[e | g, T_f]: [H+k-1, W+k-1, C] for T_f's image `latent` of that shape."""
    return _solve(model, latent, _data_term(model, photo, latent))


def draw(key: jax.Array, model: DetailModel, photo: jax.Array, latent: jax.Array) -> jax.Array:
    """One sample of e | g, T_f, of the shape of `latent`."""
    photo_key, prior_key = jax.random.split(key)
    noise = model.noise_std * jax.random.normal(photo_key, photo.shape, photo.dtype)
    rows, cols, channels = latent.shape
    prior = [
        jax.random.normal(k, shape, latent.dtype)
        for k, shape in zip(
            jax.random.split(prior_key),
            [(rows - 1, cols, channels), (rows, cols - 1, channels)],
            strict=True,
        )
    ]
    perturbed = _data_term(model, photo, latent) + _adjoint_blur(model, latent)(
        jnp.sqrt(model.weight)[..., None] * noise
    )
    scale = model.noise_std**2 / model.detail_std
    return _solve(model, latent, perturbed + scale * _adjoint_differences(*prior))


def _data_term(model: DetailModel, photo: jax.Array, latent: jax.Array) -> jax.Array:
    residual = photo - model.blur(model.kernels, latent)
    return _adjoint_blur(model, latent)(model.weight[..., None] * residual)


def _adjoint_blur(model: DetailModel, latent: jax.Array) -> Callable[[jax.Array], jax.Array]:
    transpose = jax.linear_transpose(lambda f: model.blur(model.kernels, f), latent)
    return lambda photo: transpose(photo)[0]


def _solve(model: DetailModel, latent: jax.Array, right: jax.Array) -> jax.Array:
    ratio = (model.noise_std / model.detail_std) ** 2
    adjoint = _adjoint_blur(model, latent)

    def normal(e):
        data = adjoint(model.weight[..., None] * model.blur(model.kernels, e))
        prior = _adjoint_differences(e[1:] - e[:-1], e[:, 1:] - e[:, :-1])
        return data + ratio * prior + 1e-6 * e

    e, _ = jax.scipy.sparse.linalg.cg(
        normal, right, maxiter=model.iterations, tol=1e-4, M=_preconditioner(model, latent, ratio)
    )
    return e


def _preconditioner(
    model: DetailModel, latent: jax.Array, ratio: jax.Array
) -> Callable[[jax.Array], jax.Array]:
    """The inverse of the normal operator if the mean kernel blurred a periodic image."""
    size = tuple(good_size(n) for n in latent.shape[:2])
    power = jnp.abs(jnp.fft.rfft2(jnp.mean(model.kernels, axis=0), s=size)) ** 2
    waves = [jnp.fft.fftfreq(size[0])[:, None], jnp.fft.rfftfreq(size[1])[None]]
    gradient = sum(4 * jnp.sin(jnp.pi * wave) ** 2 for wave in waves)
    inverse = (1 / (0.8 * power + ratio * gradient + 1e-4))[..., None]

    def apply(e):
        spectrum = jnp.fft.rfft2(e, s=size, axes=(0, 1)) * inverse
        return jnp.fft.irfft2(spectrum, s=size, axes=(0, 1))[: e.shape[0], : e.shape[1]]

    return apply


def _adjoint_differences(rows: jax.Array, cols: jax.Array) -> jax.Array:
    """D^T of differences [h-1, w, C] and [h, w-1, C]."""
    along_rows = jnp.pad(rows, ((1, 0), (0, 0), (0, 0))) - jnp.pad(rows, ((0, 1), (0, 0), (0, 0)))
    along_cols = jnp.pad(cols, ((0, 0), (1, 0), (0, 0))) - jnp.pad(cols, ((0, 0), (0, 1), (0, 0)))
    return along_rows + along_cols
