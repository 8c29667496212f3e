"""Mistakes that estimates leave far from a kernel: faint parts, and islands of little mass."""

import jax
import jax.numpy as jnp
from jax import lax

from dem_jax.model.blur import recentre
from dem_jax.solve.kernels import normalised


def cleaned(
    kernel: jax.Array, least_entry: jax.Array | float, least_island: jax.Array | float
) -> jax.Array:
    """`without_faint_parts`, its centre of mass in the middle; [k, k] of sum one."""
    kept = normalised(without_faint_parts(kernel, least_entry, least_island))
    return recentre(kept[None])[0][0]


def without_faint_parts(
    mass: jax.Array, least_entry: jax.Array | float, least_island: jax.Array | float
) -> jax.Array:
    """Sets faint entries to zero, then what hangs together, corners included, with little mass.

    Args:
      mass: a kernel [k, k] or a density [A, k, k], non-negative.
      least_entry: entries below this part of the largest are set to zero. It is small, because the
        fast stretches of a shake leave a faint trace that belongs to the kernel.
      least_island: what hangs together with less than this part of what is left is, too.

    Returns:
      Of the shape of `mass`, its sum less.
    """
    mass = jnp.where(mass < least_entry * jnp.max(mass), 0, mass)
    labels = _connected(mass)
    island = jnp.zeros(mass.size + 1).at[labels].add(mass)
    return jnp.where(island[labels] >= least_island * jnp.sum(mass), mass, 0)


def _connected(mass: jax.Array) -> jax.Array:
    """Labels of the shape of `mass`: one for all that hangs together, corners included, 0 for none.

    Fixed shapes: every entry takes the largest label around it until nothing changes.
    """
    labels = jnp.arange(1, mass.size + 1).reshape(mass.shape) * (mass > 0)
    window, strides = (3,) * mass.ndim, (1,) * mass.ndim

    def spread(carry):
        labels, _ = carry
        around = lax.reduce_window(labels, 0, lax.max, window, strides, "SAME") * (mass > 0)
        return around, jnp.any(around != labels)

    return lax.while_loop(lambda carry: carry[1], spread, (labels, jnp.array(True)))[0]
