"""Langevin chains spread over devices with `jax.shard_map`: each device runs its own chains.

Only sums over chains travel between devices, never the chains themselves.

python examples/chains_on_devices.py
"""

import functools

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec

import dem_jax


def mean_and_std(key: jax.Array, mesh: jax.sharding.Mesh, *, chains: int, steps: int):
    """Posterior mean and deviation of a skew density in two dimensions, over all chains.

    Their number is a multiple of that of the devices along the mesh's axis "chains"; the first half
    of every chain's steps is dropped.
    """
    sampler = dem_jax.langevin.sgld(step_size=0.05)

    def log_density(x):
        return -0.5 * x[0] ** 2 - 0.5 * (x[1] - 1.0 - 0.3 * x[0]) ** 2 / 0.25

    def chain(key):
        def step(state, t):
            state, _ = sampler.step(jax.random.fold_in(key, t), state, log_density)
            return state, state.position

        start = jax.random.normal(jax.random.fold_in(key, steps), (2,))
        _, path = jax.lax.scan(step, sampler.init(start), jnp.arange(steps))
        return path[steps // 2 :]

    over_chains = PartitionSpec("chains")

    @functools.partial(jax.shard_map, mesh=mesh, in_specs=over_chains, out_specs=PartitionSpec())
    def on_each_device(keys):
        samples = jax.vmap(chain)(keys).reshape(-1, 2)
        mean = jax.lax.pmean(samples.mean(0), "chains")
        variance = jax.lax.pmean(((samples - mean[None]) ** 2).mean(0), "chains")
        return mean, jnp.sqrt(variance)

    return jax.jit(on_each_device)(jax.random.split(key, chains))


def main(chains_per_device: int = 8, steps: int = 4000):
    """Runs on all devices of this host."""
    count = jax.device_count()
    mesh = jax.make_mesh((count,), ("chains",), axis_types=(jax.sharding.AxisType.Auto,))
    mean, std = mean_and_std(jax.random.key(0), mesh, chains=chains_per_device * count, steps=steps)
    print(f"{count} devices: mean {mean}, standard deviation {std}; true: [0 1], [1 0.583]")
    return mean, std


if __name__ == "__main__":
    main()
