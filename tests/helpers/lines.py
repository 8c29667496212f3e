"""Kernels of straight motion."""

import jax.numpy as jnp
import numpy as np


def kernels_of(*planes):
    return jnp.asarray(np.stack([p / p.sum() for p in planes]), jnp.float32)


def line(angle, size=11):
    along = np.linspace(-4, 4, 33)
    places = size // 2 + np.round([along * np.sin(angle), along * np.cos(angle)]).astype(int)
    plane = np.zeros((size, size))
    np.add.at(plane, tuple(places), 1.0)
    return plane
