"""The E-step: images from the posterior at the present kernels, by Langevin chains.

    theta_f^i ~ p(theta_f | g; theta_K^{t-1}), i = 1..n_s                              (1), (4)

The examples' `problem`, `state` and `config` are those of `mcem`.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from dem_jax.config import DeblurConfig
from dem_jax.em import detail, langevin
from dem_jax.em.state import Context, MCEMState, context
from dem_jax.model import likelihood, roughness
from dem_jax.solve.deconvolution import error_variance
from dem_jax.types import Model, Problem, PyTree

# Of the mean roughness, that a smooth place may have beyond what it shows. Without it conjugate
# gradients would not get to the end on text, whose edges are 10,000 times as rough as its paper.
_SURPRISE = 0.03


class Samples(NamedTuple):
    """What the E-step draws."""

    network_images: jax.Array  # [n, H+k-1, W+k-1, C] T_f's, for the M-step
    latents: jax.Array  # [n, H+k-1, W+k-1, C] with the detail beside T_f: posterior samples
    mean: jax.Array  # [H+k-1, W+k-1, C]
    variance: jax.Array  # [H+k-1, W+k-1, C] of the latents around the mean


def e_step(
    key: jax.Array,
    state: MCEMState,
    problem: Problem,
    config: DeblurConfig,
    *,
    model: Model | None = None,
    sampler: langevin.Sampler | None = None,
    axis_name: str | None = None,
) -> tuple[Any, Samples]:
    """Draws n_s latent images from p(f | g; K) and averages over the steps, eqs (1) and (4).

    Returns:
      The chains' new states, and `Samples`; with `axis_name`, the latents of this member's chains.

    >>> _, samples = jax.eval_shape(lambda k, s, p: e_step(k, s, p, config), key, state, problem)
    >>> samples.latents.shape
    (6, 36, 44, 3)
    """
    em = context(problem, config, model=model, sampler=sampler, axis_name=axis_name)
    chain_key, detail_key = jax.random.split(key)

    def chain(pair):
        return _run_chain(pair[0], pair[1], state, em)

    keys = _own_share(jax.random.split(chain_key, config.num_chains), em)
    over_chains = jax.vmap(chain) if config.chain_axis == "vmap" else lambda x: lax.map(chain, x)
    chains, images, means = over_chains((keys, state.chains))
    images = images.reshape(-1, *images.shape[2:])
    mean = em.average(jnp.mean(means, 0))
    if not config.detail:
        variance = em.average(jnp.mean((images - mean[None]) ** 2, 0))
        return chains, Samples(images, images, mean, variance)
    return chains, _with_detail(detail_key, images, mean, state, em)


def log_posterior(
    theta_f: PyTree, kernels: jax.Array, noise_std: jax.Array, problem: Problem, *, model: Model
) -> tuple[jax.Array, jax.Array]:
    """Log p(theta_f | g; theta_K) up to a constant, in nats, and T_f's image.

    >>> theta_f = jax.eval_shape(lambda c: jax.tree.map(lambda x: x[0], c.position), state.chains)
    >>> model = context(problem, config).model
    >>> value, latent = jax.eval_shape(
    ...     lambda t, k, p: log_posterior(t, k, 0.01, p, model=model),
    ...     theta_f, state.kernels, problem
    ... )
    >>> value.shape, latent.shape
    ((), (36, 44, 3))
    """
    latent = model.image.image(theta_f, problem)
    residual = problem.photo - model.blur(kernels, latent)
    value = likelihood.log_likelihood(residual, problem.weight, noise_std)
    return value + likelihood.log_prior(theta_f), latent


def _own_share(x: jax.Array, em: Context) -> jax.Array:
    """This member's equal share of the rows of x, [n, ...]; x itself where there is no axis."""
    if not em.axis_name:
        return x
    rows = x.shape[0] // lax.axis_size(em.axis_name)
    return lax.dynamic_slice_in_dim(x, lax.axis_index(em.axis_name) * rows, rows)


def _run_chain(
    key: jax.Array, chain: Any, state: MCEMState, em: Context
) -> tuple[Any, jax.Array, jax.Array]:
    """One chain: burn-in, then `samples_per_chain` blocks of `thinning` steps.

    Returns:
      The chain's new state, its last image of every block, and the mean image over all
      steps after burn-in.
    """
    config = em.config

    def log_density(theta_f):
        return log_posterior(theta_f, state.kernels, state.noise_std, em.problem, model=em.model)

    def one_step(carry, t):
        chain, _, total = carry
        step_key = jax.random.split(jax.random.fold_in(key, t))[0]
        chain, info = em.sampler.step(step_key, chain, log_density)
        counted = jnp.where(t < config.burn_in, 0.0, 1.0)
        return (chain, info.aux, total + counted * info.aux), None

    def block(carry, times):
        carry, _ = lax.scan(one_step, carry, times)
        return carry, carry[1]

    # One scan serves burn-in and sampling, so that T_f's gradient is compiled once: blocks before
    # the first sample are run like the others and their image is dropped.
    blocks = -(-config.burn_in // config.thinning)
    first = config.burn_in - blocks * config.thinning
    steps = (blocks + config.samples_per_chain) * config.thinning
    times = (jnp.arange(steps) + first).reshape(-1, config.thinning)
    nothing = jnp.zeros_like(em.problem.start_latent)
    (chain, _, total), images = lax.scan(block, (chain, nothing, nothing), times)
    return chain, images[blocks:], total / (config.samples_per_chain * config.thinning)


def _with_detail(
    key: jax.Array, images: jax.Array, mean: jax.Array, state: MCEMState, em: Context
) -> Samples:
    """Adds the detail's posterior: a draw to every sample, its mean to the mean.

    The detail's mean is linear in T_f's image, so the mean over samples needs one solution only.
    """
    problem, config = em.problem, em.config
    error = error_variance(problem.noise_std, len(state.kernels))
    rough = roughness.expected(problem.start_latent, error)
    posterior = detail.DetailModel(
        em.model.blur,
        state.kernels,
        problem.weight,
        state.noise_std,
        rough + _SURPRISE * jnp.mean(rough),
        config.detail_iterations,
    )
    keys = jax.random.split(key, config.num_chains * config.samples_per_chain)
    mean = mean + detail.mean(posterior, problem.photo, mean)
    latents = lax.map(
        lambda pair: pair[1] + detail.draw(pair[0], posterior, problem.photo, pair[1]),
        (_own_share(keys, em), images),
    )
    variance = em.average(jnp.mean((latents - mean[None]) ** 2, 0))
    return Samples(images, latents, mean, variance)
