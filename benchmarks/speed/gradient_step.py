"""What does one gradient step of T_f cost, against PyTorch, and inside lax.scan?

    python -m benchmarks.speed.gradient_step --torch_python=/path/to/python/with/torch

Value, gradient and Adam update of the image network (5 levels x 64 channels, 256x256 by default);
the same network in PyTorch (torch_unet.py, channels_last) in a process of its own. The contestants
take turns, `--rounds` times, so that a busy machine disturbs all of them; a ratio is the median of
the rounds' ratios. Processor time is that of all threads: it depends less on the neighbours.
Without --torch_python PyTorch is left out.

Outside the scan every step pays page faults for its buffers, which XLA:CPU takes from the system
anew; a chain is a scan and does not. benchmarks/NOTEBOOK.md has a measured table.
"""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks import common
from dem_jax.config import ImageNetworkConfig

SCAN_LENGTH = 4


class Torch:
    """The PyTorch process: a call is one round, and records its median step in seconds."""

    def __init__(self, args):
        script = Path(__file__).with_name("torch_unet.py")
        flags = [f"--{n}={getattr(args, n)}" for n in ("size", "channels", "levels", "inputs")]
        command = [args.torch_python, str(script), *flags]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)
        print(f"PyTorch's network: {self.process.stdout.readline().strip()} parameters")
        self.times = common.Times([], [])

    def __call__(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        wall, processor = map(float, self.process.stdout.readline().split())
        self.times.wall.append(wall)
        self.times.processor.append(processor)


def contestants(args) -> dict[str, Callable]:
    config = ImageNetworkConfig(channels=args.channels, levels=args.levels)
    step, state = common.gradient_step(args.size, config, inputs=args.inputs)
    work = {"step": step, "scan": common.scanned(step, SCAN_LENGTH)}
    runs = {}
    for name, function in work.items():
        program = common.compiled(function, state)
        print(f"{name}: {common.megabytes(program):.0f} MB beside arguments and results")
        runs[name] = common.ready(program, state)
    return runs


def main():
    args = common.arguments(
        __doc__, size=256, channels=64, levels=5, inputs=10, rounds=7, torch_python=""
    )
    runs = contestants(args)
    torch = Torch(args) if args.torch_python else None
    if torch:
        runs["torch"] = torch
    times = common.take_turns(runs, args.rounds, {"scan": SCAN_LENGTH})
    if torch:
        times["torch"] = common.Times(*(kind[1:] for kind in torch.times))
    rows = []
    for name, t in times.items():
        ratios = [t.over(times["step"])]
        ratios += [t.over(times["torch"]), t.processor_over(times["torch"])] if torch else ["", ""]
        milliseconds = [1e3 * s for s in (t.median, min(t.wall), min(t.processor))]
        rows.append([name, *milliseconds, *ratios])
    columns = ["one step of", "median ms", "best ms", "processor ms", "to step", "to torch"]
    print("\n" + common.table([*columns, "to torch (processor)"], rows))
    print(common.bar("T_f step in lax.scan over outside", times["scan"].over(times["step"]), 1.1))
    if torch:
        for name in ("step", "scan"):
            what = f"T_f {name} over PyTorch's step (goal 0.8)"
            print(common.bar(what, times[name].over(times["torch"]), 1.0))


if __name__ == "__main__":
    sys.exit(main())
