"""Arrays as callers have them: scaled, checked, or refused in one sentence."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

import dem_jax
from dem_jax.model import arrays

PHOTO = np.random.default_rng(0).random((24, 28, 3)).astype(np.float32)


@pytest.mark.parametrize(
    "photo",
    [
        PHOTO,
        PHOTO.astype(np.float64),
        PHOTO.tolist(),
        jnp.asarray(PHOTO),
        np.rint(PHOTO * 255).astype(np.uint8),
        np.rint(PHOTO * 65535).astype(np.uint16),
        jnp.asarray(PHOTO, jnp.bfloat16),
        PHOTO.astype(np.float16),
    ],
    ids=lambda photo: str(getattr(photo, "dtype", "list")),
)
def test_floats_and_integers_become_float32(photo):
    found = arrays.photo(photo)
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(found, PHOTO, atol=4e-3)
    if not isinstance(photo, list):
        traced = jax.jit(arrays.photo)(photo)
        np.testing.assert_allclose(traced, found, atol=1e-7)


REFUSED = {
    "0 to 255": (PHOTO * 255, r"0\.\d+ to 25\d.*divided by that of white"),
    "not a number": (np.where(PHOTO < 0.1, np.nan, PHOTO), "NaN"),
    "int32": (np.zeros((24, 28, 3), np.int32), "type int32"),
    "bool": (np.zeros((24, 28, 3), bool), "type bool"),
    "complex": (PHOTO.astype(complex), "type complex"),
    "no array": ("photo.png", "photo is a str"),
    "nothing": (None, "photo is a NoneType"),
    "ragged": ([[1.0], [1.0, 2.0]], "different lengths"),
    "grey without channels": (PHOTO[..., 0], r"photo\[..., None\]"),
    "several": (PHOTO[None], "jax.vmap"),
    "with alpha": (np.ones((24, 28, 4), np.float32), "leaves alpha out"),
    "channels first": (np.ones((3, 24, 28), np.float32), "channels come first"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_everything_else_is_one_sentence(case):
    photo, said = REFUSED[case]
    with pytest.raises(ValueError, match=said) as error:
        dem_jax.deblur(jax.random.key(0), photo, tiny.CONFIG)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("value", [-1.0, np.nan, 0.0])
def test_kernels_that_are_none(value):
    kernels = np.full((1, 5, 5), value, np.float32)
    with pytest.raises(ValueError, match="kernels hold"):
        dem_jax.deblur(jax.random.key(0), PHOTO, tiny.CONFIG, kernels=kernels)


def shapes(photo, config):
    return jax.eval_shape(lambda key, g: dem_jax.deblur(key, g, config), jax.random.key(0), photo)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("grid", [(1, 1), (2, 2)])
def test_64_bits_and_strict_promotion_are_traced(dtype, grid):
    config = dataclasses.replace(tiny.CONFIG, patch_grid=grid)
    with jax.enable_x64(True), jax.numpy_dtype_promotion("strict"):
        result = shapes(jax.ShapeDtypeStruct((24, 28, 3), dtype), config)
    assert result.latent.dtype == result.kernels.dtype == result.std.dtype == dtype


def test_integers_are_traced_under_strict_promotion():
    with jax.numpy_dtype_promotion("strict"):
        result = shapes(jax.ShapeDtypeStruct((24, 28, 3), np.uint8), tiny.CONFIG)
    assert result.latent.dtype == np.float32


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_64_bits_strict_promotion_and_debug_nans_are_computed(dtype):
    with jax.enable_x64(True), jax.numpy_dtype_promotion("strict"), jax.debug_nans(True):
        result = tiny.jit(dem_jax.deblur, static_argnums=2)(
            jax.random.key(0), PHOTO.astype(dtype), tiny.CONFIG
        )
        assert result.latent.dtype == dtype
        assert bool(jnp.isfinite(result.latent).all())
