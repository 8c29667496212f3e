"""How good is a flagfile on Levin's photos, and what does EM add to its start?

    python -m benchmarks.quality.levin --data=LEVIN --rows=benchmarks/results/levin.json \\
        -- --flagfile=quickstart

LEVIN holds blurry/, sharp/ and kernels/. Scores follow Levin's protocol
(dem_jax.evaluation.protocols). Every finished photo is a row in the JSON file, and a run goes on
where it stopped: delete the file to start again. Flags behind `--` are those of dem_jax.main;
--compilation_cache_dir= (empty) times compilation too.
"""

import functools
import pathlib
import time

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import common
from dem_jax import run_keys
from dem_jax.em.result import started
from dem_jax.evaluation import metrics, protocols, tables
from dem_jax.runtime import sizes
from dem_jax.runtime.files import images
from dem_jax.runtime.first_look import first_look
from dem_jax.runtime.programs import Programs
from dem_jax.solver import Solver, make_solver
from dem_jax.types import Given, Result

STARTED = jax.jit(started)
COLUMNS = {
    "blurred": "blurred",
    "start": "start",
    "result": "result",
    "ssim": "SSIM",
    "kernel_start": "kernel at start",
    "kernel": "kernel",
    "seconds": "seconds",
}


def restore(programs, photo, config, seed):
    """(start's image, its kernel, result) of one photo, as the driver does it."""
    photo = photo if isinstance(photo, Given) else Given(jnp.asarray(photo))
    key = jax.random.key(seed)
    if config.patch_grid == (1, 1) and programs.has("overview"):
        config, photo, *_ = first_look(programs, photo, config)
    functions = Solver(*[functools.partial(programs, name) for name in Solver._fields])
    programs.begin(key, photo, config)
    prepare_key, init_key = run_keys.of_start(key)
    problem = functions.prepare(prepare_key, photo, config)
    if not config.em_iterations:
        image, std, kernels = STARTED(problem)
        return np.asarray(image), kernels[0], Result(image, kernels, std, None)
    state = functions.init(init_key, problem, config)
    start = np.asarray(STARTED(problem)[0])
    for t in range(1, config.em_iterations + 1):
        state, info = functions.step(run_keys.of_iteration(key, t), state, problem, config)
        print("   ", {k: f"{float(v):.4g}" for k, v in info._asdict().items()}, flush=True)
    return start, problem.start_kernels[0], programs("finish", state, problem, config)


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

    found = protocols.levin_score(np.asarray(result.latent), sharp)
    return {
        "blurred": protocols.levin_score(photo, sharp)["psnr"],
        "start": protocols.levin_score(start, sharp)["psnr"],
        "result": found["psnr"],
        "ssim": found["ssim"],
        "kernel_start": match(start_kernel),
        "kernel": match(result.kernels[0]),
    }


def run(arguments, flags):
    options = common.options(flags)
    folder, programs = pathlib.Path(arguments.data), Programs(make_solver())
    tasks = {
        path.stem.removesuffix("_img"): functools.partial(
            measure, programs, folder, path, options, options.seed
        )
        for path in sorted((folder / "blurry").glob(arguments.only))
    }
    rows = common.kept_rows(arguments.rows, tasks)
    lines = [[name, *(row[column] for column in COLUMNS)] for name, row in rows.items()]
    means = [float(np.mean([row[column] for row in rows.values()])) for column in COLUMNS]
    table = tables.markdown(["photo", *COLUMNS.values()], [*lines, ["**mean**", *means]])
    command = "python -m benchmarks.quality.levin --data=LEVIN --rows=FILE"
    about = (
        f"Made by `{command} -- {' '.join(flags)}`, seed {options.seed}; PSNR in dB after the best "
        "shift (Levin's protocol); kernel: normalised cross-correlation with the true kernel at "
        "the best shift; seconds without compilation."
    )
    common.report("Levin's photos", about, table)


if __name__ == "__main__":
    run(*common.arguments_and_flags(__doc__, data=None, rows=None, only="*.png"))
