"""How fast is dem_jax on a GPU, and where does the time go?

    python -m benchmarks.speed.gpu [--data=LEVIN] [--minutes=4] [--keep=DIR] > gpu.md
    python -m benchmarks.speed.gpu --tiny        (anywhere: whether it runs)

In turn, each table printed as soon as it is measured: what the card does at best; T_f's gradient
step in lax.scan, by precision and by what XLA is told, beside its floor; the kernels that take the
time, read from a profiler trace; chains by vmap and by map; blur by FFT and directly; whole
photos, with empty and with filled compile caches. The small photo is Levin's im1_kernel1 where his
folder is given; the others are made from scikit-image's pictures. Nothing is begun after so many
minutes. --keep is a folder for the trace, the results and the compiled programs.
benchmarks/NOTEBOOK.md has a measured table.
"""

import collections
import concurrent.futures
import gzip
import json
import os
import pathlib
import re
import sys
import tempfile
import time
import types

import jax
import jax.numpy as jnp

from benchmarks import common
from benchmarks.speed import blur_operators, chains, roofline
from dem_jax.config import ImageNetworkConfig
from dem_jax.runtime.scale import devices

LENGTH = 20  # steps in a scan
WIDE = (768, 1024)
NHWC = {"xla_gpu_force_conv_nhwc": True}
GRAPH = {  # the whole loop is launched at once
    "xla_gpu_enable_command_buffer": "FUSION,CUBLAS,CUBLASLT,CUDNN,CUSTOM_CALL,CONVOLUTION,"
    "DYNAMIC_SLICE_FUSION,CONDITIONAL,WHILE",
    "xla_gpu_graph_min_graph_size": 1,
}
STEPS = {  # name -> precision of products, options of XLA
    "tf32": ("tf32", {}),
    "float32": ("float32", {}),
    "bfloat16": ("bfloat16", {}),
    "tf32, one CUDA graph": ("tf32", GRAPH),
    "tf32, NHWC": ("tf32", NHWC),
    "tf32, NHWC, one CUDA graph": ("tf32", {**NHWC, **GRAPH}),
    "bfloat16, one CUDA graph": ("bfloat16", GRAPH),
}
PHOTOS = {  # name -> whether large, flags
    "255 x 255, normal": (False, []),
    "255 x 255, best": (False, ["--effort=best"]),
    "1024 x 768 colour, normal with EM": (True, ["--em_iterations=2"]),
    "1024 x 768 colour, best": (True, ["--effort=best"]),
}


def sizes(tiny):
    """What is measured; tiny only checks that everything runs."""
    whole = {"size": 256, "channels": 64, "levels": 5, "steps": 10, "kernel": 31, "rounds": 10}
    whole |= {"side": 8192, "words": 2**28, "photos": PHOTOS}
    small = {"size": 32, "channels": 4, "levels": 2, "steps": 1, "kernel": 5, "rounds": 1}
    small |= {"side": 64, "words": 2**10, "photos": {"tiny": (False, ["--flagfile=smoke"])}}
    return types.SimpleNamespace(**(small if tiny else whole))


def show(title, columns, rows):
    """Prints a table, each row as soon as it is there."""
    print(f"\n## {title}\n\n{common.table(columns, [])}")
    for row in rows:
        print(common.table(columns, [row]).splitlines()[-1])


def ceilings(at):
    """FLOP/s of a large matrix product by precision, and bytes/s of a large copy."""
    factor, x = jax.random.normal(jax.random.key(common.SEED), (at.side,) * 2), jnp.ones(at.words)
    runs = {"copy": common.ready(common.compiled(lambda x: x + 1, x), x)}
    for name, precision in devices.PRECISIONS.items():
        a = factor.astype(jnp.bfloat16) if name == "bfloat16" else factor
        with jax.default_matmul_precision(precision):
            runs[name] = common.ready(common.compiled(lambda a: a @ a, a), a)
    work = {"copy": 2 * x.nbytes, **dict.fromkeys(devices.PRECISIONS, 2 * at.side**3)}
    times = common.take_turns(runs, at.rounds)
    rates = {name: work[name] / min(t.wall) for name, t in times.items()}
    rows = [
        [n, r / 1e12, "TB/s" if n == "copy" else f"TFLOP/s, {at.side} x {at.side}"]
        for n, r in rates.items()
    ]
    show("What the card does", ["copy, or product", "rate", "unit"], rows)
    return rates


def compiled_step(at, name):
    precision, options = STEPS[name]
    low = precision == "bfloat16"
    network = ImageNetworkConfig(channels=at.channels, levels=at.levels, bfloat16=low)
    with jax.default_matmul_precision(devices.PRECISIONS[precision]):
        step, state = common.gradient_step(at.size, network)
        lowered = jax.jit(common.scanned(step, LENGTH)).lower(state)
        return lowered.compile(compiler_options=options), state


def gradient_steps(at, rates):
    """T_f's step; its floor is the larger of the FLOP and the bytes that its shapes tell."""
    flops, traffic = roofline.step_cost(at.size, at.channels, at.levels, 10)
    programs = {name: compiled_step(at, name) for name in STEPS}
    runs = {name: common.ready(*program) for name, program in programs.items()}
    times = common.take_turns(runs, at.rounds, dict.fromkeys(runs, LENGTH))
    rows = []
    for name, t in times.items():
        by_flops, by_bytes = flops / rates[STEPS[name][0]], traffic / rates["copy"]
        program = programs[name][0]
        count = program.cost_analysis() or {}  # XLA counts a loop's body once
        xla = [count.get(what, float("nan")) / 1e9 for what in ("flops", "bytes accessed")]
        over = t.median / max(by_flops, by_bytes)
        floors = [1e3 * by_flops, 1e3 * by_bytes, over]
        rows.append(
            [name, 1e3 * t.median, t.over(times["tf32"]), *floors, *xla, common.megabytes(program)]
        )
    columns = "products,ms,to tf32,floor by FLOP ms,by bytes ms,over floor,XLA's GFLOP,GB,MB"
    title = f"Gradient step of T_f, {at.size} x {at.size}, {at.channels} channels, in lax.scan"
    show(f"{title}: {flops / 1e9:.3g} GFLOP, {traffic / 1e9:.3g} GB", columns.split(","), rows)
    print(common.bar("T_f step, tf32 (bar for an H200)", 1e3 * times["tf32"].median, 3, "ms"))
    return programs["tf32"]


def kernels_of(folder):
    """(name, seconds) of each kernel in a trace of a GPU, and of each operation in one of a CPU."""
    (path,) = pathlib.Path(folder).glob("**/*.trace.json.gz")
    with gzip.open(path) as file:
        events = json.load(file)["traceEvents"]
    threads = {
        (e["pid"], e["tid"]): e["args"]["name"] for e in events if e.get("name") == "thread_name"
    }
    streams = {thread for thread, name in threads.items() if name.startswith("Stream")}
    for event in events:
        if event.get("ph") != "X":
            continue
        loop = event["name"].startswith(("while", "call", "conditional"))
        counts = not loop and "hlo_op" in event.get("args", {})
        if (event["pid"], event["tid"]) in streams if streams else counts:
            yield event["name"], event["dur"] / 1e6


def profile(program, state, folder):
    """Which kernels a step's time goes to, and how much of it to none."""
    run = common.ready(program, state)
    run()
    with jax.profiler.trace(folder):
        began = time.perf_counter()
        run()
        wall = time.perf_counter() - began
    spent, calls = collections.Counter(), collections.Counter()
    for name, seconds in kernels_of(folder):
        name = re.sub(r"[._\d]+$", "", name.removeprefix("void "))[:90]
        spent[name] += seconds
        calls[name] += 1
    total = sum(spent.values())
    rows = [[n, calls[n] / LENGTH, 1e3 * s / LENGTH, s / total] for n, s in spent.most_common(20)]
    rows.append(["all kernels", sum(calls.values()) / LENGTH, 1e3 * total / LENGTH, 1.0])
    rows.append(["wall time", "", 1e3 * wall / LENGTH, wall / total])
    columns = ["kernel", "launches a step", "ms a step", "share"]
    show("Where a gradient step's time goes (tf32)", columns, rows)


def chains_by_axis(at):
    cases = (1, "map"), (4, "map"), (4, "vmap")
    runs = {case: chains.e_step(at, *case)[0] for case in cases}
    times = common.take_turns(runs, at.rounds)
    one = times[1, "map"]
    rows = [[*case, 1e3 * t.median / at.steps, t.over(one)] for case, t in times.items()]
    show("Chains", ["chains", "axis", "ms a step of all", "to one chain"], rows)


def blurs(at):
    grids = [(1, 1), (5, 5)]
    times, _ = blur_operators.measured(2 * at.size, at.kernel, True, at.rounds, grids=grids)
    rows = [[*name, 1e3 * t.median] for name, t in times.items()]
    title = f"Blur, {2 * at.size} x {2 * at.size}, k = {at.kernel}"
    show(title, ["operator", "what", "ms"], rows)


def photos(at, data, folder, end):
    """Whole photos, each twice; first all side by side, as compiling takes the time then."""
    small = common.photo_flags(data, folder / "small")
    sharp, shaken = common.shaken_picture(folder / "large", WIDE, colour=True)
    large = f"--input={shaken}", f"--ground_truth={sharp}"

    def run(name):
        is_large, flags = at.photos[name]
        photo = large if is_large else small
        place = folder / re.sub(r"\W+", "_", name)
        return common.deblur(place, "--blur=uniform", *photo, *flags, cache=f"{place}_programs")

    def rows():
        with concurrent.futures.ThreadPoolExecutor() as pool:
            first = dict(zip(at.photos, pool.map(run, at.photos), strict=True))
        for name, cold in first.items():
            row = [name, cold["seconds"]]
            if time.monotonic() < end:
                warm = run(name)
                spent = warm["timings_seconds"]
                memory = warm.get("device_peak_memory_mb") or warm["peak_memory_mb"]
                computing = spent["total"] - spent["compile"]
                psnr = " to ".join(f"{warm['psnr'][what]:.2f}" for what in ("blurred", "result"))
                row += [warm["seconds"], computing, spent["em"], memory, psnr]
            yield row + [""] * (len(columns) - len(row))

    columns = ["photo", "cold s", "warm s", "computing s", "EM s", "peak MiB", "dB"]
    show("Whole photos, float32: cold side by side, warm one by one", columns, rows())


def main():
    args = common.arguments(__doc__, data="", minutes=4.0, keep="", tiny=False)
    end = time.monotonic() + 60 * args.minutes
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # photos are other processes
    sys.stdout.reconfigure(line_buffering=True)
    print(f"# dem_jax on {jax.devices()[0].device_kind}\n\n{common.machine()}")
    at = sizes(args.tiny)
    program = gradient_steps(at, ceilings(at))
    with tempfile.TemporaryDirectory() as text:
        folder = pathlib.Path(args.keep or text)
        parts = {
            "profile": lambda: profile(*program, folder / "trace"),
            "chains": lambda: chains_by_axis(at),
            "blurs": lambda: blurs(at),
            "photos": lambda: photos(at, args.data, folder, end),
        }
        for name, part in parts.items():
            if time.monotonic() < end:
                part()
            else:
                print(f"\nNo time was left for {name}.")


if __name__ == "__main__":
    sys.exit(main())
