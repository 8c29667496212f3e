"""What does an E-step cost by number of chains, one after the other or side by side (vmap)?

    python -m benchmarks.speed.chains [--size=256] [--channels=64] [--counts=1,2,4] [--steps=4]

Langevin steps of T_f (psgld, as EM runs them, blur of a kernel of 31 pixels included), `--steps` of
them in lax.scan, for 1, 2 and 4 chains by lax.map and by jax.vmap. Under vmap the convolutions of
networks with different weights become grouped convolutions, which XLA:CPU computes slowly: that is
why `chain_axis` is "map" by default. benchmarks/NOTEBOOK.md has a measured table.
"""

import sys

import jax
import jax.numpy as jnp

from benchmarks import common
from dem_jax.config import DeblurConfig, ImageNetworkConfig
from dem_jax.em import mcem
from dem_jax.types import Problem


def make_problem(size: int, config: DeblurConfig) -> Problem:
    """A random photo with what belongs to it; the warm start is left out, as it costs no less."""
    keys = jax.random.split(jax.random.key(common.SEED), 3)
    k = config.kernel_size
    latent = jax.random.uniform(keys[0], (size + k - 1, size + k - 1, 1))
    photo = jax.random.uniform(keys[1], (size, size, 1))
    return Problem(
        photo=photo,
        weight=jnp.ones((size, size)),
        image_input=jax.random.uniform(keys[2], (*latent.shape[:2], 10)),
        kernel_input=jnp.ones((32, 32, 8)),
        start_latent=latent,
        start_kernels=jnp.full((1, k, k), 1 / k**2),
        noise_std=jnp.float32(0.01),
        cameras_part=jnp.float32(0.0),
        gain=jnp.float32(1.0),
    )


def e_step(args, chains: int, axis: str):
    """The compiled E-step of that many chains, ready to run, and its memory in MB."""
    config = DeblurConfig(
        num_chains=chains,
        chain_axis=axis,
        burn_in=0,
        samples_per_chain=1,
        thinning=args.steps,
        detail=False,
        image_network=ImageNetworkConfig(channels=args.channels, levels=args.levels),
    )
    problem = make_problem(args.size, config)
    key = jax.random.key(common.SEED)
    state = jax.jit(lambda: mcem.init(key, problem, config))()
    program = common.compiled(lambda state: mcem.e_step(key, state, problem, config), state)
    return common.ready(program, state), common.megabytes(program)


def main():
    args = common.arguments(
        __doc__,
        size=256,
        channels=64,
        levels=5,
        steps=4,
        counts="1,2,4",
        vmap_counts="2,4",
        rounds=3,
    )
    cases = [(n, "map") for n in common.numbers(args.counts)]
    cases += [(n, "vmap") for n in common.numbers(args.vmap_counts)]
    runs, memory = {}, {}
    for case in cases:
        runs[case], memory[case] = e_step(args, *case)
    times = common.take_turns(runs, args.rounds)
    one = times[cases[0]]
    rows = [
        [n, axis, t.median / args.steps, t.over(one), t.processor_over(one), memory[n, axis]]
        for (n, axis), t in times.items()
    ]
    columns = ["chains", "axis", "s a step of all", "to one chain", "processor time to one", "MB"]
    print(common.table(columns, rows))
    if (4, "map") in times and cases[0] == (1, "map"):
        print(common.bar("four chains over one (map)", times[4, "map"].over(one), 4.2))


if __name__ == "__main__":
    sys.exit(main())
