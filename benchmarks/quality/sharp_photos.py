"""How good is a flagfile on pictures that are sharp to the pixel, and does EM help there?

    python -m benchmarks.quality.sharp_photos --data=LAI --kernels=LEVIN/kernels \\
        --rows=benchmarks/results/sharp_photos.json [--only='people*'] [--jpeg=85] \\
        -- --flagfile=quickstart

Levin's sharp photos are soft, others are not. Here the sharp pictures of Lai's set (LAI/sharp),
grey and reduced to 256 x 256 pixels, are blurred with the true kernels of Levin's, one each in
turn, with Gaussian noise of 0.003 and 8 bits, and stored as JPEG of that quality if one is given.
Reported, in dB after the best shift: the photo, the warm start, the result, and the deconvolution
with the true kernel; and the kernels' correlation with the true one. Finished rows are kept in the
file.
"""

import fnmatch
import functools
import io
import pathlib
import time

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from benchmarks import common, simulated
from benchmarks.quality import levin
from dem_jax.em.result import restore
from dem_jax.evaluation import metrics, tables
from dem_jax.runtime import sizes
from dem_jax.runtime.files import given_kernels, pillow_reader
from dem_jax.runtime.files.photo import make
from dem_jax.runtime.programs import Programs
from dem_jax.solve import deconvolution
from dem_jax.solver import make_solver
from dem_jax.types import Given

SIDE, NOISE, MAX_SHIFT, CROP = 256, 0.003, 10, 15  # pixels, image units, pixels, pixels
COLUMNS = {
    "blurred": "blurred",
    "start": "start",
    "result": "result",
    "true": "true kernel",
    "kernel_start": "kernel at start",
    "kernel": "kernel",
    "seconds": "seconds",
}
RESTORE = jax.jit(restore, static_argnums=3)


def simulate(picture, kernel_file, seed):
    """(sharp, photo), both [256, 256, 1] with values of 8 bits, and the kernel."""
    sharp, kernel = simulated.picture(picture, (SIDE, SIDE)), simulated.true_kernel(kernel_file)
    return sharp, simulated.shaken(jax.random.key(seed), sharp, kernel, NOISE), kernel


def as_jpeg(photo, quality):
    """What is given of a grey photo [H, W, 1] of 8 bits after its way through a JPEG file."""
    file = io.BytesIO()
    Image.fromarray((photo[..., 0] * 255).round().astype(np.uint8)).save(
        file, "JPEG", quality=quality
    )
    stored = make(pillow_reader.read_jpeg(file.getvalue()))
    return Given(jnp.asarray(stored.pixels), coding_std=np.float32(stored.coding_std))


def measure(options, programs, picture, kernel_file, seed, quality):
    sharp, photo, kernel = simulate(picture, kernel_file, seed)
    given = as_jpeg(photo, int(quality)) if quality else Given(jnp.asarray(photo))
    error = given.coding_std or 0.0
    config = sizes.resolve(
        options.config, options.sizes, SIDE, SIDE, picture.stem, coding_std=error
    )
    start, start_kernel, result = levin.restore(programs, given, config, options.seed)
    true = jnp.asarray(given_kernels.fit(kernel[None], config.kernel_size, (1, 1)))
    weight = deconvolution.prior_weight(np.hypot(NOISE, error), 1)
    known = RESTORE(given.pixels, true, weight, config)

    def psnr(image):
        image = np.clip(np.asarray(image), 0, 1)
        pair = metrics.register_shift(image, sharp, max_shift=MAX_SHIFT, crop=CROP)
        return float(metrics.psnr(pair.result, pair.truth))

    def match(found):
        return float(metrics.kernel_correlation(np.asarray(found), kernel))

    row = {"blurred": psnr(given.pixels), "start": psnr(start), "result": psnr(result.latent)}
    row |= {"true": psnr(known)}
    return row | {"kernel_start": match(start_kernel), "kernel": match(result.kernels[0])}


def timed(*task):
    programs = task[1]
    began, compiled = time.monotonic(), programs.compile_seconds
    row = measure(*task)
    waited = programs.compile_seconds - compiled
    return row | {"seconds": time.monotonic() - began - waited}


def run(arguments, flags):
    options, programs, tasks = common.options(flags), Programs(make_solver()), {}
    kernels = sorted(pathlib.Path(arguments.kernels).glob("*.png"))
    for number, picture in enumerate(
        sorted((pathlib.Path(arguments.data) / "sharp").glob("*.png"))
    ):
        if not fnmatch.fnmatch(picture.name, arguments.only):
            continue
        kernel = kernels[number % len(kernels)]
        task = (timed, options, programs, picture, kernel, number, arguments.jpeg)
        tasks[f"{picture.stem}, {kernel.stem}"] = functools.partial(*task)
    rows = common.kept_rows(arguments.rows, tasks)
    lines = [[name, *(row[column] for column in COLUMNS)] for name, row in rows.items()]
    means = [float(np.mean([row[column] for row in rows.values()])) for column in COLUMNS]
    table = tables.markdown(["photo", *COLUMNS.values()], [*lines, ["**mean**", *means]])
    command = (
        "python -m benchmarks.quality.sharp_photos --data=LAI --kernels=LEVIN/kernels --rows=FILE"
    )
    command += f" --jpeg={arguments.jpeg}" if arguments.jpeg else ""
    about = f"Made by `{command} -- {' '.join(flags)}`; PSNR in dB after the best shift."
    common.report("Pictures that are sharp to the pixel", about, table)


if __name__ == "__main__":
    defaults = {"only": "*", "jpeg": ""}
    run(*common.arguments_and_flags(__doc__, data=None, kernels=None, rows=None, **defaults))
