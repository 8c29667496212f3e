"""How long does a first photo take, with an empty and with a filled compile cache?

    python -m benchmarks.speed.compile_time --data=LEVIN [--flagfile=quickstart] [--options]

Runs dem_jax.main on Levin's im1_kernel1 (LEVIN holds blurry/ and sharp/; without --data on a shaken
picture of 255 x 255 pixels) in processes of their own, first with an empty cache, then with what
that run left. "process" is the whole process, Python's start included; "compile" is what the run
had to wait for, since programs compile while earlier ones run.

--options compiles the four programs for such a photo once more in this process, one after the
other, as runs do and as XLA does by itself, and prints what each takes. Processor time is that of
all threads; on a busy machine it says more than the clock's.
"""

import pathlib
import sys
import tempfile
import time

import jax
import jax.numpy as jnp

from benchmarks import common
from dem_jax.runtime import programs, sizes
from dem_jax.solver import make_solver

SIDE = 255  # pixels, of Levin's photos


def main():
    args = common.arguments(__doc__, data="", flagfile="quickstart", options=False)
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
    if args.options:
        columns = ["program", "compiled by", "processor s", "s", "MB beside arguments and results"]
        print("\n" + common.table(columns, with_and_without_options(args.flagfile)))


def with_and_without_options(flagfile):
    """Rows: every program, compiled as runs do and with XLA's defaults."""
    ways = {"runs": programs.compile_quickly, "XLA's defaults": lambda lowered: lowered.compile()}
    for name, lowered in lower(flagfile).items():
        for way, compile_ in ways.items():
            wall, processor = time.perf_counter(), time.process_time()
            program = compile_(lowered)
            wall, processor = time.perf_counter() - wall, time.process_time() - processor
            yield name, way, processor, wall, common.megabytes(program)


def lower(flagfile):
    """The solver's programs for a photo of SIDE x SIDE pixels, by name."""
    options = common.options([f"--flagfile={flagfile}", "--compilation_cache_dir="])
    shape = (SIDE, SIDE, 1)
    config = sizes.resolve(options.config, options.sizes, SIDE, SIDE, "photo")
    key, photo = jax.random.key(common.SEED), jax.ShapeDtypeStruct(shape, jnp.float32)
    solver = make_solver()
    prepare, init, finish = (
        jax.jit(function, static_argnums=2)
        for function in (solver.prepare, solver.init, solver.finish)
    )
    step = jax.jit(solver.step, static_argnums=3, donate_argnums=1)
    problem = prepare.eval_shape(key, photo, config)
    state = init.eval_shape(key, problem, config)
    return {
        "prepare": prepare.lower(key, photo, config),
        "init": init.lower(key, problem, config),
        "step": step.lower(key, state, problem, config),
        "finish": finish.lower(state, problem, config),
    }


if __name__ == "__main__":
    sys.exit(main())
