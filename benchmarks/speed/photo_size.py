"""What does a photo cost in time and memory, by its size?

    python -m benchmarks.speed.photo_size [--sizes=128,256,512,1024] [--wide] [--channels=64]

T_f's gradient step in lax.scan, per pixel; then whole grey photos with uniform blur through
dem_jax.main, each in a process of its own: a tenth of quickstart's steps and two EM iterations, of
which the second is timed, and the process's peak memory. --wide adds a colour photo of 1280x720
pixels with non-uniform blur. benchmarks/NOTEBOOK.md has a measured table.
"""

import pathlib
import sys
import tempfile

from benchmarks import common
from dem_jax.config import ImageNetworkConfig

FEW_STEPS = (
    *("--em_iterations=2", "--burn_in=4", "--samples_per_chain=2", "--thinning=1"),
    *("--m_steps=5", "--detail_iterations=3"),
)
LENGTH = 2  # steps in a scan


def steps(args):
    """Rows of T_f's step by size, and the growth of its cost per pixel from 256 to the largest."""
    runs, memory = {}, {}
    for size in common.numbers(args.sizes):
        config = ImageNetworkConfig(channels=args.channels, levels=args.levels)
        step, state = common.gradient_step(size, config)
        program = common.compiled(common.scanned(step, LENGTH), state)
        runs[size] = common.ready(program, state)
        memory[size] = common.megabytes(program)
    times = common.take_turns(runs, args.rounds, dict.fromkeys(runs, LENGTH))
    rows = []
    for size, t in times.items():
        nanoseconds = [1e9 * seconds / size**2 for seconds in (t.median, min(t.processor))]
        rows.append([size, t.median, *nanoseconds, memory[size], 1e6 * memory[size] / size**2])
    columns = ["size", "s", "ns a pixel", "processor ns a pixel", "MB", "bytes a pixel"]
    print(common.table(columns, rows) + "\n")
    sizes = common.numbers(args.sizes)
    if 256 in sizes and sizes[-1] > 256:
        ratio = times[sizes[-1]].over(times[256]) * (256 / sizes[-1]) ** 2
        print(common.bar(f"T_f step per pixel, {sizes[-1]} over 256", ratio, 1.3))


def photo(folder, shape, *flags, colour=False):
    """One whole run: a row of the table, and its peak memory in bytes."""
    name = f"{shape[1]}x{shape[0]}"
    _, shaken = common.shaken_picture(folder / name, shape, colour=colour)
    run = common.deblur(folder / name / "out", f"--input={shaken}", *FEW_STEPS, *flags)
    pixels = shape[0] * shape[1]
    first, second = (line["seconds"] for line in run["metrics"])
    seconds = run["timings_seconds"]
    cells = [seconds["warm_start"], seconds["compile"], second - first]
    cells += [1e6 * (second - first) / pixels, run["peak_memory_mb"]]
    return [name, " ".join(flags), *cells], run["peak_memory_mb"] * 2**20


def main():
    args = common.arguments(
        __doc__,
        sizes="128,256,512,1024",
        channels=64,
        levels=5,
        rounds=3,
        steps=True,
        photos=True,
        wide=False,
    )
    if args.steps:
        steps(args)
    rows, bars = [], []
    network = f"--image_network.channels={args.channels}", f"--image_network.levels={args.levels}"
    with tempfile.TemporaryDirectory() as text:
        folder = pathlib.Path(text)
        for size in common.numbers(args.sizes) if args.photos else []:
            rows.append(photo(folder, (size, size), "--blur=uniform", *network)[0])
        if args.wide:
            row, peak = photo(folder, (720, 1280), "--blur=nonuniform", *network, colour=True)
            rows.append(row)
            what = "1280x720 colour, non-uniform, peak of the process"
            bars.append(common.bar(what, peak / 1e9, 8, "GB"))
    columns = ["photo", "flags", "warm start s", "waited to compile s", "EM iteration s"]
    if rows:
        print("\n" + common.table([*columns, "us a pixel", "peak MiB"], rows), *bars, sep="\n")


if __name__ == "__main__":
    sys.exit(main())
