"""Which detail is expected of which photo."""

import jax.numpy as jnp
import pytest

from dem_jax.model import detail_prior


@pytest.mark.parametrize(
    ("name", "misfit", "expected"),
    [
        # Grids, and photos without a start.
        ("auto", 0.0, detail_prior.SHARP),
        ("auto", 0.75, detail_prior.SHARP),
        ("auto", 1.03, detail_prior.SHARP),  # noise of 0.05
        ("auto", 1.09, detail_prior.SOFT),  # the least of Levin's photos
        ("sharp", 2.0, detail_prior.SHARP),
        ("soft", 0.0, detail_prior.SOFT),
        ("none", 2.0, detail_prior.NONE),
    ],
)
def test_the_misfit_decides_unless_the_user_does(name, misfit, expected):
    assert detail_prior.choose(name, jnp.float32(misfit)) == pytest.approx(expected)
