"""The choice among kernels: its parts against other implementations, the whole on known cases."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage, signal

from dem_jax.start import choice
from dem_jax.start.views import View

RNG = np.random.default_rng(0)


def kernels_of(*planes):
    return jnp.asarray(np.stack([p / p.sum() for p in planes]), jnp.float32)


def line(angle, size=11):
    along = np.linspace(-4, 4, 33)
    places = size // 2 + np.round([along * np.sin(angle), along * np.cos(angle)]).astype(int)
    plane = np.zeros((size, size))
    np.add.at(plane, tuple(places), 1.0)
    return plane


def test_similarity_is_the_correlation_under_the_best_shift():
    a, b = RNG.dirichlet(0.3 * np.ones(49), 2).reshape(2, 7, 7)
    found = choice.similarity(kernels_of(a, b))
    a, b = (ndimage.gaussian_filter(np.pad(x, 6), 1.0, mode="constant") for x in (a, b))
    expected = signal.correlate(a, b).max() / np.linalg.norm(a) / np.linalg.norm(b)
    np.testing.assert_allclose(found, [[1, expected], [expected, 1]], atol=1e-3)


def test_similarity_does_not_depend_on_where_kernels_lie():
    moved = np.roll(line(0.5), (1, -1), (0, 1))
    np.testing.assert_allclose(choice.similarity(kernels_of(line(0.5), moved))[0, 1], 1, atol=1e-5)


def test_agreement_is_high_for_those_that_have_friends():
    alone = line(np.pi / 2)
    found = choice.agreement(kernels_of(*[line(0.0)] * 4, alone, line(np.pi / 4)))
    np.testing.assert_allclose(found[:4], 1, atol=1e-5)
    assert (found[4:] < 0.8).all()
    assert ((found >= 0) & (found <= 1)).all()


def test_entropy_is_the_logarithm_of_the_pixels_covered():
    kernels = jnp.zeros((2, 5, 5)).at[0, 1, 1:4].set(1 / 3).at[1, 2, 2].set(1.0)
    np.testing.assert_allclose(choice.entropy(kernels[:1]), np.log(3), rtol=1e-6)
    np.testing.assert_allclose(choice.entropy(kernels), np.log(3) / 2, rtol=1e-6)


def test_few_edges_are_sparser_than_many():
    one_edge = jnp.zeros((20, 20)).at[:, 10:].set(1.0)
    noise = jnp.asarray(RNG.normal(size=(20, 20)), jnp.float32)
    assert choice.normalized_sparsity(one_edge) < choice.normalized_sparsity(noise)


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
