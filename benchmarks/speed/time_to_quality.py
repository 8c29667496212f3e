"""How good is the result after how many seconds, for quickstart, best and paper?

    python -m benchmarks.speed.time_to_quality --data=LEVIN [--flagfiles=quickstart,best,paper]
        [--iterations=N]

Runs dem_jax.main on Levin's im1_kernel1 with its truth (LEVIN holds blurry/ and sharp/; without
--data on a shaken picture) and prints the PSNR of the posterior mean over the seconds since the
start, compilation left out, and when each level was first reached. --iterations stops EM after so
many (step sizes decay over the whole run, so that a shorter run is also a quicker schedule).
"""

import pathlib
import sys
import tempfile

from benchmarks import common

LEVELS = (30.0, 31.0, 32.0, 33.0, 34.0)


def points(run):
    """(seconds, PSNR) of the warm start and of every logged EM iteration."""
    before = run["timings_seconds"]["warm_start"] - run["timings_seconds"]["compile"]
    yield max(before, 0.0), run["psnr"]["warm_start"]
    for line in run["metrics"]:
        yield max(before, 0.0) + line["seconds"], line["psnr"]


def main():
    args = common.arguments(__doc__, data="", flagfiles="quickstart,best,paper", iterations=0)
    curves = {}
    with tempfile.TemporaryDirectory() as text:
        folder = pathlib.Path(text)
        photo = common.photo_flags(args.data, folder)
        more = [f"--em_iterations={args.iterations}"] if args.iterations else []
        for name in args.flagfiles.split(","):
            # The photo has one kernel throughout, so every flagfile may know that.
            flags = [f"--flagfile={name}", "--blur=uniform", *photo, *more]
            curves[name] = list(points(common.deblur(folder / name, *flags)))
    rows = []
    for name, curve in curves.items():
        reached = [
            next((seconds for seconds, psnr in curve if psnr >= level), "") for level in LEVELS
        ]
        rows.append([name, *reached, curve[-1][0], f"{curve[-1][1]:.2f}"])
    columns = ["flagfile", *(f"s to {level:.0f} dB" for level in LEVELS), "s in all", "dB at last"]
    print(common.table(columns, rows) + "\n")
    rows = [[n, f"{s:.1f}", f"{psnr:.2f}"] for n, curve in curves.items() for s, psnr in curve]
    print(common.table(["flagfile", "s", "PSNR in dB"], rows))


if __name__ == "__main__":
    sys.exit(main())
