"""The E-step against a loop written out by hand."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from em_problem import CONFIG, LATENT, assert_trees_close, change, make_problem
from scipy import stats
from tiny import jit

from dem_jax.em import mcem
from dem_jax.model import blur, likelihood

E_CONFIG = change(detail=False)
MODEL = mcem.paper_model(CONFIG)
e_step = jit(mcem.e_step, static_argnums=3)


def test_log_posterior_is_likelihood_times_prior(problem, state):
    theta = jax.tree.map(lambda x: x[0], state.chains.position)
    log_posterior = jit(functools.partial(mcem.log_posterior, model=MODEL))
    value, latent = log_posterior(theta, state.kernels, 0.02, problem)
    assert latent.shape == LATENT
    residual = problem.photo - blur.uniform(state.kernels, latent)
    everywhere = stats.norm.logpdf(np.asarray(residual, np.float64), scale=0.02)[..., 0]
    expected = np.sum(everywhere * np.asarray(problem.weight))
    squares = sum(np.sum(np.square(x)) for x in jax.tree.leaves(theta))
    np.testing.assert_allclose(
        value, expected - squares / (2 * likelihood.WEIGHT_STD**2), rtol=1e-4
    )


def by_hand(key, state, problem, config):
    """The E-step as a Python loop: chains' states, samples, and the mean over counted steps."""
    sampler = mcem.named_sampler(config)

    @jit
    def langevin_step(key, chain):
        key, _ = jax.random.split(key)

        def log_density(theta_f):
            return mcem.log_posterior(theta_f, state.kernels, state.noise_std, problem, model=MODEL)

        chain, info = sampler.step(key, chain, log_density)
        return chain, info.aux

    chains, samples, images = [], [], []
    blocks = -(-config.burn_in // config.thinning)
    first = config.burn_in - blocks * config.thinning
    last = config.burn_in + config.samples_per_chain * config.thinning
    chain_key, _ = jax.random.split(key)
    for i, key in enumerate(jax.random.split(chain_key, config.num_chains)):
        chain = jax.tree.map(lambda x, i=i: x[i], state.chains)
        for t in range(first, last):
            chain, image = langevin_step(jax.random.fold_in(key, jnp.int32(t)), chain)
            if t >= config.burn_in:
                images.append(image)
                if (t + 1 - config.burn_in) % config.thinning == 0:
                    samples.append(image)
        chains.append(chain)
    return jax.tree.map(lambda *x: jnp.stack(x), *chains), jnp.stack(samples), np.mean(images, 0)


@pytest.fixture(scope="module")
def e_results(problem, state):
    key = jax.random.key(2)
    return e_step(key, state, problem, E_CONFIG), by_hand(key, state, problem, E_CONFIG)


def test_e_step_is_the_loop_by_hand(e_results):
    (chains, samples), (expected_chains, expected_samples, mean) = e_results
    assert samples.latents.shape == (4, *LATENT)
    np.testing.assert_allclose(samples.latents, expected_samples, atol=1e-4)
    np.testing.assert_allclose(samples.mean, mean, atol=1e-4)
    variance = np.mean((np.asarray(expected_samples) - mean) ** 2, axis=0)
    np.testing.assert_allclose(samples.variance, variance, atol=1e-4)
    assert (chains.steps == 8).all()  # 3 burn-in steps rounded up to 2 blocks, and 2 blocks
    assert_trees_close(chains.position, expected_chains.position, atol=1e-3)


def test_chains_under_map_and_vmap_agree(state):
    """In double precision: in single, rounding grows along a chain, on some processors to 1e-3."""
    with jax.enable_x64(True):
        problem = make_problem(dtype=np.float64)
        wide = jax.tree.map(
            lambda x: x.astype(jnp.float64) if jnp.issubdtype(x.dtype, jnp.floating) else x, state
        )
        mapped, vmapped = (
            e_step(jax.random.key(3), wide, problem, dataclasses.replace(E_CONFIG, chain_axis=axis))
            for axis in ("map", "vmap")
        )
        assert mapped[1].latents.dtype == jnp.float64
        np.testing.assert_allclose(mapped[1].latents, vmapped[1].latents, atol=1e-9)
        np.testing.assert_allclose(mapped[1].mean, vmapped[1].mean, atol=1e-9)


def test_the_detail_is_as_rough_as_the_starts_image(problem, state):
    config = change(samples_per_chain=1, burn_in=0, thinning=1, detail_iterations=30)

    def roughness(contrast):
        own = problem._replace(start_latent=contrast * problem.start_latent)
        samples = e_step(jax.random.key(4), state, own, config)[1]
        detail = samples.latents - samples.network_images
        return float(jnp.mean((detail[:, 1:] - detail[:, :-1]) ** 2))

    assert roughness(3.0) > 1.5 * roughness(0.3)


def test_chains_draw_noise_of_their_own(problem, state, e_results):
    """Two chains that stand at the same place part ways; in `state` they start apart, too."""
    together = jax.tree.map(lambda x: jnp.stack([x[0], x[0]]), state.chains)
    chains, samples = e_step(jax.random.key(2), state._replace(chains=together), problem, E_CONFIG)
    assert jnp.abs(samples.latents[1] - samples.latents[3]).max() > 1e-3
    for leaf in jax.tree.leaves(chains.position):
        assert (leaf[0] != leaf[1]).any()
    apart = e_results[0][1].latents
    assert jnp.abs(apart[1] - apart[3]).max() > 1e-2


def test_streamed_moments_are_those_of_the_samples(problem, state):
    """With thinning 1 every step is a sample."""
    config = change(detail=False, thinning=1, samples_per_chain=3)
    _, samples = e_step(jax.random.key(4), state, problem, config)
    assert samples.latents.shape == (6, *LATENT)
    np.testing.assert_allclose(samples.mean, np.mean(samples.latents, 0), atol=1e-6)
    np.testing.assert_allclose(samples.variance, np.var(samples.latents, 0), atol=1e-6)
    assert samples.variance.max() > 0
