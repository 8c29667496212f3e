"""How fast is dem_jax on a GPU, and where does the time go?

    python -m benchmarks.speed.gpu --pack=gpu_data.tar.gz --data=LEVIN   (where the photos are)
    python -m benchmarks.speed.gpu --archive=gpu_data.tar.gz > gpu.md    (where the GPU is)
    python -m benchmarks.speed.gpu --tiny                                (anywhere: whether it runs)

The archive holds one of Levin's photos with its truth and a shaken colour picture of 1024x768
pixels, and stays outside the repository. Without one both photos are made from scikit-image's. In
turn: T_f's gradient step by precision and against the derivatives that JAX makes; chains by vmap
and by map; blur by FFT and directly; whole photos; and the operations that take the time, read from
a profiler trace. Typical output: none yet; no GPU was at hand when this was written.
"""

import collections
import glob
import gzip
import json
import pathlib
import sys
import tarfile
import tempfile
import time
import types
from unittest import mock

import jax

from benchmarks import common
from benchmarks.speed import blur_operators, chains
from dem_jax.config import ImageNetworkConfig
from dem_jax.model import layers
from dem_jax.runtime.scale import devices

LENGTH = 20  # steps in a scan
WIDE = (768, 1024)


def sizes(tiny):
    """What is measured; tiny only checks that everything runs."""
    whole = {"size": 256, "channels": 64, "levels": 5, "steps": 10, "kernel": 31, "rounds": 10}
    small = {"size": 32, "channels": 4, "levels": 2, "steps": 1, "kernel": 5, "rounds": 1}
    return types.SimpleNamespace(**(small if tiny else whole))


def compiled_step(at, *, bfloat16=False):
    network = ImageNetworkConfig(channels=at.channels, levels=at.levels, bfloat16=bfloat16)
    step, state = common.gradient_step(at.size, network)
    return common.compiled(common.scanned(step, LENGTH), state), state


def with_derivatives(derivatives):
    """All convolutions with these derivatives, whatever the platform."""
    convolution = jax.custom_vjp(
        lambda stride, x, kernel: layers.conv2d_plain(x, kernel, stride=stride),
        nondiff_argnums=(0,),
    )
    convolution.defvjp(
        layers._conv2d_forward,
        lambda stride, residuals, g: derivatives(stride, *residuals, g),
    )
    return mock.patch.object(layers, "_conv2d", convolution)


def gradient_steps(at):
    programs = {}
    for name, precision in devices.PRECISIONS.items():
        with jax.default_matmul_precision(precision):
            programs[name] = compiled_step(at, bfloat16=name == "bfloat16")
    with jax.default_matmul_precision(devices.PRECISIONS["tf32"]):
        for name in ("plain", "fast"):
            with with_derivatives(getattr(layers, f"_{name}_derivatives")):
                programs[f"tf32, {name} derivatives"] = compiled_step(at)
    runs = {name: common.ready(*program) for name, program in programs.items()}
    times = common.take_turns(runs, at.rounds, dict.fromkeys(runs, LENGTH))
    rows = [
        [n, 1e3 * t.median, t.over(times["tf32"]), common.megabytes(programs[n][0])]
        for n, t in times.items()
    ]
    print(f"## Gradient step of T_f, {at.size}x{at.size}, {at.channels} channels, in lax.scan\n")
    print(common.table(["products", "ms", "to tf32", "MB"], rows))
    print(common.bar("T_f step, tf32 (bar for an H200)", 1e3 * times["tf32"].median, 3, "ms"))
    return programs["tf32"]


def chains_by_axis(at):
    runs = {}
    for count, axis in ((1, "map"), (2, "map"), (4, "map"), (2, "vmap"), (4, "vmap")):
        runs[count, axis], _ = chains.e_step(at, count, axis)
    times = common.take_turns(runs, at.rounds)
    one = times[1, "map"]
    rows = [[*case, 1e3 * t.median / at.steps, t.over(one)] for case, t in times.items()]
    print("\n## Chains\n")
    print(common.table(["chains", "axis", "ms a step of all", "to one chain"], rows))


def blurs(at):
    times, _ = blur_operators.measured(2 * at.size, at.kernel, True, at.rounds)
    rows = [[*name, 1e3 * t.median] for name, t in times.items()]
    print(f"\n## Blur, {2 * at.size}x{2 * at.size}, k = {at.kernel}\n")
    print(common.table(["operator", "what", "ms"], rows))


def photos(flags, tiny):
    """Whole photos through dem_jax.main, twice, so that the second finds its programs compiled."""
    many = ["--em_iterations=20", "--burn_in=60", "--samples_per_chain=4", "--thinning=10"]
    cases = {
        "256x256, uniform, 2,000 steps": (flags["grey"], ["--blur=uniform", *many]),
        "1024x768 colour, nonuniform": (flags["colour"], ["--blur=nonuniform"]),
    }
    rows = []
    with tempfile.TemporaryDirectory() as text:
        for name, (photo, more) in cases.items():
            more = ["--flagfile=smoke"] if tiny else ["--precision=tf32", *more]
            for _ in range(1 if tiny else 2):
                run = common.deblur(pathlib.Path(text) / "out", *photo, *more, cache=f"{text}/xla")
            seconds = run["timings_seconds"]
            spent = seconds["total"] - seconds["compile"]
            memory = run.get("device_peak_memory_mb") or run["peak_memory_mb"]
            rows.append([name, spent, seconds["em"], memory, f"{run['psnr']['result']:.2f}"])
            if photo is flags["grey"]:
                line = common.bar(f"{name} (bar for an H200)", spent, 10, "s")
    print("\n## Whole photos, without compilation\n")
    print(common.table(["photo", "s", "EM s", "peak MiB", "PSNR"], rows), line, sep="\n")


def trace(program, state):
    """Time of each operation on the device, and the gaps between them, from a profiler trace."""
    run = common.ready(program, state)
    run()
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        with jax.profiler.trace(folder):
            began = time.perf_counter()
            run()
            wall = time.perf_counter() - began
        (path,) = glob.glob(f"{folder}/**/*.trace.json.gz", recursive=True)
        events = json.load(gzip.open(path))["traceEvents"]
    names = {e["pid"]: e["args"]["name"] for e in events if e.get("name") == "process_name"}
    on_gpu = {pid for pid, name in names.items() if "GPU" in name}
    text = program.as_text()
    spent = collections.Counter()
    for event in events:
        if event.get("ph") == "X" and (event["pid"] in on_gpu or not on_gpu):
            name = event.get("args", {}).get("hlo_op", event["name"])
            if f"{name} = " in text and not name.startswith(("while", "call", "conditional")):
                spent[name.split(".")[0]] += event["dur"] / 1e6
    total = sum(spent.values())
    rows = [[n, 1e3 * s / LENGTH, s / total] for n, s in spent.most_common(15)]
    rows.append(["all operations", 1e3 * total / LENGTH, 1.0])
    rows.append(["wall time", 1e3 * wall / LENGTH, wall / total])
    print("\n## Where a gradient step's time goes (tf32)\n")
    print(common.table(["operation", "ms a step", "share"], rows))


def photo_flags(archive, folder):
    """--input and --ground_truth of the grey and of the colour photo."""
    if archive:
        with tarfile.open(archive) as file:
            file.extractall(folder, filter="data")
    else:
        pack(folder, "")
    return {
        name: (f"--input={folder / name}.png", f"--ground_truth={folder / name}_sharp.png")
        for name in ("grey", "colour")
    }


def pack(folder, data):
    """Puts the two photos and their truths into a folder."""
    for name, colour in (("grey", False), ("colour", True)):
        if data and not colour:
            pair = [flag.split("=", 1)[1] for flag in common.photo_flags(data, folder)]
        else:
            shape = WIDE if colour else (256, 256)
            pair = common.shaken_picture(folder / "made", shape, colour=colour)[::-1]
        for path, ending in zip(pair, ("", "_sharp"), strict=True):
            (folder / f"{name}{ending}.png").write_bytes(pathlib.Path(path).read_bytes())


def main():
    args = common.arguments(__doc__, pack="", data="", archive="", tiny=False)
    with tempfile.TemporaryDirectory() as text:
        folder = pathlib.Path(text)
        if args.pack:
            pack(folder, args.data)
            with tarfile.open(args.pack, "w:gz") as file:
                for path in sorted(folder.glob("*.png")):
                    file.add(path, path.name)
            print(f"{args.pack}: {pathlib.Path(args.pack).stat().st_size / 1e6:.1f} MB")
            return
        print(f"# dem_jax on {jax.devices()[0].device_kind}\n\n{common.machine()}\n")
        at = sizes(args.tiny)
        program = gradient_steps(at)
        chains_by_axis(at)
        blurs(at)
        trace(*program)
        photos(photo_flags(args.archive, folder), args.tiny)


if __name__ == "__main__":
    sys.exit(main())
