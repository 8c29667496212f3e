"""How near does blind deblurring of Levin's photos come to that with the true kernels?

    python -m benchmarks.quality.ceiling --data=LEVIN --rows=benchmarks/results/ceiling.json \\
        [--blind=benchmarks/results/levin.json] [--only='im1_kernel1*'] \\
        [--seeds=0,1,2] -- --flagfile=quickstart

The ceiling: the same sampling of T_f from the same key, with --kernels=fixed at the true kernel.
The gap is what the ceiling has over the start; EM closes part of it. Scores follow Levin's
protocol. --blind names rows of levin.py, made with the same flags, to take for seed 0 instead of
running them again. Every finished row is kept in the file, and a run goes on where it stopped.
"""

import dataclasses
import functools
import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import common
from benchmarks.quality import levin
from dem_jax import solver
from dem_jax.evaluation import camera_shake, protocols, tables
from dem_jax.runtime import sizes
from dem_jax.runtime.files import given_kernels, images
from dem_jax.runtime.programs import Programs
from dem_jax.solver import make_solver

DEBLUR = jax.jit(solver.deblur, static_argnums=2)
HEADER = "photo|blurred|start|result|ceiling|below ceiling|gap closed [%]|spread"


def true_kernel(folder, name, photo):
    """[1, k, k], turned as the photo's blur was: the files' orientation differs."""
    image, kernel = name.split("_")
    sharp = images.read_photo(folder / "sharp" / f"{image}.png").pixels
    truth = images.read_photo(folder / "kernels" / f"{kernel}.png").pixels[..., 0]
    truth = truth / truth.sum()

    def fits(kernel):
        again = camera_shake.blur_uniform(jnp.asarray(sharp), jnp.asarray(kernel))
        return protocols.levin_score(np.asarray(again), photo)["psnr"]

    return max(truth, truth[::-1, ::-1], key=fits)[None]


def ceiling(folder, name, photo, config, seed):
    config = dataclasses.replace(config, kernels="fixed")
    kernel = given_kernels.fit(true_kernel(folder, name, photo), config.kernel_size, (1, 1))
    key, kernels = jax.random.key(seed), jnp.asarray(kernel)
    result = DEBLUR(key, jnp.asarray(photo), config, kernels=kernels)
    sharp = images.read_photo(folder / "sharp" / f"{name.split('_')[0]}.png").pixels
    score = protocols.levin_score(np.asarray(result.latent), sharp)
    return {"result": score["psnr"], "ssim": score["ssim"]}


def table(rows):
    """A line a photo, the means over its seeds; spread: of blind EM, max - min."""
    photos, lines = sorted({name.split("/")[1] for name in rows}), []
    for photo in photos:
        blinds = [row for name, row in rows.items() if name.startswith(f"blind/{photo}/")]
        ceilings = [row for name, row in rows.items() if name.startswith(f"ceiling/{photo}/")]
        means = [np.mean([row[c] for row in blinds]) for c in ("blurred", "start", "result")]
        finals = [row["result"] for row in blinds]
        spread = max(finals) - min(finals) if len(finals) > 1 else None
        lines.append([photo, *means, np.mean([row["result"] for row in ceilings]), spread])
    spreads = [line[-1] for line in lines if line[-1] is not None]
    mean = [float(np.mean([line[i] for line in lines])) for i in range(1, 5)]
    lines.append(["**mean**", *mean, float(np.mean(spreads)) if spreads else None])
    return tables.markdown(HEADER.split("|"), [_with_gap(line) for line in lines])


def _with_gap(line):
    name, blurred, start, em, best, spread = line
    gap, won = best - start, em - start
    # Where the start is at the ceiling already, a part of the gap means nothing.
    part = 100 * won / gap if gap > 0.1 else None
    numbers = (blurred, start, em, best, best - em, part, spread)
    return [name, *(None if x is None else float(x) for x in numbers)]


def run(arguments, flags):
    options, folder = common.options(flags), pathlib.Path(arguments.data)
    programs, tasks = Programs(make_solver()), {}
    given = json.loads(pathlib.Path(arguments.blind).read_text()) if arguments.blind else {}
    for path in sorted((folder / "blurry").glob(arguments.only)):
        name, photo = path.stem.removesuffix("_img"), images.read_photo(path).pixels
        config = sizes.resolve(options.config, options.sizes, *photo.shape[:2], path.stem)
        for seed in common.numbers(arguments.seeds):
            task = functools.partial(levin.measure, programs, folder, path, options, seed)
            if seed == 0 and name in given:
                task = functools.partial(given.get, name)
            tasks[f"blind/{name}/{seed}"] = task
            task = functools.partial(ceiling, folder, name, photo, config, seed)
            tasks[f"ceiling/{name}/{seed}"] = task
    rows = common.kept_rows(arguments.rows, tasks)
    command = f"python -m benchmarks.quality.ceiling --data=LEVIN --rows=FILE -- {' '.join(flags)}"
    about = f"Made by `{command}`, seeds {arguments.seeds}; PSNR in dB after the best shift."
    common.report("The ceiling of Levin's photos", about, table(rows))


if __name__ == "__main__":
    run(
        *common.arguments_and_flags(
            __doc__, data=None, rows=None, blind="", only="*.png", seeds="0"
        )
    )
