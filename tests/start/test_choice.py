"""The choice among kernels: its parts against other implementations, the whole on known cases."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from lines import kernels_of, line
from scipy import signal

from dem_jax.start import choice
from dem_jax.start.views import View

RNG = np.random.default_rng(0)


def test_agreement_is_high_for_those_that_have_friends():
    alone = line(np.pi / 2)
    found = choice.agreement(kernels_of(*[line(0.0)] * 4, alone, line(np.pi / 4)))
    np.testing.assert_allclose(found[:4], 1, atol=1e-5)
    assert (found[4:] < 0.8).all()
    assert ((found >= 0) & (found <= 1)).all()


@pytest.mark.parametrize("angle", [0.0, np.pi / 2])
def test_the_kernel_of_the_photo_is_chosen(angle):
    sharp = np.kron(RNG.uniform(size=(9, 9)), np.ones((8, 8)))
    true, wrong = line(angle), line(angle + np.pi / 2)
    photo = signal.fftconvolve(sharp, true / true.sum(), mode="valid")
    photo = jnp.asarray(photo + 0.002 * RNG.normal(size=photo.shape), jnp.float32)
    found = jax.jit(lambda g, k: choice.choose(View(g), k))(photo, kernels_of(wrong, true))
    assert found.number == 1
    np.testing.assert_array_equal(found.kernel, kernels_of(true)[0])
    assert found.scores[1] < found.scores[0]
