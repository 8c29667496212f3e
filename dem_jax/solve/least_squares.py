"""Least squares over what cannot be negative: kernels, and densities of camera poses."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax


def non_negative_least_squares(
    normal: Callable[[jax.Array], jax.Array],
    right: jax.Array,
    start: jax.Array,
    *,
    steepness: jax.Array,
    iterations: int,
    support: jax.Array | float = 1.0,
) -> jax.Array:
    """argmin_{x >= 0} x^T normal(x) / 2 - right^T x by FISTA.

    Args:
      normal: a symmetric positive operator, linear.
      right: of the shape of x.
      start: the first x.
      steepness: at least the largest eigenvalue of `normal`.
      iterations: steps.
      support: 1 where x may be positive, 0 elsewhere.

    Source: Beck and Teboulle: A fast iterative shrinkage-thresholding algorithm, 2009.
    """

    def descend(carry, _):
        x, ahead, t = carry
        new = jnp.maximum(ahead - (normal(ahead) - right) / steepness, 0) * support
        t_new = (1 + jnp.sqrt(1 + 4 * t * t)) / 2
        return (new, new + (t - 1) / t_new * (new - x), t_new), None

    (x, _, _), _ = lax.scan(descend, (start, start, jnp.ones(())), length=iterations)
    return x


def steepness(normal: Callable[[jax.Array], jax.Array], start: jax.Array) -> jax.Array:
    """The largest eigenvalue of `normal` and a little more, by power iteration."""

    def unit(x: jax.Array) -> jax.Array:
        return x / jnp.maximum(jnp.linalg.norm(x), 1e-12)

    vector = lax.fori_loop(0, 12, lambda _, x: unit(normal(x)), unit(start))
    return 1.05 * jnp.sum(vector * normal(vector)) + 1e-12
