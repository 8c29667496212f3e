"""The fine detail e that T_f cannot carry: f = T_f(theta_f, z) + e.

A network that is fitted for a few hundred steps leaves fine texture out, and chains of it spread
too little at high frequencies. Given T_f's image, e has a Gaussian posterior in closed form,

    e ~ N(0, (D^T a^-1 D)^-1),   g = A(K) (T_f + e) + noise
    (A^T W A + s^2 D^T a^-1 D) e = A^T W (g - A T_f)                        for the mean,

D being forward differences, W the pixels' weights, s the noise and a the variance of every
difference: the roughness of the image there, see `model.roughness`, as nothing says how much of it
T_f leaves out. The same system with white noise on its right-hand side draws from the posterior
exactly (Papandreou and Yuille, NIPS 2010). It is solved by conjugate gradients.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from dem_jax.solve import fourier, least_squares
from dem_jax.types import BlurOperator


class DetailModel(NamedTuple):
    """Everything that defines the posterior of e for one photo and one kernel set."""

    blur: BlurOperator
    kernels: jax.Array  # [P, k, k]
    weight: jax.Array  # [H, W]
    noise_std: jax.Array  # []
    roughness: jax.Array  # [H+k-1, W+k-1, C] a, squared image units per difference
    iterations: int

    def _applied(self, latent: jax.Array) -> jax.Array:
        """A(K) f."""
        return self.blur(self.kernels, latent)

    def _variances(self) -> tuple[jax.Array, jax.Array]:
        """Of differences along rows and columns: the mean of their two pixels' roughness."""
        a = self.roughness
        return (a[1:] + a[:-1]) / 2, (a[:, 1:] + a[:, :-1]) / 2


def mean(model: DetailModel, photo: jax.Array, latent: jax.Array) -> jax.Array:
    """E[e | g, T_f]: [H+k-1, W+k-1, C] for T_f's image `latent` of that shape."""
    return _solve(model, _data_term(model, photo, latent))


def draw(key: jax.Array, model: DetailModel, photo: jax.Array, latent: jax.Array) -> jax.Array:
    """One sample of e | g, T_f, of the shape of `latent`."""
    photo_key, prior_key = jax.random.split(key)
    noise = model.noise_std * jax.random.normal(photo_key, photo.shape, photo.dtype)
    prior = [
        model.noise_std**2 / jnp.sqrt(a) * jax.random.normal(k, a.shape, latent.dtype)
        for k, a in zip(jax.random.split(prior_key), model._variances(), strict=True)
    ]
    adjoint = least_squares.transposed(model._applied, latent)
    perturbed = _data_term(model, photo, latent) + adjoint(
        jnp.sqrt(model.weight)[..., None] * noise
    )
    return _solve(model, perturbed + least_squares.adjoint_differences(*prior))


def _data_term(model: DetailModel, photo: jax.Array, latent: jax.Array) -> jax.Array:
    """A^T W (g - A T_f)."""
    residual = photo - model._applied(latent)
    return least_squares.transposed(model._applied, latent)(model.weight[..., None] * residual)


def _solve(model: DetailModel, right: jax.Array) -> jax.Array:
    usual = jnp.exp(jnp.mean(jnp.log(model.roughness)))  # what the preconditioner takes it for
    along_rows, along_cols = (usual / a for a in model._variances())

    def normal(f: jax.Array) -> jax.Array:
        rows, cols = along_rows * (f[1:] - f[:-1]), along_cols * (f[:, 1:] - f[:, :-1])
        return least_squares.adjoint_differences(rows, cols)

    return least_squares.smooth(
        model._applied,
        jnp.mean(model.kernels, axis=0),
        model.weight,
        model.noise_std**2 / usual,
        right,
        roughness=least_squares.Roughness(normal, fourier.difference_power),
        iterations=model.iterations,
    )
