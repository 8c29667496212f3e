"""How long does a first photo take, with an empty and with a filled compile cache?

    python benchmarks/compile_time.py --data=LEVIN [--flagfile=quickstart]

Runs dem_jax.main on Levin's im1_kernel1 (LEVIN holds blurry/ and sharp/; without --data on a shaken
picture of 255 x 255 pixels) in processes of their own, first with an empty cache, then with what
that run left. "process" is the whole process, Python's start included; "compile" is what the run
had to wait for, since programs compile while earlier ones run.
"""

import pathlib
import sys
import tempfile

import common


def main():
    args = common.arguments(__doc__, data="", flagfile="quickstart")
    with tempfile.TemporaryDirectory() as text:
        folder = pathlib.Path(text)
        flags = [f"--flagfile={args.flagfile}", *common.photo_flags(args.data, folder)]
        cache = str(folder / "cache")
        runs = {
            state: common.deblur(folder / state, *flags, cache=cache) for state in ("cold", "warm")
        }
    rows = []
    for state, run in runs.items():
        seconds = run["timings_seconds"]
        cells = [seconds[stage] for stage in ("compile", "warm_start", "em", "write")]
        rows.append([state, run["seconds"], *cells, run["peak_memory_mb"], run["psnr"]["result"]])
    columns = ["cache", "process s", "compile s", "warm start s", "EM s", "write s", "peak MiB"]
    print(common.table([*columns, "PSNR"], rows))
    if args.flagfile == "quickstart":
        for state, most in (("cold", 90), ("warm", 60)):
            what = f"quickstart, 255x255, {state}"
            print(common.bar(what, runs[state]["seconds"], most, "s"))


if __name__ == "__main__":
    sys.exit(main())
