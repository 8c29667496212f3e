"""A small problem for tests of Monte Carlo EM, and the smallest configuration of all its parts."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import tiny
from scipy import ndimage

from dem_jax.model import blur, kernel_priors
from dem_jax.types import Problem

SIZE, SHAPE = tiny.CONFIG.kernel_size, (24, 28, 1)
LATENT = (SHAPE[0] + SIZE - 1, SHAPE[1] + SIZE - 1, 1)
CONFIG = dataclasses.replace(
    tiny.CONFIG, em_iterations=3, num_chains=2, burn_in=3, m_steps=3, detail_iterations=4
)
change = functools.partial(dataclasses.replace, CONFIG)


def make_problem(seed=0, dtype=np.float32):
    """A smooth random picture, blurred by a random kernel that is not the start's."""
    rng = np.random.default_rng(seed)
    sharp = ndimage.gaussian_filter(rng.normal(size=LATENT), (1, 1, 0))
    sharp = 0.5 + 0.15 * sharp / sharp.std()
    truth, start = rng.dirichlet(np.ones(SIZE**2), 2).reshape(2, 1, SIZE, SIZE)
    photo = np.asarray(blur.uniform(jnp.asarray(truth), jnp.asarray(sharp)))
    photo = photo + 0.01 * rng.normal(size=SHAPE)
    m = kernel_priors.input_size(SIZE)
    arrays = {
        "photo": photo,
        "weight": rng.uniform(size=SHAPE[:2]) < 0.9,
        "image_input": np.concatenate([rng.uniform(0, 0.1, (*LATENT[:2], 2)), sharp], axis=-1),
        "kernel_input": rng.uniform(size=(m, m, 3)),
        "start_latent": sharp,
        "start_kernels": start,
        "noise_std": np.array(0.02),
        "cameras_part": np.array(0.0),
        "gain": np.array(1.0),
    }
    arrays = {name: jnp.asarray(x, dtype) for name, x in arrays.items()}
    return Problem(**arrays)


def assert_trees_close(tree, other, **tolerance):
    """Of the same structure, and leaf by leaf."""
    for a, b in zip(jax.tree.leaves(tree), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(a, b, **tolerance)
