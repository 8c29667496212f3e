"""Looks at a photo in few pixels: what the closer one adds."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import signal

from dem_jax.config import DeblurConfig
from dem_jax.solve.kernels import similarity, zoom_kernel
from dem_jax.start import overview, views

RNG = np.random.default_rng(0)
TRUE = np.zeros((31, 31), np.float32)
TRUE[15, 3:28] = 1 / 25


@pytest.fixture(scope="module")
def photo():
    sharp = np.kron(RNG.uniform(size=(36, 40)), np.ones((16, 16)))
    photo = signal.fftconvolve(sharp, TRUE, mode="valid")
    return np.float32(photo + 0.002 * RNG.normal(size=photo.shape))[..., None]


def test_a_closer_look_chooses_and_asks_the_overviews_candidates(monkeypatch, photo):
    shape = photo.shape[:2]
    scale, closer = views.overview_scale(shape), views.overview_scale(shape, 2)
    assert scale < closer

    def finds(view, setting, *, window):
        """Those that expect a plain background find the kernel, the others what it is not."""
        right, wrong = (zoom_kernel(jnp.asarray(k), window, closer) for k in (TRUE, TRUE.T))
        return jnp.where(setting.plain > 0, right, wrong)

    monkeypatch.setattr(overview, "coarse_to_fine", finds)
    small = zoom_kernel(jnp.asarray(TRUE), 13, scale)
    seen = jnp.stack([small] * 3 + [small.T] * 5)
    look = jax.jit(overview.closer_look, static_argnums=2)
    found = look(photo, seen, DeblurConfig(kernel_size=31))
    assert found.number >= 4  # the second half of the settings expects a plain background
    assert found.kernel.shape == small.shape
    assert similarity(jnp.stack([found.kernel, small]))[0, 1] > 0.95
    assert found.agreement > 0.95
