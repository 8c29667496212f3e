"""Each idea that may be exchanged is one object, and every stage follows it."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
from scipy import ndimage
from tiny import jit

from dem_jax import run_keys, solver
from dem_jax.em import langevin, mcem
from dem_jax.em.result import restore
from dem_jax.start.problem import prepare
from dem_jax.start.warm_start import Candidates
from dem_jax.types import ImagePrior, KernelPrior

SIZE, SHAPE = tiny.CONFIG.kernel_size, (24, 28, 1)
change = functools.partial(dataclasses.replace, tiny.CONFIG)
POINT = jnp.zeros((1, SIZE, SIZE)).at[0, SIZE // 2, SIZE // 2].set(1.0)
KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def photo():
    picture = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=SHAPE), (2, 2, 0))
    return jnp.asarray(0.5 + 0.2 * picture / picture.std(), jnp.float32).clip(0.05, 0.95)


def inner(image):
    """Of a photo [24, 28, 1] or its latent image [28, 32, 1], what no border touches."""
    margin = 4 + (image.shape[0] - SHAPE[0]) // 2
    return np.asarray(image)[margin:-margin, margin:-margin]


def model_of(**parts):
    return lambda config: mcem.paper_model(config)._replace(**parts)


def same_image():
    """An image that is known: half as bright as the photo."""
    margin = ((SIZE // 2,) * 2, (SIZE // 2,) * 2, (0, 0))
    return ImagePrior(
        init=lambda key, problem: jnp.zeros(3),
        image=lambda theta, problem: (
            jnp.pad(problem.photo / 2, margin, mode="edge") + 0 * theta.sum()
        ),
    )


def begin(photo, config, method):
    """(state, problem) before the first EM iteration."""
    prepare_key, init_key = run_keys.of_start(KEY)
    problem = method.prepare(prepare_key, photo, config)
    return method.init(init_key, problem, config), problem


@pytest.mark.parametrize("general", [False, True])
def test_a_blur_is_followed_by_start_em_result_grain_and_tiles(photo, general):
    """Twice as bright; where it is the paper's own, everything stays as bright as the photo."""
    config = change(em_iterations=1, refinement=1.0, grain=1.0, noise_std=0.01, detail=False)
    flow = mcem.paper_model(config).blur
    blur = (lambda kernels, f: 2 * flow(kernels, f)) if general else flow
    light = photo / 2 if general else photo
    method = solver.make_solver(
        model=model_of(blur=blur, image=same_image()), kernels=lambda config: POINT
    )
    state, problem = jit(lambda g: begin(g, config, method))(photo)
    start = inner(problem.start_latent / problem.gain)
    np.testing.assert_allclose(start, inner(light), atol=0.03)
    _, info = jit(lambda s: method.step(run_keys.of_iteration(KEY, 1), s, problem, config))(state)
    assert (info.residual_std < 0.05) == general  # the image that is known is half as bright
    found = state._replace(mean=problem.start_latent, noise_std=jnp.float32(0.01))
    result = jit(method.finish, static_argnums=2)(found, problem, config)
    np.testing.assert_allclose(inner(result.latent), inner(light), atol=0.04)
    tile = jit(method.restore, static_argnums=3)(photo, POINT, 1e-5, config)
    np.testing.assert_allclose(inner(tile), inner(light), atol=0.03)


def test_a_general_blur_is_deconvolved_as_well_as_filter_flow(photo):
    """By conjugate gradients nearly what transforms find."""
    kernel = jnp.zeros((1, SIZE, SIZE)).at[0, 2, 1:4].set(1 / 3)
    flow = mcem.paper_model(tiny.CONFIG).blur
    blurred = flow(kernel, jnp.pad(photo, ((2, 2), (2, 2), (0, 0)), mode="edge"))
    own = mcem.paper_model(tiny.CONFIG)._replace(blur=lambda kernels, f: flow(kernels, f))

    def error(restore):
        restored = jit(restore, static_argnums=3)(blurred, kernel, 1e-6, tiny.CONFIG)
        return np.abs(inner(restored) - inner(photo)).mean()

    before = np.abs(inner(blurred) - inner(photo)).mean()
    assert error(restore) < 0.5 * before
    assert error(functools.partial(restore, model=own)) < 0.5 * before


def test_an_image_prior_is_the_e_steps_image(photo):
    config = change(em_iterations=1, detail=False, refinement=0.0)
    own = mcem.paper_model(config)._replace(image=same_image())
    result = jit(lambda g: solver.deblur(KEY, g, config, kernels=POINT, model=own))(photo)
    np.testing.assert_allclose(result.latent, photo / 2, atol=1e-5)


def test_a_kernel_prior_is_followed_by_em_and_by_the_deviation(photo):
    """A prior that shifts its kernel in every M-step; and one that says it is known."""
    moved = jnp.roll(POINT, 1, 1)
    prior = KernelPrior(
        init=lambda key, problem: jnp.float32(0.0),
        kernels=lambda part, problem: (1 - part) * POINT + part * moved,
        update=lambda part, problem, evidence: part + 0.25,
    )
    config = change(em_iterations=3, refinement=0.0)

    def result(prior):
        own = mcem.paper_model(config)._replace(kernels=prior, image=same_image())
        return jit(lambda g: solver.deblur(KEY, g, config, kernels=POINT, model=own))(photo)

    free, known = result(prior), result(prior._replace(update=None))
    np.testing.assert_allclose(free.kernels, 0.5 * POINT + 0.5 * moved, atol=1e-6)
    np.testing.assert_allclose(known.kernels, POINT, atol=1e-6)
    np.testing.assert_allclose(free.info.kernel_change, [0.5, 0.5, 0], atol=1e-5)
    assert free.std.mean() > known.std.mean()  # kernels that are known displace nothing


def test_a_sampler_moves_every_chain(photo):
    """One that adds a number to every weight: the state after EM has so many steps of it."""

    def init(position):
        return langevin.SGLDState(position, jnp.zeros((), jnp.int32))

    def step(key, state, log_density):
        value, image = log_density(state.position)
        position = jax.tree.map(lambda x: x + 0.5, state.position)
        info = langevin.Info(value, jnp.zeros(()), image)
        return langevin.SGLDState(position, state.steps + 1), info

    config = change(em_iterations=2, num_chains=2)
    method = solver.make_solver(sampler=lambda config: langevin.Sampler(init, step))

    @jit
    def run(photo):
        first, problem = begin(photo, config, method)
        state = first
        for t in (1, 2):
            state, _ = method.step(run_keys.of_iteration(KEY, t), state, problem, config)
        return first.chains, state.chains

    before, after = run(photo)
    steps = 2 * (config.burn_in + config.samples_per_chain * config.thinning)
    assert (after.steps == steps).all()
    for a, b in zip(*map(jax.tree.leaves, (before.position, after.position)), strict=True):
        np.testing.assert_allclose(b - a, 0.5 * steps, rtol=1e-4)


def test_a_start_is_chosen_from_and_then_everything_begins_there(photo):
    """Two starts, the first with a penalty: the second is taken."""
    wide = jnp.full((1, SIZE, SIZE), 1 / SIZE**2)

    def start(kernels, penalty):
        return lambda photo, config: Candidates(kernels[None], jnp.full(1, penalty))

    config = change(kernels="free")
    method = solver.make_solver(starts=lambda config: (start(wide, 9.0), start(POINT, 0.0)))
    state, problem = jit(lambda g: begin(g, config, method))(photo)
    np.testing.assert_array_equal(problem.start_kernels, POINT)
    np.testing.assert_array_equal(state.kernels, problem.start_kernels)


def test_the_noise_that_is_given_reaches_the_start(photo):
    """Much noise makes a smooth start; without a word of it, the photo's own is taken."""
    run = jit(prepare, static_argnums=2)

    def contrast(noise_std):
        problem = run(KEY, photo, change(noise_std=noise_std), kernels=POINT)
        return np.diff(inner(problem.start_latent), axis=0).std()

    assert contrast(1.0) < 0.9 * contrast(0.0)
