"""What does it cost to deblur a photo's values where its light was blurred, and the reverse?

    python -m benchmarks.quality.linear_light --rows=out/linear_light.json \\
        [--pictures=camera,astronaut] [--seeds=0] [--side=160] [-- FLAGS]

Simulated photos: scikit-image's pictures, grey, blurred along a random path of 15 pixels. The shake
acts on the light (sRGB curve undone, blur, curve applied), on the curve's values, or on the light
of a photo to which the camera gave more contrast after the curve ("toned"), as most do; then noise
of 0.003 and 8 bits. Each photo is deblurred with --linear_light and without, with the true kernel
kept (--kernels=fixed: what does the wrong model cost by itself?) and, unless toned, with a found
one. PSNR of the photo's kind of values in dB after the best shift. FLAGS, by default quickstart,
are those of dem_jax.main. Finished rows are kept in the file.

Typical output, 2 cores of an AMD EPYC, seed 0, means of the two pictures:

    shake of the  kernel  blurred  without  --linear_light
    light         true      16.61    19.48           29.40
    toned         true      15.96    19.59           24.69
    curve         true      16.82    32.38           18.87
    light         found     16.61    18.06           25.15
    curve         found     16.82    25.93           18.54
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import common, simulated
from dem_jax import solver
from dem_jax.evaluation import camera_shake, metrics, tables
from dem_jax.runtime import sizes
from dem_jax.runtime.files import colour, given_kernels

FLAGS = ["--flagfile=quickstart"]
EXTENT, NOISE, MAX_SHIFT = 15, 0.003, 10
KINDS = [("light", True), ("toned", True), ("curve", True), ("light", False), ("curve", False)]
DEBLUR = jax.jit(solver.deblur, static_argnums=2)


def tone(values):
    """Half-way to the S of smoothstep: darker darks, brighter lights."""
    return (values + values**2 * (3 - 2 * values)) / 2


def simulate(name, seed, side, shake):
    """(sharp, photo, kernel): [side, side, 1] twice, gamma-encoded values of 8 bits, and [k, k]."""
    sharp = simulated.sample(name, side)
    kernel_key, noise_key = jax.random.split(jax.random.key(seed))
    kernel = camera_shake.random_kernel(kernel_key, EXTENT + 2, extent=EXTENT)
    shaken = sharp if shake == "curve" else colour.to_light(sharp)
    photo = np.asarray(camera_shake.blur_uniform(jnp.asarray(shaken), kernel))
    photo = photo if shake == "curve" else colour.from_light(photo)
    if shake == "toned":
        sharp, photo = tone(sharp), tone(photo)
    return sharp, simulated.exposed(noise_key, photo, NOISE), np.asarray(kernel)


def measure(options, name, seed, side, shake, fixed):
    """PSNR of the photo and of what becomes of it without and with --linear_light."""
    sharp, photo, kernel = simulate(name, seed, side, shake)
    config = sizes.resolve(options.config, options.sizes, side, side, name)
    given = {}
    if fixed:
        config = dataclasses.replace(config, kernels="fixed")
        fitted = given_kernels.fit(kernel[None], config.kernel_size, config.patch_grid)
        given = {"kernels": jnp.asarray(fitted)}

    def result(pixels):
        return np.asarray(DEBLUR(jax.random.key(seed), jnp.asarray(pixels), config, **given).latent)

    def psnr(picture):
        pair = metrics.register_shift(picture, sharp, max_shift=MAX_SHIFT)
        return float(metrics.psnr(pair.result, pair.truth))

    off, on = result(photo), colour.from_light(result(colour.to_light(photo)))
    return {"blurred": psnr(photo), "off": psnr(off), "on": psnr(on)}


def table(rows):
    """A line a photo and kernel, and the mean of every kind of shake and kernel."""
    kinds, lines = {}, []
    for name, row in rows.items():
        line = [row["blurred"], row["off"], row["on"], row["on"] - row["off"]]
        lines.append([*name.split("/"), *line])
        kinds.setdefault(tuple(name.split("/")[2:]), []).append(line)
    for kind, own in kinds.items():
        lines.append(["**mean**", "", *kind, *np.mean(own, axis=0).tolist()])
    header = "picture|seed|shake of the|kernel|blurred|without|--linear_light|difference"
    return tables.markdown(header.split("|"), lines)


def run(arguments, flags):
    flags = flags or FLAGS
    options, side, tasks = common.options(flags), int(arguments.side), {}
    for shake, fixed in KINDS:
        for name in arguments.pictures.split(","):
            for seed in common.numbers(arguments.seeds):
                task = functools.partial(measure, options, name, seed, side, shake, fixed)
                tasks[f"{name}/{seed}/{shake}/{'true' if fixed else 'found'}"] = task
    rows = common.kept_rows(arguments.rows, tasks)
    command = f"python -m benchmarks.quality.linear_light --rows=FILE -- {' '.join(flags)}"
    about = f"Made by `{command}`; PSNR in dB; {side} pixels a side, grey."
    common.report("Light or its curve", about, table(rows))


if __name__ == "__main__":
    defaults = {"pictures": "camera,astronaut", "seeds": "0", "side": "160"}
    run(*common.arguments_and_flags(__doc__, rows=None, **defaults))
