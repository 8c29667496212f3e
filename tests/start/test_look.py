"""Looks in two parts: what photos of near sizes share, and that padding changes nothing."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dem_jax.config import DeblurConfig
from dem_jax.start import comparison, find, look, overview, views
from dem_jax.start.views import View
from dem_jax.types import Given

RNG = np.random.default_rng(0)


def photo(rows, cols, coding_std=None):
    return Given(jax.ShapeDtypeStruct((rows, cols, 3), jnp.float32), coding_std=coding_std)


def seen(which, given, *arrays, kernel_size=151):
    """Shapes, types and static parts of what a look sees."""
    config = DeblurConfig(kernel_size=kernel_size)
    tree = jax.eval_shape(lambda *args: which.see(*args, config), given, *arrays)
    leaves, structure = jax.tree.flatten(tree)
    return structure, [(leaf.shape, leaf.dtype) for leaf in leaves]


KERNELS = jax.ShapeDtypeStruct((1, 43, 43), jnp.float32)
KERNEL = jax.ShapeDtypeStruct((63, 63), jnp.float32)
LOOKS = {
    "overview": (overview.OVERVIEW,),
    "closer_look": (overview.CLOSER_LOOK, KERNELS),
    "refine": (find.REFINE, KERNELS),
    "compare": (comparison.COMPARE, KERNEL),
}


@pytest.mark.parametrize("name", LOOKS)
def test_photos_of_other_sizes_and_files_share_what_is_found_in_them(name):
    which, *arrays = LOOKS[name]
    size = 63 if name in ("refine", "compare") else 151
    one, other, coded = (
        seen(which, given, *arrays, kernel_size=size)
        for given in (
            photo(683, 1024),
            photo(688, 1016),
            photo(683, 1024, jax.ShapeDtypeStruct((), jnp.float32)),
        )
    )
    assert one == other == coded


def test_a_padded_view_has_its_pixels_and_knows_its_size():
    plane = jnp.asarray(RNG.uniform(size=(50, 70)), jnp.float32)
    trusted = plane < 0.9
    found = look.padded(View(plane, trusted=trusted))
    assert found.plane.shape == (56, 80)
    np.testing.assert_array_equal(found.plane[:50, :70], plane)
    assert found.size.tolist() == [50, 70]
    assert found.trusted.sum() == trusted.sum() + 56 * 80 - 50 * 70
    assert found.coding_std == 0
    inner = View(plane, jnp.array([40, 60]), coding_std=jnp.float32(0.01))
    again = look.padded(inner, (60, 80))
    assert again.size.tolist() == [40, 60]
    assert again.coding_std == inner.coding_std
    np.testing.assert_allclose(
        views.noise_variance(found), views.noise_variance(View(plane)), rtol=1e-5
    )


def test_both_parts_are_transformed():
    """As for a batch: functions of arrays and a last argument that is none."""
    double = look.Look(lambda x, n: n * x, lambda x: jnp.sum(x))

    def batched(function):
        return lambda *args: jax.vmap(lambda *rows: function(*rows, args[-1]))(*args[:-1])

    both = double.transformed(batched)
    x = jnp.arange(6.0).reshape(3, 2)
    np.testing.assert_array_equal(both.find(both.see(x, 2.0)), 2 * x.sum(1))
    assert double(x, 2.0) == 2 * x.sum()


def test_a_sights_window_is_static():
    sight = look.Sight(View(jnp.zeros((8, 8))), 5, jnp.ones(()))
    assert len(jax.tree.leaves(sight)) == 2
    other = dataclasses.replace(sight, window=7)
    assert jax.tree.structure(sight) != jax.tree.structure(other)
