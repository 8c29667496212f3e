"""How near is T_f's gradient step, and an EM step, to what this machine can do at best?

    python -m benchmarks.speed.roofline [--size=256] [--channels=64]

Counts FLOPs and bytes from the network's shapes and measures the machine: the rate of a 1024x1024
matrix product, and the rate of adding to an array larger than the caches. A step's floor is the
larger of FLOPs / rate and bytes / bandwidth; docs/performance.md says what is counted. XLA's own
count (cost_analysis) stands beside it; it does not see into the library that multiplies, where XLA
uses one.
"""

import sys

import jax
import jax.numpy as jnp

from benchmarks import common
from dem_jax.config import DeblurConfig, ImageNetworkConfig

BYTES = 4


def convolutions(size, channels, levels, inputs, colours=1, skip=16):
    """(pixels, kernel width, inputs, outputs) of T_f's convolutions."""
    width = inputs
    for level in range(levels):
        fine, coarse = ((-(-size // 2 ** (level + i))) ** 2 for i in (0, 1))
        yield fine, 1, width, skip
        yield fine, 3, skip, channels
        yield fine, 1, channels, channels
        yield coarse, 3, width, channels
        yield coarse, 3, channels, channels
        yield coarse, 3, channels, channels
        width = channels
    yield size**2, 1, channels, colours


def step_cost(*shape):
    """(FLOPs, bytes) of a gradient step.

    FLOPs: 2 a multiplication, three convolutions' worth each (value, derivative by the input and by
    the kernel). Bytes: every convolution reads its input and writes its output three times over,
    and every output is normalised: read for the mean, for the variance and for the value, and read
    with its derivative twice on the way back, written once each way. Nothing is counted that could
    stay in a cache: kernels, moments, per-channel numbers.
    """
    flops = traffic = 0.0
    for pixels, n, inputs, outputs in convolutions(*shape):
        flops += 3 * 2 * pixels * n * n * inputs * outputs
        traffic += BYTES * pixels * (3 * (inputs + outputs) + 9 * outputs)
    return flops, traffic


def machine(rounds):
    """FLOP/s of a matrix product, and bytes/s of adding to an array larger than the caches."""
    a = jnp.ones((1024, 1024))
    x = jnp.ones(2**25)
    programs = {
        "product": (common.compiled(lambda a: a @ a, a), a, 2 * 1024**3),
        "sum": (
            common.compiled(
                lambda x: jax.lax.scan(lambda y, _: (y + 1.0, None), x, None, length=8)[0], x
            ),
            x,
            8 * 2 * x.nbytes,
        ),
    }
    runs = {name: common.ready(program, value) for name, (program, value, _) in programs.items()}
    times = common.take_turns(runs, rounds)
    return {name: programs[name][2] / min(t.wall) for name, t in times.items()}


def em_cost(config, size, flops, traffic):
    """FLOPs and bytes of an EM iteration: its Langevin steps, and the transforms of its M-step."""
    steps = config.num_chains * (config.burn_in + config.samples_per_chain * config.thinning)
    samples = config.num_chains * config.samples_per_chain
    pixels = (size + config.kernel_size) ** 2
    # 2.5 n log2 n a real transform; by step 2 of kernels, 2 of every sample; as many bytes thrice.
    transforms = config.m_steps * (2 + 2 * samples)
    transforms += config.detail_iterations * (1 + samples) * 4
    flops = steps * flops + transforms * 2.5 * pixels * jnp.log2(pixels)
    return steps, float(flops), steps * traffic + transforms * 3 * BYTES * pixels


def main():
    args = common.arguments(__doc__, size=256, channels=64, levels=5, inputs=10, rounds=10)
    network = ImageNetworkConfig(channels=args.channels, levels=args.levels)
    flops, traffic = step_cost(args.size, args.channels, args.levels, args.inputs)
    step, state = common.gradient_step(args.size, network, inputs=args.inputs)
    program = common.compiled(common.scanned(step, 2), state)
    times = common.take_turns({"step": common.ready(program, state)}, args.rounds, {"step": 2})
    rates = machine(args.rounds)
    by_flops, by_bytes = flops / rates["product"], traffic / rates["sum"]
    floor = max(by_flops, by_bytes)
    best = min(times["step"].wall)
    config = DeblurConfig(image_network=network)
    steps, em_flops, em_traffic = em_cost(config, args.size, flops, traffic)
    em_floor = max(em_flops / rates["product"], em_traffic / rates["sum"])
    analysis = program.cost_analysis() or {}
    rows = [
        ["matrix product, GFLOP/s", rates["product"] / 1e9],
        ["sum of arrays, GB/s", rates["sum"] / 1e9],
        ["gradient step, GFLOP", flops / 1e9],
        ["  XLA's count, GFLOP", analysis.get("flops", float("nan")) / 1e9],
        ["gradient step, GB", traffic / 1e9],
        ["  XLA's count, GB", analysis.get("bytes accessed", float("nan")) / 1e9],
        ["floor by FLOPs, ms", 1e3 * by_flops],
        ["floor by bytes, ms", 1e3 * by_bytes],
        ["measured in lax.scan, best, ms", 1e3 * best],
        ["measured over floor", best / floor],
        [f"EM iteration ({steps} Langevin steps), GFLOP", em_flops / 1e9],
        ["EM iteration, GB", em_traffic / 1e9],
        ["EM iteration, floor, s", em_floor],
    ]
    print(common.table(["what", "value"], rows))


if __name__ == "__main__":
    sys.exit(main())
