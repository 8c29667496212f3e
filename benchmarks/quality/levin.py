"""How good is a flagfile on Levin's photos, and what does EM add to the warm start?

    python benchmarks/levin.py --data=LEVIN --rows=docs/levin.json --table=docs/levin.md \\
        -- --flagfile=quickstart

LEVIN holds blurry/, sharp/ and kernels/. Scores follow Levin's protocol
(dem_jax.evaluation.protocols). Every finished photo is a row in the JSON file, and a run goes on
where it stopped: delete the file to start again. Flags behind `--` are those of dem_jax.main;
--compilation_cache_dir= (empty) times compilation too. docs/levin.md is a typical output.
"""

import argparse
import dataclasses
import functools
import json
import pathlib
import time

import common
import jax
import jax.numpy as jnp
import numpy as np

from dem_jax import solver
from dem_jax.config import WarmStartConfig
from dem_jax.evaluation import metrics, protocols
from dem_jax.runtime import sizes
from dem_jax.runtime.files import images
from dem_jax.runtime.programs import Programs
from dem_jax.runtime.scale import devices
from dem_jax.solver import make_solver

COLUMNS = ("blurred", "warm_start", "em", "ssim", "kernel_start", "kernel_em", "seconds")


def restore(programs, photo, config, seed):
    """(start's image, its kernel, result) of one photo, as the driver does it."""

    key, photo = jax.random.key(seed), jnp.asarray(photo)
    functions = solver.Solver(*[functools.partial(programs, n) for n in solver.Solver._fields])
    programs.begin(key, photo, config)
    state, problem = solver.begin(key, photo, config, solver=functions)
    half = config.kernel_size // 2
    start = np.asarray(problem.start_latent)[half:-half, half:-half]
    for t in range(1, config.em_iterations + 1):
        state, info = solver.iterate(key, t, state, problem, config, solver=functions)
        print("   ", {k: f"{float(v):.4g}" for k, v in info._asdict().items()}, flush=True)
    return start, problem.start_kernels[0], programs("finish", state, problem, config)


def tuned(options):
    """With starts that look for finer edges, as photos with little noise and one blur allow."""
    start = WarmStartConfig(
        sparsity=(8e-3, 1.6e-2, 4e-3, 1.6e-2), support_fraction=(1.0, 1.0, 0.67, 0.67)
    )
    return dataclasses.replace(options, config=dataclasses.replace(options.config, start=start))


def measure(programs, folder, path, options, seed):
    """The row of one photo."""
    name, photo = path.stem.removesuffix("_img"), images.read_photo(path).pixels
    config = sizes.resolve(options.config, options.sizes, *photo.shape[:2], path.stem)
    began, compiled = time.monotonic(), programs.compile_seconds
    start, start_kernel, result = restore(programs, photo, config, seed)
    spent, compiled = time.monotonic() - began, programs.compile_seconds - compiled
    row = score(folder, name, photo, start, start_kernel, result)
    return row | {"seconds": spent - compiled, "compile_seconds": compiled}


def score(folder, name, photo, start, start_kernel, result):
    image, kernel = name.split("_")
    sharp = images.read_photo(folder / "sharp" / f"{image}.png").pixels
    truth = images.read_photo(folder / "kernels" / f"{kernel}.png").pixels[..., 0]
    truths = (truth, truth[::-1, ::-1])  # the files' orientation differs

    def match(kernel):
        return max(metrics.kernel_correlation(np.asarray(kernel), t) for t in truths)

    em = protocols.levin_score(np.asarray(result.latent), sharp)
    return {
        "blurred": protocols.levin_score(photo, sharp)["psnr"],
        "warm_start": protocols.levin_score(start, sharp)["psnr"],
        "em": em["psnr"],
        "ssim": em["ssim"],
        "kernel_start": match(start_kernel),
        "kernel_em": match(result.kernels[0]),
    }


def table(rows, command, device):
    lines = [
        f"Made by `{command}` on {device}.",
        "PSNR in dB after the best shift (Levin's protocol); kernel: normalised cross-correlation",
        "with the true kernel at the best shift; seconds without compilation.",
        "",
        "| photo | blurred | warm start | EM | gain | SSIM | kernel at start | kernel | seconds |",
        "|---|" + "---:|" * 8,
    ]
    means = {name: float(np.mean([row[name] for row in rows.values()])) for name in COLUMNS}
    for name, row in [*rows.items(), ("**mean**", means)]:
        cells = [f"{row[c]:.2f}" for c in ("blurred", "warm_start", "em")]
        cells += [f"{row['em'] - row['warm_start']:+.2f}"]
        cells += [f"{row[c]:.3f}" for c in ("ssim", "kernel_start", "kernel_em")]
        lines.append(" | ".join([f"| {name}", *cells, f"{row['seconds']:.0f} |"]))
    return "\n".join(lines) + "\n"


def run(arguments, rest):
    options = tuned(common.options(rest))
    folder, rows_file = pathlib.Path(arguments.data), pathlib.Path(arguments.rows)
    rows = json.loads(rows_file.read_text()) if rows_file.exists() else {}
    programs = Programs(make_solver())
    for path in sorted((folder / "blurry").glob(arguments.only)):
        name = path.stem.removesuffix("_img")
        if name in rows:
            continue
        rows[name] = measure(programs, folder, path, options, options.seed)
        print(name, {k: round(v, 3) for k, v in rows[name].items()}, flush=True)
        rows_file.write_text(json.dumps(rows, indent=1) + "\n")
    device = devices.device()
    command = f"python benchmarks/levin.py --data=LEVIN --rows=FILE -- {' '.join(rest)}"
    text = table(rows, command, f"{device['count']} x {device['kind']}, seed {options.seed}")
    print(text)
    if arguments.table:
        pathlib.Path(arguments.table).write_text(f"# Levin's photos\n\n{text}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True)
    parser.add_argument("--rows", required=True)
    parser.add_argument("--table")
    parser.add_argument("--only", default="*.png")
    known, rest = parser.parse_known_args()
    run(known, [a for a in rest if a != "--"])
