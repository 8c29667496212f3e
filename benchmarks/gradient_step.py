"""What does one gradient step of T_f cost, against PyTorch, inside lax.scan, and for four chains?

    python benchmarks/gradient_step.py --torch_python=/path/to/python/with/torch

Value, gradient and Adam update of the image network (5 levels x 64 channels, 256x256 by default);
the same network in PyTorch (torch_unet.py, channels_last) in a process of its own. The contestants
take turns, `--rounds` times, so that a busy machine disturbs all of them; a ratio is the median of
the rounds' ratios. Without --torch_python (or --torch_python=) PyTorch is left out.

Roofline, 256x256, 10 -> 64 channels -> 1: see `multiplications`; a step is 3 x the forward pass
(output, derivative by the input, derivative by the weights), 2 FLOPs a multiplication. The floor
is that over the machine's rate in a 1024x1024 matrix product, measured here.

Typical output, 2 cores of an EPYC (Zen 3, AVX2) shared with other work, which hurts PyTorch's
spinning threads most; take the ratios to PyTorch from an idle machine:

    step: compiled in 14.1 s, 242 MB
    scan: compiled in 19.2 s, 245 MB
    map: compiled in 33.6 s, 253 MB
    roofline: 18.6 GFLOP at 88 GFLOP/s = 212 ms
    | one step of | median ms | best ms | ratio to step | ratio to torch |
    |---|---|---|---|---|
    | step | 917 | 544 | 1.00 | 0.13 |
    | scan | 734 | 536 | 0.74 | 0.10 |
    | map | 3579 | 1920 | 3.39 | 0.46 |
    | torch | 8042 | 1061 | 7.56 | 1.00 |

Processor time does not depend on the neighbours as much: 415 ms a step inside the scan against
640 ms in PyTorch (OMP_WAIT_POLICY=PASSIVE), a ratio of 0.65; with 32 channels 225 against 245.
Outside the scan a step pays page faults for its 242 MB of buffers, about 120 ms of system time.
"""

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import optax

from dem_jax.config import ImageNetworkConfig
from dem_jax.model import image_network

SCAN_LENGTH = 4
CHAINS = 4


def multiplications(size: int, channels: int, levels: int, inputs: int, skip: int = 16) -> float:
    """Multiplications of the forward pass's convolutions."""
    total, width = 0.0, inputs
    for level in range(levels):
        fine, coarse = ((-(-size // 2 ** (level + i))) ** 2 for i in (0, 1))
        total += fine * (width * skip + 9 * skip * channels + channels**2)
        total += coarse * 9 * channels * (width + 2 * channels)
        width = channels
    return total + size**2 * channels


def contestants(args: argparse.Namespace) -> dict[str, Callable[[], None]]:
    """Name -> a function that runs and waits for one unit of work."""
    config = ImageNetworkConfig(channels=args.channels, levels=args.levels)
    keys = jax.random.split(jax.random.key(0), 3)
    z = jax.random.normal(keys[0], (args.size, args.size, args.inputs))
    target = jax.random.uniform(keys[1], (args.size, args.size, 1))
    optimiser = optax.adam(0.01)

    def step(state, _=None):
        def loss(params):
            return jnp.sum((image_network.apply(params, z, config=config) - target) ** 2)

        params, moments = state
        value, by_params = jax.value_and_grad(loss)(params)
        updates, moments = optimiser.update(by_params, moments)
        return (optax.apply_updates(params, updates), moments), value

    def scan(state):
        return jax.lax.scan(step, state, None, length=SCAN_LENGTH)

    @jax.jit
    def init(key):
        params = image_network.init(key, z, out_channels=1, config=config)
        return params, optimiser.init(params)

    one = init(keys[2])
    many = jax.tree.map(lambda x: jnp.stack([x] * CHAINS), one)
    work = {"step": (step, one), "scan": (scan, one)}
    if args.chains:
        work["map"] = (lambda s: jax.lax.map(scan, s), many)
    if args.vmap:
        work["vmap"] = (jax.vmap(scan), many)
    runs = {}
    for name, (function, state) in work.items():
        start = time.perf_counter()
        compiled = jax.jit(function).lower(state).compile()
        megabytes = compiled.memory_analysis().temp_size_in_bytes / 1e6
        print(f"{name}: compiled in {time.perf_counter() - start:.1f} s, {megabytes:.0f} MB")
        runs[name] = lambda compiled=compiled, state=state: jax.block_until_ready(compiled(state))
    return runs


class Torch:
    """The PyTorch process: call it for the median time of a step, in seconds."""

    def __init__(self, args: argparse.Namespace):
        script = Path(__file__).with_name("torch_unet.py")
        flags = [f"--{n}={getattr(args, n)}" for n in ("size", "channels", "levels", "inputs")]
        command = [args.torch_python, str(script), *flags]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)
        print(f"torch: {self.process.stdout.readline().strip()} parameters")

    def __call__(self) -> float:
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline().split()[0])


def seconds(run: Callable[[], None], repeats: int) -> float:
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def gigaflops() -> float:
    """The machine's rate in a matrix product, the best of ten."""
    a = jnp.ones((1024, 1024))
    product = jax.jit(lambda a: a @ a).lower(a).compile()
    best = min(seconds(lambda: jax.block_until_ready(product(a)), 1) for _ in range(10))
    return 2 * 1024**3 / best / 1e9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, default in (("size", 256), ("channels", 64), ("levels", 5), ("inputs", 10)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--chains", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--vmap", action="store_true", help="four chains by vmap as well (slow)")
    parser.add_argument("--torch_python", default="", help="interpreter that has torch")
    args = parser.parse_args()
    runs = contestants(args)
    units = {"step": 1, "scan": SCAN_LENGTH, "map": SCAN_LENGTH, "vmap": SCAN_LENGTH}
    torch = Torch(args) if args.torch_python else None
    rows: dict[str, list[float]] = {name: [] for name in runs}
    for run in runs.values():
        run()
    if torch:
        torch()
        rows["torch"] = []
    for _ in range(args.rounds):
        for name, run in runs.items():
            rows[name].append(seconds(run, 4 if name == "step" else 1) / units[name])
        if torch:
            rows["torch"].append(torch())
    report(args, rows)


def report(args: argparse.Namespace, rows: dict[str, list[float]]) -> None:
    flops = 6 * multiplications(args.size, args.channels, args.levels, args.inputs)
    rate = gigaflops()
    print(f"roofline: {flops / 1e9:.1f} GFLOP at {rate:.0f} GFLOP/s = {flops / rate / 1e6:.0f} ms")
    print("| one step of | median ms | best ms | ratio to step | ratio to torch |")
    print("|---|---|---|---|---|")
    for name, times in rows.items():
        cells = [f"{1e3 * statistics.median(times):.0f}", f"{1e3 * min(times):.0f}"]
        for other in ("step", "torch"):
            pairs = zip(times, rows.get(other, []), strict=False)
            ratios = [a / b for a, b in pairs]
            cells.append(f"{statistics.median(ratios):.2f}" if ratios else "")
        print(f"| {name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    sys.exit(main())
