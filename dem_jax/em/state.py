"""What travels through Monte Carlo EM: the state, and what its functions share.

`init` makes the state before the first iteration. The examples' `problem` and `config` are those of
`mcem`.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import lax

from dem_jax.config import DeblurConfig
from dem_jax.em import langevin
from dem_jax.model import promotion
from dem_jax.model.paper_model import paper_model
from dem_jax.types import Model, Problem, PyTree


class MCEMState(NamedTuple):
    """What travels from one EM iteration to the next."""

    chains: Any  # sampler states, every leaf [S, ...]
    theta_k: PyTree  # what the kernels are a function of, such as the weights of T_K
    kernels: jax.Array  # [P, k, k] = T_K(theta_K, z~)
    noise_std: jax.Array  # [] the likelihood's s
    mean: jax.Array  # [H+k-1, W+k-1, C] posterior mean of the latent image
    iteration: jax.Array  # [] E-steps so far


class Context(NamedTuple):
    """What every function of an EM iteration needs, and none of them changes."""

    problem: Problem
    config: DeblurConfig
    model: Model
    sampler: langevin.Sampler
    axis_name: str | None  # mapped axis that the chains are divided over, if any

    def average(self, x: jax.Array) -> jax.Array:
        """Mean of x, [...], over the members of the axis; x itself where there is none."""
        return lax.pmean(x, self.axis_name) if self.axis_name else x


def context(
    problem: Problem,
    config: DeblurConfig,
    *,
    model: Model | None = None,
    sampler: langevin.Sampler | None = None,
    axis_name: str | None = None,
) -> Context:
    """The paper's model and the sampler that `config` names, unless others are given.

    >>> context(problem, config).model.image._fields
    ('init', 'image')
    """
    model = model or paper_model(config)
    return Context(problem, config, model, sampler or named_sampler(config), axis_name)


def named_sampler(config: DeblurConfig) -> langevin.Sampler:
    """The Langevin sampler that `config` names; its step size decays by a cosine over the run.

    >>> named_sampler(DeblurConfig(sampler="sgld")).init(jnp.zeros(3)).position.shape
    (3,)
    """
    per_iteration = config.burn_in + config.samples_per_chain * config.thinning
    step_size = optax.schedules.cosine_decay_schedule(
        config.step_size, max(config.em_iterations, 1) * per_iteration, alpha=0.05
    )
    if config.sampler == "noisy_adam":
        return langevin.noisy_adam(step_size, noise_scale=config.temperature)
    make = {"sgld": langevin.sgld, "psgld": langevin.psgld}[config.sampler]
    return make(step_size, temperature=config.temperature)


@promotion.standard
def init(
    key: jax.Array,
    problem: Problem,
    config: DeblurConfig,
    *,
    model: Model | None = None,
    sampler: langevin.Sampler | None = None,
) -> MCEMState:
    """Draws theta_f for every chain, and theta_K so that it gives the start's kernels.

    Args:
      key: random key, consumed.
      problem: the photo [H, W, C] and what stays fixed, from `prepare`.
      config: static under jit.
      model: priors on image and kernels, and the blur; None: the paper's.
      sampler: of the chains; None: the one that `config` names.

    Returns:
      The state before the first iteration.

    >>> jax.eval_shape(lambda k, p: init(k, p, config), key, problem).kernels.shape
    (1, 5, 5)
    """
    em = context(problem, config, model=model, sampler=sampler)
    image_key, kernel_key = jax.random.split(key)

    def chain(key):
        return em.sampler.init(em.model.image.init(key, problem))

    theta_k = em.model.kernels.init(kernel_key, problem)
    return MCEMState(
        chains=jax.vmap(chain)(jax.random.split(image_key, config.num_chains)),
        theta_k=theta_k,
        kernels=em.model.kernels.kernels(theta_k, problem),
        noise_std=problem.noise_std,
        mean=problem.start_latent,
        iteration=jnp.zeros((), jnp.int32),
    )
