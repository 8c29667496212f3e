"""Quantiles by counting are those of a sort."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dem_jax.model.ranks import quantile


@pytest.mark.parametrize("fraction", [0.0, 0.1, 0.5, 0.97, 1.0])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_quantiles_are_those_of_sorted_values(fraction, dtype):
    values = jnp.asarray(np.random.default_rng(0).gamma(0.3, size=(7, 11)), dtype)
    ordered = np.sort(np.asarray(values, np.float64), axis=None)
    expected = ordered[int(np.ceil(fraction * (values.size - 1)))]
    assert float(quantile(values, fraction)) == expected


def test_only_the_smallest_values_count_where_their_number_is_given():
    values = jnp.asarray([3.0, jnp.inf, 1.0, 2.0, jnp.inf, jnp.inf])
    assert float(quantile(values, 0.5, count=jnp.asarray(3))) == 2.0


def test_many_fractions_of_many_planes_at_once_under_jit():
    planes = jnp.asarray(np.random.default_rng(1).uniform(size=(4, 30)))
    fractions = jnp.asarray([0.25, 0.5, 0.75, 1.0])
    found = jax.jit(jax.vmap(quantile))(planes, fractions)
    expected = [np.quantile(p, f, method="higher") for p, f in zip(planes, fractions, strict=True)]
    np.testing.assert_array_equal(found, expected)


def test_values_that_are_all_alike_and_zero_are_found():
    assert float(quantile(jnp.zeros(5), 0.5)) == 0.0
    assert float(quantile(jnp.full(5, 0.1), 0.5)) == np.float32(0.1)
