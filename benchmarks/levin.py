"""How good is a flagfile on Levin's photos, and what does EM add to the warm start?

    python benchmarks/levin.py --data=LEVIN_FOLDER --rows=docs/levin.json -- --flagfile=quickstart

LEVIN_FOLDER holds blurry/, sharp/ and kernels/. Scores follow Levin's protocol
(dem_jax.evaluation.protocols). Every finished photo is a row in the JSON file, and a run goes on
where it stopped: delete the file to start again. Flags behind `--` are those of dem_jax.main.
"""

import argparse
import json
import pathlib
import time

import jax
import jax.numpy as jnp
import numpy as np

from dem_jax import main
from dem_jax.evaluation import metrics, protocols
from dem_jax.runtime import devices, images, sizes
from dem_jax.runtime.programs import Programs, default_solver


def restore(programs, photo, config, seed):
    """(warm start's image, warm start's kernel, result, seconds) of one photo."""
    began = time.monotonic()

    key = jax.random.key(seed)
    start_key, init_key = jax.random.split(jax.random.fold_in(key, 0))
    photo = jnp.asarray(photo)
    programs.begin(start_key, photo, config)
    problem = programs("prepare", start_key, photo, config)
    half = config.kernel_size // 2
    start = np.asarray(problem.start_latent)[half:-half, half:-half]
    state = programs("init", init_key, problem, config)
    for t in range(1, config.em_iterations + 1):
        state, info = programs("step", jax.random.fold_in(key, t), state, problem, config)
        print("   ", {k: float(f"{float(v):.4g}") for k, v in info._asdict().items()}, flush=True)
    result = programs("finish", state, problem, config)
    return start, np.asarray(problem.start_kernels), result, time.monotonic() - began


def run(arguments, rest):
    values = main.define_flags()
    values(["levin", *main._find_flagfiles(rest), "--input=-", "--output_dir=-"])
    options = main.make_options(values)
    devices.configure(precision=options.precision, cache_dir=arguments.cache)
    folder = pathlib.Path(arguments.data)
    rows_file = pathlib.Path(arguments.rows)
    rows = json.loads(rows_file.read_text()) if rows_file.exists() else {}
    programs = Programs(default_solver())
    for path in sorted((folder / "blurry").glob(arguments.only)):
        name = path.stem.removesuffix("_img")
        if name in rows:
            continue
        photo = images.read_photo(path).pixels
        image, kernel = name.split("_")
        sharp = images.read_photo(folder / "sharp" / f"{image}.png").pixels
        truth = images.read_photo(folder / "kernels" / f"{kernel}.png").pixels[..., 0]
        config = sizes.resolve(options.config, options.sizes, *photo.shape[:2], path.stem)
        compiled = programs.compile_seconds
        start, start_kernel, result, seconds = restore(programs, photo, config, options.seed)
        scores = protocols.levin_score(np.asarray(result.latent), sharp)

        def match(kernel, truth=truth):
            return max(
                metrics.kernel_correlation(np.asarray(kernel), t)
                for t in (truth, truth[::-1, ::-1])
            )

        rows[name] = {
            "blurred": protocols.levin_score(photo, sharp)["psnr"],
            "warm_start": protocols.levin_score(start, sharp)["psnr"],
            "em": scores["psnr"],
            "ssim": scores["ssim"],
            "kernel_start": match(start_kernel[0]),
            "kernel_em": match(result.kernels[0]),
            "seconds": seconds,
            "compile_seconds": programs.compile_seconds - compiled,
            "peak_mb": devices.peak_memory_mb() if hasattr(devices, "peak_memory_mb") else None,
        }
        print(name, {k: round(v, 3) for k, v in rows[name].items() if v is not None}, flush=True)
        rows_file.write_text(json.dumps(rows, indent=1) + "\n")
    means = {
        k: float(np.mean([r[k] for r in rows.values()]))
        for k in next(iter(rows.values()))
        if k != "peak_mb"
    }
    print("mean of", len(rows), {k: round(v, 3) for k, v in means.items()})
    gains = [r["em"] - r["warm_start"] for r in rows.values()]
    print(
        "EM gains",
        np.round(gains, 2),
        "least",
        round(min(gains), 2),
        "lowest PSNR",
        min(r["em"] for r in rows.values()),
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True)
    parser.add_argument("--rows", required=True)
    parser.add_argument("--only", default="*.png")
    parser.add_argument("--cache", default=devices.default_cache_dir())
    known, rest = parser.parse_known_args()
    run(known, [a for a in rest if a != "--"])
