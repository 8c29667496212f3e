"""What do tf32 and bfloat16 cost in dB, and gain in seconds?

    python -m benchmarks.speed.precision [--size=128] [--channels=32]

T_f's gradient step in lax.scan under each precision, and a shaken picture whose shake is known:
quickstart through dem_jax.main with --precision. Parameters, moments, noise and the likelihood stay
in float32 under all of them. tf32 acts on GPUs alone: XLA:CPU computes in float32. bfloat16 rounds
what convolutions take and give, on every platform, and is no faster where the processor has no such
arithmetic.
"""

import pathlib
import sys
import tempfile

import jax

from benchmarks import common
from dem_jax.config import ImageNetworkConfig
from dem_jax.runtime.scale import devices

LENGTH = 4


def main():
    args = common.arguments(
        __doc__, size=128, channels=32, rounds=5, flagfile="quickstart", flags=""
    )
    runs = {}
    for name, precision in devices.PRECISIONS.items():
        with jax.default_matmul_precision(precision):
            config = ImageNetworkConfig(channels=args.channels, bfloat16=name == "bfloat16")
            step, state = common.gradient_step(args.size, config)
            program = common.compiled(common.scanned(step, LENGTH), state)
        runs[name] = common.ready(program, state)
    times = common.take_turns(runs, args.rounds, dict.fromkeys(runs, LENGTH))
    rows = []
    with tempfile.TemporaryDirectory() as text:
        folder = pathlib.Path(text)
        sharp, shaken = common.shaken_picture(folder, (args.size, args.size))
        flags = [f"--flagfile={args.flagfile}", f"--input={shaken}", f"--ground_truth={sharp}"]
        for name, t in times.items():
            run = common.deblur(folder / name, *flags, *args.flags.split(), f"--precision={name}")
            ratio = t.over(times["float32"])
            rows.append([name, 1e3 * t.median, ratio, f"{run['psnr']['result']:.2f}"])
            rows[-1] += [f"{run['psnr']['blurred']:.2f}", run["timings_seconds"]["em"]]
    columns = ["precision", "step ms", "to float32", "PSNR dB", "blurred dB", "EM s"]
    print(common.table(columns, rows))


if __name__ == "__main__":
    sys.exit(main())
