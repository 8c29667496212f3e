"""Monte Carlo EM: g is observed, theta_f is latent, theta_K is the parameter.

    E-step:  theta_f^i ~ p(theta_f | g; theta_K^{t-1}), i = 1..n_s, by Langevin chains    (1), (4)
    M-step:  theta_K^t = argmax (1/n_s) sum_i log p(g | theta_f^i; theta_K)               (2), (3)

(numbers: the paper's equations). n_s = num_chains x samples_per_chain: S chains run in parallel
(vmap, or one after the other with the same numbers), each a scan of Langevin steps. Only images
travel from the E-step to the M-step, so the M-step never differentiates T_f. Shapes: H, W photo, C
channels, P patches, k kernel size, S chains, n = n_s; the latent image is [H+k-1, W+k-1, C].

Chains may lie on several devices: where `axis_name` names a mapped axis (jax.shard_map, jax.pmap,
jax.vmap), every member of it holds an equal share of the S chains and the means over samples are
means over the axis too. `inference.sharded` does this; the numbers are those of one device.

The functions' examples tell shapes, of a `problem` and a `state` made like this:

    from dem_jax.inference import deblur
    config = DeblurConfig(kernel_size=5, num_chains=2, samples_per_chain=3)
    key, photo = jax.random.key(0), jnp.zeros((32, 40, 3))
    problem = deblur.prepare(key, photo, config)
    state = init(key, problem, config)

Source: Li, Wang, Nan, Ji: Self-supervised Blind Motion Deblurring with Deep Expectation
Maximization, CVPR 2023.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import lax

from dem_jax.config import DeblurConfig
from dem_jax.inference import detail, langevin, uncertainty
from dem_jax.inference.maximisation import axis_mean, m_step
from dem_jax.inference.paper_model import paper_model
from dem_jax.model import likelihood, promotion
from dem_jax.types import EMInfo, Model, Problem, PyTree


class MCEMState(NamedTuple):
    """What travels from one EM iteration to the next."""

    chains: Any  # sampler states, every leaf [S, ...]
    theta_k: PyTree  # weights of T_K
    kernels: jax.Array  # [P, k, k] = T_K(theta_K, z~)
    noise_std: jax.Array  # [] the likelihood's s
    mean: jax.Array  # [H+k-1, W+k-1, C] posterior mean of the latent image
    variance: jax.Array  # [H+k-1, W+k-1, C] its posterior variance
    iteration: jax.Array  # [] E-steps so far


class Samples(NamedTuple):
    """What the E-step draws."""

    images: jax.Array  # [n, H+k-1, W+k-1, C] T_f's, for the M-step
    latents: jax.Array  # [n, H+k-1, W+k-1, C] with the detail beside T_f: posterior samples
    mean: jax.Array  # [H+k-1, W+k-1, C]
    variance: jax.Array  # [H+k-1, W+k-1, C]


@promotion.standard
def init(
    key: jax.Array, problem: Problem, config: DeblurConfig, *, model: Model | None = None
) -> MCEMState:
    """Draws theta_f for every chain, and theta_K so that T_K gives the start's kernels.

    Args:
      key: random key, consumed.
      problem: the photo [H, W, C] and what stays fixed, from `deblur.prepare`.
      config: static under jit.
      model: the image and kernel networks and the blur; None: the paper's.

    Returns:
      The state before the first iteration.

    >>> jax.eval_shape(lambda k, p: init(k, p, config), key, problem).kernels.shape
    (1, 5, 5)
    """
    own, model = model is not None, model or paper_model(config)
    image_key, kernel_key = jax.random.split(key)

    def chain(key):
        return sampler(config).init(model.init_image(key, problem))

    theta_k = model.init_kernels(kernel_key, problem)
    return MCEMState(
        chains=jax.vmap(chain)(jax.random.split(image_key, config.num_chains)),
        theta_k=theta_k,
        # After a warm start T_K's last layer is zero: it gives back the start's kernels.
        kernels=problem.start_kernels
        if config.warm_start and not own
        else model.kernels(theta_k, problem),
        noise_std=problem.noise_std,
        mean=problem.start_latent,
        variance=jnp.zeros_like(problem.start_latent),
        iteration=jnp.zeros((), jnp.int32),
    )


@promotion.standard
def step(
    key: jax.Array,
    state: MCEMState,
    problem: Problem,
    config: DeblurConfig,
    *,
    model: Model | None = None,
    axis_name: str | None = None,
) -> tuple[MCEMState, EMInfo]:
    """One EM iteration: E-step at the present kernels, then M-step.

    The last one, of number `config.em_iterations`, is an E-step alone: what EM returns is the mean
    of images and the kernels that they were drawn with.

    Args:
      key: random key, consumed.
      state: from `init` or the previous iteration.
      problem: the photo and what stays fixed.
      config: static under jit.
      model: the image and kernel networks and the blur; None: the paper's.
      axis_name: mapped axis that the chains are divided over, if any; all else is alike on it.

    Returns:
      The next state, and what the iteration reports.

    >>> state, info = jax.eval_shape(lambda k, s, p: step(k, s, p, config), key, state, problem)
    >>> state.mean.shape, info.residual_std.shape
    ((36, 44, 3), ())
    """
    model = model or paper_model(config)
    chains, samples = e_step(key, state, problem, config, model=model, axis_name=axis_name)
    residuals = jax.vmap(lambda f: problem.photo - model.blur(state.kernels, f))(samples.latents)
    count = jnp.maximum(jnp.sum(problem.weight) * problem.photo.shape[-1], 1)
    power = jnp.sum(problem.weight[..., None] * jnp.mean(residuals**2, 0)) / count
    power = axis_mean(power, axis_name)
    noise_std = state.noise_std
    if not config.noise_std:
        # The M-step's own optimum for s: samples carry the posterior's spread, so it is not biased.
        noise_std = jnp.maximum(jnp.sqrt(power), likelihood.QUANTISATION_STD)
    iteration = state.iteration + 1

    def maximise() -> tuple[PyTree, jax.Array]:
        part = detail.expected(problem, config).m_detail
        images = samples.images + part * (samples.latents - samples.images)
        theta_k = m_step(state.theta_k, images, problem, config, model=model, axis_name=axis_name)
        return theta_k, model.kernels(theta_k, problem)

    theta_k, kernels = state.theta_k, state.kernels
    if config.kernels != "fixed":
        more = iteration < config.em_iterations
        theta_k, kernels = lax.cond(more, maximise, lambda: (theta_k, kernels))
    info = EMInfo(
        negative_log_likelihood=0.5 * power / state.noise_std**2
        + jnp.log(state.noise_std * jnp.sqrt(2 * jnp.pi)),
        residual_std=jnp.sqrt(power),
        noise_std=state.noise_std,
        kernel_change=jnp.sum(jnp.abs(kernels - state.kernels)) / kernels.shape[0],
        finite=jnp.isfinite(power) & jnp.all(jnp.isfinite(kernels)),
    )
    new = MCEMState(chains, theta_k, kernels, noise_std, samples.mean, samples.variance, iteration)
    return new, info


def e_step(
    key: jax.Array,
    state: MCEMState,
    problem: Problem,
    config: DeblurConfig,
    *,
    model: Model | None = None,
    axis_name: str | None = None,
) -> tuple[Any, Samples]:
    """Draws n_s latent images from p(f | g; K) and streams T_f's posterior mean, eqs (1) and (4).

    Returns:
      The chains' new states, and `Samples`; with `axis_name`, the latents of this member's chains.

    >>> _, samples = jax.eval_shape(lambda k, s, p: e_step(k, s, p, config), key, state, problem)
    >>> samples.latents.shape
    (6, 36, 44, 3)
    """
    model = model or paper_model(config)
    chain_key, detail_key = jax.random.split(key)

    def chain(pair):
        return _run_chain(pair[0], pair[1], state, problem, config, model)

    keys = _own_share(jax.random.split(chain_key, config.num_chains), axis_name)
    over_chains = jax.vmap(chain) if config.chain_axis == "vmap" else lambda x: lax.map(chain, x)
    chains, latents, means = over_chains((keys, state.chains))
    latents = latents.reshape(-1, *latents.shape[2:])
    mean = axis_mean(jnp.mean(means, 0), axis_name)
    samples = _with_detail(detail_key, latents, mean, state, problem, config, model, axis_name)
    return chains, samples


def sampler(config: DeblurConfig) -> langevin.Sampler:
    """The Langevin sampler that `config` names; its step size decays by a cosine over the run.

    >>> sampler(DeblurConfig(sampler="sgld")).init(jnp.zeros(3)).position.shape
    (3,)
    """
    per_iteration = config.burn_in + config.samples_per_chain * config.thinning
    step_size = optax.schedules.cosine_decay_schedule(
        config.step_size, config.em_iterations * per_iteration, alpha=0.05
    )
    if config.sampler == "sgld":
        return langevin.sgld(step_size, temperature=config.temperature, has_aux=True)
    if config.sampler == "psgld":
        return langevin.psgld(step_size, temperature=config.temperature, has_aux=True)
    return langevin.noisy_adam(step_size, noise_scale=config.temperature, has_aux=True)


def log_posterior(
    theta_f: PyTree,
    kernels: jax.Array,
    noise_std: jax.Array,
    problem: Problem,
    config: DeblurConfig,
    *,
    dropout_key: jax.Array | None = None,
    model: Model | None = None,
) -> tuple[jax.Array, jax.Array]:
    """Log p(theta_f | g; theta_K) up to a constant, in nats, and T_f's image.

    >>> theta_f = jax.eval_shape(lambda c: jax.tree.map(lambda x: x[0], c.position), state.chains)
    >>> value, latent = jax.eval_shape(
    ...     lambda t, k, p: log_posterior(t, k, 0.01, p, config), theta_f, state.kernels, problem
    ... )
    >>> value.shape, latent.shape
    ((), (36, 44, 3))
    """
    model = model or paper_model(config)
    latent = model.image(theta_f, problem, dropout_key)
    residual = problem.photo - model.blur(kernels, latent)
    value = likelihood.log_likelihood(residual, problem.weight, noise_std)
    return value + likelihood.log_prior(theta_f, config.weight_std), latent


def _run_chain(
    key: jax.Array,
    chain: Any,
    state: MCEMState,
    problem: Problem,
    config: DeblurConfig,
    model: Model,
) -> tuple[Any, jax.Array, jax.Array]:
    """One chain: burn-in, then `samples_per_chain` blocks of `thinning` steps.

    Returns:
      The chain's new state, its last image of every block, and the mean image over all blocks.
    """
    langevin_step = sampler(config).step

    def one_step(carry, t):
        chain, _, total = carry
        step_key, dropout_key = jax.random.split(jax.random.fold_in(key, t))

        def log_density(theta_f):
            return log_posterior(
                theta_f,
                state.kernels,
                state.noise_std,
                problem,
                config,
                dropout_key=dropout_key if config.image_network.dropout else None,
                model=model,
            )

        chain, info = langevin_step(step_key, chain, log_density)
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
    nothing = jnp.zeros_like(problem.start_latent)
    (chain, _, total), images = lax.scan(block, (chain, nothing, nothing), times)
    return chain, images[blocks:], total / (config.samples_per_chain * config.thinning)


def _with_detail(
    key: jax.Array,
    latents: jax.Array,
    mean: jax.Array,
    state: MCEMState,
    problem: Problem,
    config: DeblurConfig,
    model: Model,
    axis_name: str | None,
) -> Samples:
    """Adds the detail's posterior: a draw to every sample, its mean to the mean.

    The detail's mean is linear in T_f's image, so the mean over samples needs one solution only.
    """
    images = latents
    if config.detail_std:
        posterior = detail.DetailModel(
            model.blur,
            state.kernels,
            problem.weight,
            state.noise_std,
            detail.expected(problem, config).detail_std,
            config.detail_iterations,
        )
        keys = jax.random.split(key, config.num_chains * config.samples_per_chain)
        keys = _own_share(keys, axis_name)
        mean = mean + detail.mean(posterior, problem.photo, mean)
        latents = lax.map(
            lambda pair: pair[1] + detail.draw(pair[0], posterior, problem.photo, pair[1]),
            (keys, latents),
        )
    variance = axis_mean(jnp.mean((latents - mean[None]) ** 2, 0), axis_name)
    return Samples(
        images, latents, mean, uncertainty.local_mean(variance) if config.detail_std else variance
    )


def _own_share(x: jax.Array, axis_name: str | None) -> jax.Array:
    """This member's equal share of the rows of x."""
    if not axis_name:
        return x
    rows = x.shape[0] // lax.axis_size(axis_name)
    return lax.dynamic_slice_in_dim(x, lax.axis_index(axis_name) * rows, rows)
