"""Whether the camera turned, from photos whose blur is known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dem_jax.model import blur
from dem_jax.start import turning
from dem_jax.start.views import View

SIZE, SHAPE, CROP = 9, (72, 150), 72  # crops smaller than the program's, for speed
CROPS = 9


def line(axis):
    return jnp.zeros((SIZE, SIZE)).at[SIZE // 2].set(1 / SIZE).swapaxes(0, axis)


@pytest.fixture(scope="module")
def sharp():
    from skimage import data

    rows, cols = (n + SIZE - 1 for n in SHAPE)
    return jnp.asarray(data.camera()[60 : 60 + rows, 100 : 100 + cols] / 255, jnp.float32)


@pytest.fixture(scope="module")
def survey():
    run = jax.jit(lambda g, k: turning.survey(View(g), k, kernel_size=SIZE))

    def of(plane, kernel, light=1.0):
        noise = 0.003 * jax.random.normal(jax.random.key(0), plane.shape)
        return run(light * (plane + noise), kernel)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(turning, "CROP", CROP)
        patch.setattr(turning, "_PART", 1.0)
        yield of


def shaken(sharp, kernel):
    return blur.uniform(kernel, sharp[..., None])[..., 0]


def test_crops_of_one_blur_gain_nothing_by_kernels_of_their_own(sharp, survey):
    seen = survey(shaken(sharp, line(0)), line(0))
    assert seen.kernels.shape == (CROPS, SIZE, SIZE)
    np.testing.assert_allclose(seen.kernels.sum((1, 2)), 1, rtol=1e-5)
    assert 0 <= seen.gain < 0.004
    assert not turning.has_turned(float(seen.gain))


def test_crops_of_two_blurs_gain_and_get_their_own(sharp, survey):
    left = jnp.arange(SHAPE[1]) < SHAPE[1] // 2
    photo = jnp.where(left, shaken(sharp, line(0)), shaken(sharp, line(1)))
    seen = survey(photo, line(0))
    assert turning.has_turned(float(seen.gain))
    along, across = (jnp.sum(seen.kernels * line(axis)[None], (1, 2)) for axis in (0, 1))
    assert (along > across).reshape(3, 3)[:, 0].all()
    assert (along < across).reshape(3, 3)[:, 2].all()


def test_exposure_does_not_matter(sharp, survey):
    photo = shaken(sharp, line(1))
    full, dark = survey(photo, line(1)), survey(photo, line(1), light=0.25)
    np.testing.assert_allclose(dark.kernels, full.kernels, atol=0.02)
