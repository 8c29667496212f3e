"""The sampler alone, on a log density and a pytree of one's own: Bayesian linear regression.

python examples/langevin_on_any_density.py
"""

import jax
import jax.numpy as jnp

import dem_jax

NOISE_STD = 0.3


def log_posterior(weights: dict, x: jax.Array, y: jax.Array) -> jax.Array:
    """Of slope and offset, with standard normal priors; [] nats up to a constant."""
    residual = y - weights["slope"] * x - weights["offset"]
    prior = -0.5 * (weights["slope"] ** 2 + weights["offset"] ** 2)
    return prior - 0.5 * jnp.sum(residual**2) / NOISE_STD**2


def main(steps: int = 20_000):
    """Draws from the posterior; prints it beside the exact one."""
    data_key, chain_key = jax.random.split(jax.random.key(0))
    x = jnp.linspace(-1, 1, 40)
    y = 0.7 * x - 0.2 + NOISE_STD * jax.random.normal(data_key, x.shape)
    sampler = dem_jax.langevin.sgld(step_size=2e-4)

    def step(state, t):
        key = jax.random.fold_in(chain_key, t)
        state, _ = sampler.step(key, state, lambda weights: log_posterior(weights, x, y))
        return state, state.position

    start = sampler.init({"slope": jnp.float32(0), "offset": jnp.float32(0)})
    _, path = jax.jit(lambda start: jax.lax.scan(step, start, jnp.arange(steps)))(start)
    path = jax.tree.map(lambda values: values[steps // 5 :], path)

    design = jnp.stack([x, jnp.ones_like(x)])
    precision = design @ design.T / NOISE_STD**2 + jnp.eye(2)
    exact = jnp.linalg.solve(precision, design @ y / NOISE_STD**2)
    deviation = jnp.sqrt(jnp.diag(jnp.linalg.inv(precision)))
    for i, name in enumerate(("slope", "offset")):
        print(
            f"{name}: {path[name].mean():.3f} +- {path[name].std():.3f}, "
            f"exact {exact[i]:.3f} +- {deviation[i]:.3f}"
        )
    return path, exact, deviation


if __name__ == "__main__":
    main()
