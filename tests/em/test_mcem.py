"""Monte Carlo EM: every step against a loop or a least-squares problem written out by hand."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from em_problem import CONFIG, SHAPE, SIZE, assert_trees_close, change, make_problem
from scipy import stats
from tiny import jit

from dem_jax.em import mcem
from dem_jax.model import blur
from dem_jax.types import ImagePrior, KernelPrior

e_step = jit(mcem.e_step, static_argnums=3)
step = jit(mcem.step, static_argnums=3)


# --- one iteration --------------------------------------------------------------------------------


def test_step_is_e_step_then_m_step_and_reports_both(problem, state):
    key = jax.random.key(6)
    new, info = step(key, state, problem, CONFIG)
    chains, samples = e_step(key, state, problem, CONFIG)
    assert_trees_close(new.chains.position, chains.position, atol=1e-4)
    np.testing.assert_allclose(new.mean, samples.mean, atol=1e-4)
    residuals = np.stack([problem.photo - blur.uniform(state.kernels, f) for f in samples.latents])
    kept = np.asarray(residuals, np.float64)[:, problem.weight > 0]
    np.testing.assert_allclose(info.residual_std, np.sqrt(np.mean(kept**2)), rtol=1e-3)
    nll = -stats.norm.logpdf(kept, scale=float(state.noise_std)).mean()
    np.testing.assert_allclose(info.negative_log_likelihood, nll, rtol=1e-3)
    assert info.noise_std == state.noise_std
    assert new.noise_std == info.residual_std
    moved = np.abs(new.kernels - state.kernels).sum()
    np.testing.assert_allclose(info.kernel_change, moved, rtol=1e-3)
    assert moved > 0
    np.testing.assert_allclose(new.kernels.sum((1, 2)), 1, rtol=1e-5)
    assert info.finite


def test_the_second_iteration_is_not_compiled_again(problem, state):
    for t in range(3):
        state, info = step(jax.random.key(t), state, problem, CONFIG)
    assert step._cache_size() == 1
    assert info.finite


def test_same_key_same_numbers_other_key_others(problem, state):
    first, again, other = (step(jax.random.key(s), state, problem, CONFIG)[0] for s in (7, 7, 8))
    assert_trees_close(first, again, rtol=0)
    assert (first.mean != other.mean).any()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_divergence_is_reported(problem, state, bad):
    spoilt = problem._replace(photo=problem.photo.at[5, 6].set(bad))
    weight = jnp.ones_like(problem.weight)
    info = step(jax.random.key(0), state, spoilt._replace(weight=weight), CONFIG)[1]
    assert not info.finite


def test_photos_under_vmap_do_not_see_each_other(problem, state):
    problems = jax.tree.map(lambda *x: jnp.stack(x), problem, make_problem(seed=9))
    states = jax.tree.map(lambda x: jnp.stack([x, x]), state)
    keys = jax.random.split(jax.random.key(9))
    together = jit(jax.vmap(lambda k, s, p: mcem.step(k, s, p, CONFIG)))(keys, states, problems)
    for i in (0, 1):
        alone = step(keys[i], state, jax.tree.map(lambda x, i=i: x[i], problems), CONFIG)
        np.testing.assert_allclose(together[0].mean[i], alone[0].mean, atol=1e-3)
        np.testing.assert_allclose(together[0].kernels[i], alone[0].kernels, atol=1e-4)
        np.testing.assert_allclose(together[1].residual_std[i], alone[1].residual_std, rtol=1e-3)


@pytest.mark.slow
def test_step_is_differentiable(problem, state):
    """By photo and noise through chain and detail, against difference quotients.

    A truncated solution of the detail's equations is not linear in the photo, so they are solved.
    """
    config = change(
        num_chains=1,
        samples_per_chain=1,
        burn_in=0,
        detail_iterations=60,
        sampler="sgld",
        step_size=1e-7,
        temperature=1.0,
    )
    sampler_state = mcem.named_sampler(config).init(
        jax.tree.map(lambda x: x[0], state.chains.position)
    )
    state = state._replace(chains=jax.tree.map(lambda x: x[None], sampler_state))
    direction = jnp.asarray(np.random.default_rng(0).normal(size=SHAPE), jnp.float32)
    direction = direction * problem.weight[..., None]

    def outcome(size, noise_std):
        moved = problem._replace(photo=problem.photo + size * direction)
        old = state._replace(noise_std=noise_std)
        new, _ = mcem.step(jax.random.key(0), old, moved, config)
        return jnp.vdot(new.mean[2:-2, 2:-2], direction), new.kernels

    value = jit(lambda *at: outcome(*at)[0])
    slopes = jit(jax.grad(lambda *at: outcome(*at)[0], argnums=(0, 1)))(0.0, 0.02)
    by_photo = (value(1e-2, 0.02) - value(-1e-2, 0.02)) / 2e-2
    by_noise = (value(0.0, 0.021) - value(0.0, 0.019)) / 2e-3
    np.testing.assert_allclose(slopes, [by_photo, by_noise], rtol=0.02)
    through_adam = jax.jacrev(lambda *at: outcome(*at)[1], argnums=(0, 1))
    assert [x.shape for x in jax.eval_shape(through_adam, 0.0, 0.02)] == [(1, SIZE, SIZE)] * 2


@pytest.mark.parametrize("grid", [(1, 1), (1, 2)])
@pytest.mark.parametrize("sampler", ["sgld", "psgld", "noisy_adam"])
def test_state_keeps_its_shapes_and_types(problem, grid, sampler):
    config = change(sampler=sampler, patch_grid=grid)
    patches = jnp.tile(problem.start_kernels, (grid[0] * grid[1], 1, 1))
    problem = problem._replace(start_kernels=patches)
    state = jax.eval_shape(lambda key: mcem.init(key, problem, config), jax.random.key(0))
    step = functools.partial(mcem.step, problem=problem, config=config)
    new, info = jax.eval_shape(step, jax.random.key(0), state)
    assert jax.tree.structure(new) == jax.tree.structure(state)
    assert [(x.shape, x.dtype) for x in jax.tree.leaves(new)] == [
        (x.shape, x.dtype) for x in jax.tree.leaves(state)
    ]
    assert all(x.shape == () for x in info)


@pytest.fixture(scope="module")
def traced(problem, state):
    return step.trace(jax.random.key(0), state, problem, CONFIG)


@pytest.mark.parametrize("platform", ["cpu", "cuda", "tpu"])
def test_step_lowers_for_every_platform(traced, platform):
    text = traced.lower(lowering_platforms=(platform,)).as_text()
    assert "stablehlo.fft" in text
    assert "stablehlo.convolution" in text


def test_the_last_iteration_keeps_the_kernels_that_its_images_were_drawn_with(problem, state):
    key, last = jax.random.key(0), jnp.asarray(CONFIG.em_iterations - 1)
    on_the_way, moved = step(key, state, problem, CONFIG)
    end, kept = step(key, state._replace(iteration=last), problem, CONFIG)
    assert moved.kernel_change > 0
    assert kept.kernel_change == 0
    np.testing.assert_array_equal(end.kernels, state.kernels)
    np.testing.assert_array_equal(end.mean, on_the_way.mean)
    assert end.iteration == CONFIG.em_iterations


# --- other models ---------------------------------------------------------------------------------


def bell(width):
    """[1, 5, 5] Gaussian kernel, differentiable in its width."""
    along = jnp.exp(-0.5 * (jnp.arange(SIZE) - SIZE // 2) ** 2 / width**2)
    kernel = along[:, None] * along[None]
    return (kernel / kernel.sum())[None]


def test_own_image_and_kernel_functions_take_the_networks_place(problem):
    """The image known, a kernel with one unknown number: EM finds the number."""
    known = problem.start_latent
    photo = blur.uniform(bell(1.1), known)
    problem = problem._replace(photo=photo, weight=jnp.ones(SHAPE[:2]))
    config = change(em_iterations=2, m_steps=200, m_learning_rate=2e-2, detail=False)
    model = mcem.paper_model(config)._replace(
        image=ImagePrior(
            init=lambda key, problem: jnp.zeros(3),
            image=lambda theta, problem: known + 0 * theta.sum(),
        ),
        kernels=KernelPrior(
            init=lambda key, problem: jnp.float32(0.6),
            kernels=lambda width, problem: bell(width),
            update=lambda width, problem, evidence: evidence.by_adam(width, bell),
        ),
    )

    @jit
    def run(key):
        state = mcem.init(key, problem, config, model=model)
        return state, mcem.step(key, state, problem, config, model=model)[0]

    start, end = run(jax.random.key(0))
    np.testing.assert_allclose(start.kernels, bell(0.6), atol=1e-6)
    np.testing.assert_allclose(end.theta_k, 1.1, atol=1e-3)
    np.testing.assert_allclose(end.kernels, bell(end.theta_k), atol=1e-6)


def test_own_blur_enters_both_steps(problem, state):
    """A blur of twice the brightness: residuals and the M-step see it."""
    config = change(detail=False)
    model = mcem.paper_model(config)
    twice = model._replace(blur=lambda kernels, f: 2 * model.blur(kernels, f))
    theta = jax.tree.map(lambda x: x[0], state.chains.position)
    plain, latent = mcem.log_posterior(theta, state.kernels, 0.02, problem, model=model)
    value, _ = mcem.log_posterior(theta, state.kernels, 0.02, problem, model=twice)
    dimmer = problem._replace(photo=problem.photo - model.blur(state.kernels, latent))
    expected, _ = mcem.log_posterior(theta, state.kernels, 0.02, dimmer, model=model)
    assert value != plain
    np.testing.assert_allclose(value, expected, rtol=1e-4)


def test_fixed_kernels_stay(problem, state):
    config = change(kernels="fixed", detail=False)
    new, info = step(jax.random.key(0), state, problem, config)
    np.testing.assert_array_equal(new.kernels, state.kernels)
    assert info.kernel_change == 0
    assert (new.mean != state.mean).any()
