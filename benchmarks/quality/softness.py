"""Does a photo tell whether it is soft even where nothing moved?

    python -m benchmarks.quality.softness --data=DATA --rows=benchmarks/results/softness.json \\
        -- --flagfile=quickstart

DATA holds levin/, lai/ and koehler's kohler/. For every photo: what the start's deconvolution
leaves over, in deviations of the noise (`Problem.start_misfit`). By it the prior SHARP or SOFT of
dem_jax.model.detail_prior is chosen. Sharp to the pixel are the pictures of sharp_photos.py and
calibration.py. Soft are Levin's photos, Koehler's and Lai's real ones, the latter two as the grey
middle 320 x 320 pixels. Only the start is run, some seconds a photo.
Finished rows are kept in the file.
"""

import functools
import pathlib

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import common
from benchmarks.quality import calibration, sharp_photos
from dem_jax.evaluation import metrics, tables
from dem_jax.model import detail_prior
from dem_jax.runtime import sizes
from dem_jax.runtime.files import images
from dem_jax.start.problem import prepare

SIDE = 320  # pixels
NOISES = (0.003, 0.01, 0.03)
PREPARE = jax.jit(prepare, static_argnums=2)


def middle(path):
    """[SIDE, SIDE, 1], or all of a smaller picture."""
    grey = metrics.luma(images.read_photo(path).pixels)[..., None]
    rows, cols = ((max(n - SIDE, 0) // 2) for n in grey.shape[:2])
    return np.asarray(grey[rows : rows + SIDE, cols : cols + SIDE], np.float32)


def photos(data):
    """(group, name) -> function that gives the photo [H, W, 1]."""
    found = {}
    for path in sorted((data / "levin" / "blurry").glob("*.png")):
        found["Levin's", path.stem] = lambda path=path: images.read_photo(path).pixels
    for path in sorted((data / "kohler" / "blurry").glob("Blurry?_?.png")):
        found["Koehler's", path.stem] = functools.partial(middle, path)
    for path in sorted((data / "lai" / "real").glob("*.jpg")):
        found["Lai's real ones", path.stem] = functools.partial(middle, path)
    kernels = sorted((data / "levin" / "kernels").glob("*.png"))
    for number, path in enumerate(sorted((data / "lai" / "sharp").glob("*.png"))):
        task = (sharp_photos.simulate, path, kernels[number % len(kernels)], number)
        found["sharp to the pixel", path.stem] = lambda task=task: task[0](*task[1:])[1]
    for name in ("camera", "astronaut", "coffee"):
        for noise in NOISES:
            task = (calibration.simulate, name, noise, 0, 256)
            found["simulated", f"{name}, {noise}"] = lambda task=task: task[0](*task[1:])[1]
    return found


def measure(options, name, load):
    photo = load()
    config = sizes.resolve(options.config, options.sizes, *photo.shape[:2], name)
    problem = PREPARE(jax.random.key(options.seed), jnp.asarray(photo), config)
    return {"misfit": float(problem.start_misfit), "noise": float(problem.noise_std)}


def run(arguments, flags):
    options, found = common.options(flags), photos(pathlib.Path(arguments.data))
    tasks = {
        f"{group}/{name}": functools.partial(measure, options, name, load)
        for (group, name), load in found.items()
    }
    rows = common.kept_rows(arguments.rows, tasks)
    lines = []
    for group in dict.fromkeys(group for group, _ in found):
        own = [rows[f"{group}/{name}"]["misfit"] for g, name in found if g == group]
        soft = sum(misfit >= detail_prior.MIN_MISFIT for misfit in own)
        numbers = (float(f(own)) for f in (np.min, np.median, np.max))
        lines.append([group, len(own), *numbers, soft])
    header = ["photos", "number", "min misfit", "median", "max", "taken to be soft"]
    command = "python -m benchmarks.quality.softness --data=DATA --rows=FILE"
    about = f"Made by `{command} -- {' '.join(flags)}`; in deviations of the noise."
    common.report("Which photos are soft", about, tables.markdown(header, lines))


if __name__ == "__main__":
    run(*common.arguments_and_flags(__doc__, data=None, rows=None))
