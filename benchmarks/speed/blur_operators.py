"""What do the blur operators cost, by photo, kernel and grid, and what does the FFT save?

    python -m benchmarks.speed.blur_operators [--sizes=256,512] [--kernels=15,31,61] [--direct]

Grey photos. "blur" is one jitted call. "with gradients" is one step of gradient descent on a sum of
squares in both arguments, inside a lax.scan, as the M-step runs it. Ratios are to uniform blur with
the same photo and kernel; memory is what XLA sets aside for the scan beyond arguments and results.
Medians over interleaved repeats. --step adds T_f's gradient step (64 channels) at the last size, of
which a uniform blur with gradients is to be a small part. benchmarks/NOTEBOOK.md has a
measured table; on a busy machine whole patches (one transform of two hops plus kernel each)
instead of quarters took 1.1 to 1.4 times as long.
"""

import sys

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import common
from dem_jax.config import ImageNetworkConfig
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
    rng = np.random.default_rng(common.SEED)
    kernels = rng.uniform(size=(patches, k, k)).astype(np.float32)
    latent = rng.uniform(size=(size + k - 1, size + k - 1, 1)).astype(np.float32)
    photo = rng.uniform(size=(size, size, 1)).astype(np.float32)
    return tuple(map(jnp.asarray, (kernels / kernels.sum((1, 2), keepdims=True), latent, photo)))


def programs(operator, size, k, patches):
    """The blur, and STEPS steps of gradient descent, compiled; and their unknowns."""
    kernels, latent, photo = problem(size, k, patches)

    def loss(unknowns):
        return jnp.sum((operator(*unknowns) - photo) ** 2)

    def descend(unknowns, _):
        return jax.tree.map(lambda x, g: x - 1e-9 * g, unknowns, jax.grad(loss)(unknowns)), None

    unknowns = kernels, latent
    blurring = common.compiled(lambda unknowns: operator(*unknowns), unknowns)
    return blurring, common.compiled(common.scanned(descend, STEPS), unknowns), unknowns


def measured(size, k, with_direct, rounds, extra=None, grids=GRIDS):
    """Name -> (times of the blur, times of a step with gradients, MB)."""
    operators = {
        "uniform" if g == (1, 1) else f"{g[0]}x{g[1]}": (blur.blur_operator(g), g[0] * g[1])
        for g in grids
    }
    if with_direct:
        operators["direct"] = direct, 1
    runs, memory = dict(extra or {}), {}
    for name, (operator, patches) in operators.items():
        blurring, descent, unknowns = programs(operator, size, k, patches)
        runs[name, "blur"] = common.ready(blurring, unknowns)
        runs[name, "gradients"] = common.ready(descent, unknowns)
        memory[name] = common.megabytes(descent)
    units = {run: STEPS for run in runs if run[1] == "gradients"}
    times = common.take_turns(runs, rounds, units)
    return times, memory


def main():
    args = common.arguments(
        __doc__, sizes="256,512", kernels="15,31,61", direct=False, step=False, rounds=10
    )
    sizes, rows, bars = common.numbers(args.sizes), [], []
    for size in sizes:
        for k in common.numbers(args.kernels):
            extra = {}
            if args.step and (size, k) == (sizes[-1], 31):
                step, state = common.gradient_step(size, ImageNetworkConfig())
                program = common.compiled(common.scanned(step, 1), state)
                extra[("T_f", "step")] = common.ready(program, state)
            times, memory = measured(size, k, args.direct, args.rounds, extra)
            first = times["uniform", "blur"], times["uniform", "gradients"]
            for name, megabytes in memory.items():
                both = times[name, "blur"], times[name, "gradients"]
                cells = [x for t, f in zip(both, first, strict=True) for x in (t, t.over(f))]
                cells = [1e3 * x.median if isinstance(x, common.Times) else x for x in cells]
                rows.append([size, k, name, *cells, megabytes])
            if k == 31:
                ratio = times["5x5", "gradients"].over(first[1])
                bars.append(common.bar(f"filter flow 5x5 over uniform, {size}, k = 31", ratio, 6))
            for step in extra:
                what = f"uniform blur with gradients over T_f's step, {size}, k = 31"
                bars.append(common.bar(what, first[1].over(times[step]), 0.15))
    columns = ["photo", "k", "operator", "blur ms", "ratio", "with gradients ms", "ratio", "MB"]
    print(common.table(columns, rows), *bars, sep="\n")


if __name__ == "__main__":
    sys.exit(main())
