"""What a kernel does not explain: hot pixels go, what lies on the photo stays, lamps are lamps."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import shaken

from dem_jax.em.result import started
from dem_jax.evaluation import metrics
from dem_jax.start import odd_pixels
from dem_jax.start.problem import prepare

NOWHERE = jnp.zeros((40, 48), bool)


def residual(values):
    return jnp.zeros((40, 48, 3)).at[10:20, 8:40].set(values)


def stamp():
    """Strokes two pixels wide, as letters have."""
    return residual(jnp.where(jnp.arange(32) % 6 < 2, 8.0, 0.0)[:, None])


def test_a_stamp_stays_and_nothing_else():
    believed, overlay = odd_pixels.explained(stamp(), NOWHERE)
    np.testing.assert_array_equal(overlay, stamp()[..., 0] > 0)
    np.testing.assert_array_equal(believed, 1 - overlay)


def test_hot_pixels_lose_their_weight_and_do_not_stay():
    hot = jnp.zeros((40, 48, 3)).at[5::11, 7::13].set(20.0)
    believed, overlay = odd_pixels.explained(hot, NOWHERE)
    assert not overlay.any()
    assert jnp.all((believed < 1e-4) == (hot[..., 0] > 0))


def test_what_a_wrong_kernel_leaves_over_is_soft():
    bump = jnp.outer(*(jnp.sin(jnp.linspace(0, jnp.pi, n)) for n in (10, 32)))
    believed, overlay = odd_pixels.explained(residual(10 * bump[..., None]), NOWHERE)
    assert believed.min() < 1e-3
    assert not overlay.any()


def test_odd_pixels_beside_saturated_ones_belong_to_lamps():
    lamp = jnp.zeros((40, 48), bool).at[12:18].set(True)
    assert not odd_pixels.explained(stamp(), lamp)[1].any()


@pytest.fixture(scope="module")
def stamped():
    """The sharp picture, its photo with a stamp, the stamp's place, and the start's result."""
    sharp, kernel, photo = shaken.make_case()
    place = np.zeros(shaken.SHAPE, bool)
    place[44:50, 10:40] = (np.arange(30) % 6 < 2) | (np.arange(6) == 2)[:, None]
    photo = jnp.where(place[..., None], jnp.array([0.95, 0.5, 0.1]), photo)

    @jax.jit
    def start(photo):
        config = shaken.change(camera_softness=False, noise_std=0.0)
        return started(prepare(jax.random.key(0), photo, config, kernels=kernel[None]))[0]

    return sharp, photo, place, start


def test_a_stamped_photo_is_sharpened_around_its_stamp(stamped):
    sharp, photo, place, start = stamped
    result = start(photo)
    np.testing.assert_allclose(result[place], photo[place], atol=1e-6)
    psnr = functools.partial(metrics.psnr, jnp.where(place[..., None], 0, sharp))
    before, after = (psnr(jnp.where(place[..., None], 0, x)) for x in (photo, result))
    assert after > before + 5


def test_a_stamp_is_seen_under_vmap_and_in_a_dark_photo(stamped):
    _, photo, place, start = stamped
    bright, dark = jax.vmap(start)(jnp.stack([photo, photo / 4]))
    np.testing.assert_allclose(bright, start(photo), atol=1e-4)
    np.testing.assert_allclose(dark[place], photo[place] / 4, atol=1e-6)
