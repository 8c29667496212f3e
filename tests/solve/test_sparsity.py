"""The measure of blur."""

import jax.numpy as jnp
import numpy as np

from dem_jax.solve.sparsity import normalized_sparsity


def test_few_edges_are_sparser_than_many():
    one_edge = jnp.zeros((20, 20)).at[:, 10:].set(1.0)
    noise = jnp.asarray(np.random.default_rng(0).normal(size=(20, 20)), jnp.float32)
    assert normalized_sparsity(one_edge) < normalized_sparsity(noise)
