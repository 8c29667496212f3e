"""Whether the camera turned, from photos whose blur is known."""

import jax
import jax.numpy as jnp
import pytest

from dem_jax.config import DeblurConfig
from dem_jax.model import blur
from dem_jax.start import comparison
from dem_jax.start.views import View

SIZE, SHAPE = 9, (144, 384)


def line(axis):
    return jnp.zeros((SIZE, SIZE)).at[SIZE // 2].set(1 / SIZE).swapaxes(0, axis)


@pytest.fixture(scope="module")
def sharp():
    from skimage import data

    rows, cols = (n + SIZE - 1 for n in SHAPE)
    return jnp.asarray(data.camera()[60 : 60 + rows, 100 : 100 + cols] / 255, jnp.float32)


@pytest.fixture(scope="module")
def told():
    config = DeblurConfig(kernel_size=SIZE)
    run = jax.jit(lambda g, k: comparison.told(View(g), k, config))

    def of(plane, light=1.0):
        noise = 0.003 * jax.random.normal(jax.random.key(0), plane.shape)
        found = run(light * (plane + noise), line(0))
        return float(found.gain), float(found.sparser)

    return of


def shaken(sharp, kernel):
    return blur.uniform(kernel, sharp[..., None])[..., 0]


def test_crops_of_one_blur_gain_little_by_kernels_of_their_own(sharp, told):
    found = told(shaken(sharp, line(0)))
    assert min(found) >= 0
    assert not comparison.has_turned(*found)


@pytest.mark.parametrize("light", [1.0, 0.1])
def test_crops_of_two_blurs_gain_whatever_the_light(sharp, told, light):
    left = jnp.arange(SHAPE[1]) < SHAPE[1] // 2
    photo = jnp.where(left, shaken(sharp, line(0)), shaken(sharp, line(1)))
    assert comparison.has_turned(*told(photo, light))
