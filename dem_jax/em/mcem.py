"""Monte Carlo EM: g is observed, theta_f is latent, theta_K is the parameter.

    E-step:  theta_f^i ~ p(theta_f | g; theta_K^{t-1}), i = 1..n_s, by Langevin chains    (1), (4)
    M-step:  theta_K^t = argmax (1/n_s) sum_i log p(g | theta_f^i; theta_K)               (2), (3)

(numbers: the paper's equations). n_s = num_chains x samples_per_chain: S chains run in parallel
(vmap, or one after the other with the same numbers), each a scan of Langevin steps. Only images
travel from the E-step to the M-step, so the M-step never differentiates T_f. Shapes: H, W photo, C
channels, P patches, k kernel size, S chains, n = n_s; the latent image is [H+k-1, W+k-1, C].

Chains may lie on several devices: where `axis_name` names a mapped axis (jax.shard_map, jax.pmap,
jax.vmap), every member of it holds an equal share of the S chains and the means over samples are
means over the axis too. `em.sharded` does this; the numbers are those of one device.

`init` and `step` take the model (`types.Model`) and the sampler (`langevin.Sampler`) as objects;
None are the paper's model and the sampler that the configuration names.

The functions' examples tell shapes, of a `problem` and a `state` made like this:

    from dem_jax.start.problem import prepare
    config = DeblurConfig(kernel_size=5, num_chains=2, samples_per_chain=3)
    key, photo = jax.random.key(0), jnp.zeros((32, 40, 3))
    problem = prepare(key, photo, config)
    state = init(key, problem, config)

Source: Li, Wang, Nan, Ji: Self-supervised Blind Motion Deblurring with Deep Expectation
Maximization, CVPR 2023.
"""

import jax
import jax.numpy as jnp
from jax import lax

from dem_jax.config import DeblurConfig
from dem_jax.em import langevin
from dem_jax.em.e_step import Samples, e_step, log_posterior
from dem_jax.em.m_step import m_step
from dem_jax.em.state import Context, MCEMState, context, init, named_sampler
from dem_jax.model import likelihood, promotion
from dem_jax.model.paper_model import paper_model
from dem_jax.types import EMInfo, Model, Problem, PyTree

__all__ = [
    "MCEMState",
    "Samples",
    "e_step",
    "init",
    "log_posterior",
    "m_step",
    "named_sampler",
    "paper_model",
    "step",
]


@promotion.standard
def step(
    key: jax.Array,
    state: MCEMState,
    problem: Problem,
    config: DeblurConfig,
    *,
    model: Model | None = None,
    sampler: langevin.Sampler | None = None,
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
      model: priors on image and kernels, and the blur; None: the paper's.
      sampler: of the chains; None: the one that `config` names.
      axis_name: mapped axis that the chains are divided over, if any; all else is alike on it.

    Returns:
      The next state, and what the iteration reports.

    >>> state, info = jax.eval_shape(lambda k, s, p: step(k, s, p, config), key, state, problem)
    >>> state.mean.shape, info.residual_std.shape
    ((36, 44, 3), ())
    """
    em = context(problem, config, model=model, sampler=sampler, axis_name=axis_name)
    chains, samples = e_step(
        key, state, problem, config, model=em.model, sampler=em.sampler, axis_name=axis_name
    )
    power = _residual_power(samples.latents, state.kernels, em)
    noise_std = state.noise_std
    if not config.noise_std:
        # The M-step's own optimum for s: samples carry the posterior's spread, so it is not biased.
        noise_std = jnp.maximum(jnp.sqrt(power), likelihood.QUANTISATION_STD)
    iteration = state.iteration + 1
    theta_k, kernels = state.theta_k, state.kernels
    if em.model.kernels.update is not None:
        theta_k, kernels = lax.cond(
            iteration < config.em_iterations,
            lambda: _maximise(theta_k, samples, power, em),
            lambda: (theta_k, kernels),
        )
    info = EMInfo(
        negative_log_likelihood=0.5 * power / state.noise_std**2
        + jnp.log(state.noise_std * jnp.sqrt(2 * jnp.pi)),
        residual_std=jnp.sqrt(power),
        noise_std=state.noise_std,
        kernel_change=jnp.sum(jnp.abs(kernels - state.kernels)) / kernels.shape[0],
        finite=jnp.isfinite(power) & jnp.all(jnp.isfinite(kernels)),
    )
    new = MCEMState(chains, theta_k, kernels, noise_std, samples.mean, iteration)
    return new, info


def _residual_power(latents: jax.Array, kernels: jax.Array, em: Context) -> jax.Array:
    """[] mean of |g - A(K) f|^2 over samples, weighted pixels and channels."""
    problem = em.problem
    residuals = jax.vmap(lambda f: problem.photo - em.model.blur(kernels, f))(latents)
    count = jnp.maximum(jnp.sum(problem.weight) * problem.photo.shape[-1], 1)
    power = jnp.sum(problem.weight[..., None] * jnp.mean(residuals**2, 0)) / count
    return em.average(power)


def _maximise(
    theta_k: PyTree, samples: Samples, power: jax.Array, em: Context
) -> tuple[PyTree, jax.Array]:
    """The M-step on T_f's images and the part of their detail that is believed.

    The detail explains what T_f leaves over by the present kernels, and so holds their errors, too.
    It is believed as far as `power` [], what is left over in the end, is the photo's noise.
    """
    own, believed = samples.network_images, jnp.minimum(1, em.problem.noise_std**2 / power)
    images = own + believed * (samples.latents - own)
    theta_k = m_step(theta_k, images, em.problem, em.config, model=em.model, average=em.average)
    return theta_k, em.model.kernels.kernels(theta_k, em.problem)
