"""Photos padded to a common shape: the padding says nothing, and near sizes share a program."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
from scipy import ndimage
from tiny import jit

from dem_jax.em import mcem, sharded
from dem_jax.em.result import finish
from dem_jax.model import likelihood
from dem_jax.solve import fourier
from dem_jax.solve.hyper_laplacian import hyper_laplacian
from dem_jax.solve.sparsity import normalized_sparsity
from dem_jax.start import problem as start_problem
from dem_jax.types import Given

SHAPE = (44, 48)  # of the bucket
SIZES = ((36, 48), (44, 40))  # of two photos in it
CONFIG = tiny.CONFIG
KEY = jax.random.key(3)


def make_photo(size, seed):
    rng = np.random.default_rng(seed)
    photo = ndimage.gaussian_filter(rng.normal(size=size), (1.0, 2.0))
    photo = 0.5 + 0.15 * photo / photo.std() + 0.01 * rng.normal(size=size)
    return np.clip(photo, 0, 1).astype(np.float32)[..., None]


def padded(photo, value=0.0):
    rows, cols = photo.shape[:2]
    full = np.full((*SHAPE, 1), value, np.float32)
    full[:rows, :cols] = photo
    return full


PHOTOS = [make_photo(size, seed) for seed, size in enumerate(SIZES)]


@jit
def prepare(photo, size):
    return start_problem.prepare(KEY, Given(photo, size), CONFIG)


def first_e_step(problem, key, config):
    state = mcem.init(key, problem, config)
    return mcem.e_step(key, state, problem, config)[1]


@pytest.fixture(scope="module")
def problems():
    """Both photos in their bucket."""
    return [prepare(padded(p), jnp.array(size)) for p, size in zip(PHOTOS, SIZES, strict=True)]


def test_what_the_padding_holds_does_not_matter(problems):
    found = prepare(padded(PHOTOS[0], np.nan), jnp.array(SIZES[0]))
    for a, b in zip(*map(jax.tree.leaves, (problems[0], found)), strict=True):
        np.testing.assert_array_equal(a, b)


def test_padding_has_weight_zero_and_the_photo_its_own(problems):
    for problem, photo, (rows, cols) in zip(problems, PHOTOS, SIZES, strict=True):
        weight = np.array(problem.weight)
        trusted = likelihood.trusted(jnp.asarray(photo))
        assert (weight[:rows, :cols] <= trusted).all()
        assert np.mean(weight[:rows, :cols] == trusted) > 0.99  # but for what no kernel explains
        weight[:rows, :cols] = 0
        assert not weight.any()


def test_likelihood_and_m_step_do_not_see_the_padding(problems):
    problem = problems[0]
    garbage = problem._replace(photo=jnp.where(problem.weight[..., None] > 0, problem.photo, 0.9))

    @jit
    def both(problem):
        state = mcem.init(KEY, problem, CONFIG)
        theta_f = jax.tree.map(lambda x: x[0], state.chains.position)
        log_posterior = functools.partial(mcem.log_posterior, model=mcem.paper_model(CONFIG))
        slope, latent = jax.grad(log_posterior, has_aux=True)(
            theta_f, state.kernels, state.noise_std, problem
        )
        return slope, mcem.m_step(state.theta_k, latent[None], problem, CONFIG)

    one, other = both(problem), both(garbage)
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_array_equal(a, b)


def test_refinement_does_not_see_the_padding(problems):
    problem, (rows, cols) = problems[0], SIZES[0]
    garbage = problem._replace(photo=jnp.where(problem.weight[..., None] > 0, problem.photo, 0.9))
    config = dataclasses.replace(CONFIG, refinement=1.0)
    run = jit(lambda p: finish(mcem.init(KEY, p, config), p, config).latent[:rows, :cols])
    np.testing.assert_array_equal(run(problem), run(garbage))


def test_e_step_of_a_batch_equals_one_by_one(problems):
    # a sampler that does not enlarge rounding, as preconditioning of tiny gradients does
    config = dataclasses.replace(CONFIG, sampler="sgld", step_size=1e-8, temperature=1.0)
    run = jit(first_e_step, static_argnums=2)
    stacked = jax.tree.map(lambda *x: jnp.stack(x), *problems)
    together = jit(sharded.over_photos(first_e_step), static_argnums=2)
    found = together(stacked, jnp.stack([KEY, KEY]), config)
    for i, problem in enumerate(problems):
        one = run(problem, KEY, config)
        for a, b in zip(one, found, strict=True):
            np.testing.assert_allclose(a, b[i], atol=3e-3)


def test_scores_of_padded_pictures_are_those_of_the_pictures():
    for photo, size in zip(PHOTOS, SIZES, strict=True):
        full, size = padded(photo, 0.3), jnp.array(size)
        np.testing.assert_allclose(
            likelihood.estimate_noise_std(jnp.asarray(full), size=size),
            likelihood.estimate_noise_std(jnp.asarray(photo)),
            rtol=1e-6,
        )
        np.testing.assert_allclose(
            normalized_sparsity(jnp.asarray(full[..., 0]), size=size),
            normalized_sparsity(jnp.asarray(photo[..., 0])),
            rtol=1e-5,
        )


def test_deconvolution_explains_the_photo_and_not_the_padding():
    kernel = jnp.asarray(np.random.default_rng(0).dirichlet(np.ones(25)).reshape(5, 5), jnp.float32)
    photo, (rows, cols) = PHOTOS[0][..., 0], SIZES[0]
    run = jax.jit(hyper_laplacian)
    whole = run(jnp.asarray(photo), kernel, 1e-3)
    full = jnp.asarray(padded(PHOTOS[0], 0.5)[..., 0])
    latent = run(full, kernel, 1e-3, size=jnp.array(SIZES[0]))
    inner = np.s_[10 : rows - 6, 10 : cols - 6]
    difference = np.abs(np.asarray(latent)[inner] - np.asarray(whole)[inner])
    assert difference.max() < 0.02
    assert difference.mean() < 2e-3


def test_a_canvas_does_not_tell_padding_from_its_own():
    photo, (rows, cols) = jnp.asarray(PHOTOS[0][..., 0]), SIZES[0]
    full = jnp.asarray(padded(PHOTOS[0], 9.0)[..., 0])
    canvas = fourier.extend(full, (54, 60), jnp.array(SIZES[0]))
    np.testing.assert_allclose(canvas, fourier.extend(photo, (54, 60)), atol=1e-6)
    # it is the photo, and joins its opposite borders without a step, over the gap between them
    np.testing.assert_array_equal(canvas[:rows, :cols], photo)
    largest = np.abs(np.diff(np.asarray(canvas)[:rows, cols - 1 :], axis=1)).max()
    jump = np.abs(photo[:, 0] - photo[:, -1]).max()
    assert largest <= 2 * jump / (60 - cols)
