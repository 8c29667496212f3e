"""What do the blur operators cost, by photo, kernel and grid, and what does the FFT save?

    python benchmarks/blur_operators.py [--sizes 256,512] [--kernels 15,31,61] [--direct]

Grey photos. "blur" is one jitted call. "with gradients" is one step of gradient descent on a sum of
squares in both arguments, inside a lax.scan, as the M-step runs it. Ratios are to uniform blur with
the same photo and kernel; memory is what XLA sets aside for the scan beyond arguments and
results. Medians over interleaved repeats, so that a busy machine hurts all rows alike.

Typical output (2 shared cores, jax 0.10.2; direct with --direct --kernels 31):

| photo | k | operator | blur ms | ratio | with gradients ms | ratio | MB |
|---|---|---|---|---|---|---|---|
| 512 | 15 | uniform | 6.53 | 1.0 | 9.85 | 1.0 | 5 |
| 512 | 15 | 2x2 | 6.85 | 1.0 | 16.66 | 1.7 | 11 |
| 512 | 15 | 3x4 | 10.24 | 1.6 | 22.38 | 2.3 | 15 |
| 512 | 15 | 5x5 | 12.84 | 2.0 | 31.91 | 3.2 | 20 |
| 512 | 15 | 6x8 | 11.64 | 1.8 | 45.51 | 4.6 | 23 |
| 512 | 31 | uniform | 3.91 | 1.0 | 8.21 | 1.0 | 5 |
| 512 | 31 | 2x2 | 9.50 | 2.4 | 16.76 | 2.0 | 14 |
| 512 | 31 | 3x4 | 12.85 | 3.3 | 21.85 | 2.7 | 21 |
| 512 | 31 | 5x5 | 14.50 | 3.7 | 27.30 | 3.3 | 28 |
| 512 | 31 | 6x8 | 13.97 | 3.6 | 39.24 | 4.8 | 36 |
| 512 | 31 | direct | 165.11 | 42.3 | 398.90 | 48.6 | 2 |
| 512 | 61 | uniform | 11.57 | 1.0 | 6.92 | 1.0 | 5 |
| 512 | 61 | 2x2 | 9.78 | 0.8 | 19.04 | 2.8 | 19 |
| 512 | 61 | 3x4 | 13.88 | 1.2 | 30.38 | 4.4 | 32 |
| 512 | 61 | 5x5 | 19.99 | 1.7 | 61.76 | 8.9 | 46 |
| 512 | 61 | 6x8 | 34.60 | 3.0 | 99.23 | 14.3 | 61 |

Whole patches (one transform of two hops plus kernel each) instead of quarters took 1.1 to 1.4 times
as long, except where kernels are wider than patches (256, k = 61, 6x8: 0.8).
"""

import argparse
import statistics
import time

import jax
import jax.numpy as jnp
import numpy as np

from dem_jax.model import blur

STEPS = 5
GRIDS = [(1, 1), (2, 2), (3, 4), (5, 5), (6, 8)]


def direct(kernels, latent):
    """Uniform blur of a grey photo without a transform."""
    return jax.lax.conv_general_dilated(
        latent[None],
        kernels[0, ::-1, ::-1, None, None],
        (1, 1),
        "VALID",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        precision="highest",
    )[0]


def problem(size, k, patches):
    rng = np.random.default_rng(0)
    kernels = rng.uniform(size=(patches, k, k)).astype(np.float32)
    latent = rng.uniform(size=(size + k - 1, size + k - 1, 1)).astype(np.float32)
    photo = rng.uniform(size=(size, size, 1)).astype(np.float32)
    return tuple(map(jnp.asarray, (kernels / kernels.sum((1, 2), keepdims=True), latent, photo)))


def compiled(operator, arguments):
    """The blur, and STEPS steps of gradient descent, compiled."""
    kernels, latent, photo = arguments

    def loss(unknowns):
        return jnp.sum((operator(*unknowns) - photo) ** 2)

    def descend(unknowns, _):
        return jax.tree.map(lambda x, g: x - 1e-9 * g, unknowns, jax.grad(loss)(unknowns)), None

    def descent(unknowns):
        return jax.lax.scan(descend, unknowns, None, length=STEPS)[0]

    unknowns = kernels, latent
    blurring = jax.jit(lambda unknowns: operator(*unknowns)).lower(unknowns).compile()
    return (blurring, unknowns), (jax.jit(descent).lower(unknowns).compile(), unknowns)


def timed(calls, repeats):
    """Median seconds of every call, taken in turn so that a busy machine hurts all alike."""
    seconds = [[] for _ in calls]
    for repeat in range(repeats + 1):
        for i, (function, arguments) in enumerate(calls):
            start = time.perf_counter()
            jax.block_until_ready(function(arguments))
            if repeat >= 1:
                seconds[i].append(time.perf_counter() - start)
    return [statistics.median(s) for s in seconds]


def rows(size, k, with_direct, repeats):
    """One photo and kernel size: names of the operators, and their compiled calls."""
    names, calls = [], []
    for grid in GRIDS:
        names.append("uniform" if grid == (1, 1) else f"{grid[0]}x{grid[1]}")
        arguments = problem(size, k, grid[0] * grid[1])
        calls += compiled(blur.blur_operator(grid), arguments)
    if with_direct:
        names.append("direct")
        calls += compiled(direct, problem(size, k, 1))
    seconds = timed(calls, repeats)
    for i, name in enumerate(names):
        forward, gradients = seconds[2 * i], seconds[2 * i + 1] / STEPS
        memory = calls[2 * i + 1][0].memory_analysis().temp_size_in_bytes
        yield name, forward, forward / seconds[0], gradients, gradients * STEPS / seconds[1], memory


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", default="256,512")
    parser.add_argument("--kernels", default="15,31,61")
    parser.add_argument("--direct", action="store_true", help="also without transforms (slow)")
    parser.add_argument("--repeats", type=int, default=10)
    options = parser.parse_args()
    print(f"{jax.devices()[0].device_kind}, jax {jax.__version__}\n", flush=True)
    print("| photo | k | operator | blur ms | ratio | with gradients ms | ratio | MB |")
    print("|---|---|---|---|---|---|---|---|")
    for size in map(int, options.sizes.split(",")):
        for k in map(int, options.kernels.split(",")):
            for name, forward, ratio, gradients, gradient_ratio, memory in rows(
                size, k, options.direct, options.repeats
            ):
                print(
                    f"| {size} | {k} | {name} | {1e3 * forward:.2f} | {ratio:.1f} "
                    f"| {1e3 * gradients:.2f} | {gradient_ratio:.1f} | {memory / 1e6:.0f} |"
                )


if __name__ == "__main__":
    main()
