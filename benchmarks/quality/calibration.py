"""Is the posterior's standard deviation right, and its mean better than its best sample?

    python -m benchmarks.quality.calibration --rows=benchmarks/results/calibration.json \\
        [--pictures=camera,coffee] [--noises=0.05] [--seeds=0] [-- FLAGS]

Simulated photos: scikit-image's pictures, grey, 256 x 256 pixels, blurred along a random path, with
Gaussian noise. Truth is registered by the best shift. Reported: the fraction of true pixels within
one and two posterior standard deviations (a Gaussian has 68.3 and 95.4 %), the factor on the
deviation that would make the first fraction right, and the PSNR of the start, of the result, of the
posterior mean (the result without refinement) and of the best and the last single sample of the
last E-step; and both fractions for the start's picture, whose deviation is that of a Gaussian
model.
Finished rows are kept in the file.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import common, simulated
from dem_jax.em import mcem
from dem_jax.em.result import finish, started
from dem_jax.evaluation import camera_shake, metrics, tables
from dem_jax.runtime import sizes
from dem_jax.start.problem import prepare

CROP, MAX_SHIFT, KERNEL = 15, 10, 21  # pixels
COLUMNS = {
    "blurred": "blurred",
    "start": "start",
    "result": "result",
    "mean": "posterior mean",
    "best_sample": "best sample",
    "last_sample": "last sample",
    "gain": "mean over best",
    "one": "within 1 std [%]",
    "two": "within 2 std [%]",
    "factor": "factor on std",
    "std": "std",
    "start_one": "start within 1 std [%]",
    "start_two": "start within 2 std [%]",
}


def simulate(name, noise, seed, side):
    """(sharp, photo), both [side, side, 1] with values of 8 bits."""
    sharp = simulated.sample(name, side)
    kernel_key, noise_key = jax.random.split(jax.random.key(seed))
    kernel = camera_shake.random_kernel(kernel_key, KERNEL)
    return sharp, simulated.shaken(noise_key, sharp, kernel, noise)


@functools.partial(jax.jit, static_argnums=2)
def posterior(key, photo, config):
    """(start, its deviation, result, deviation, mean, samples [n, H, W, C]) of the last E-step.

    The last M-step, which comes after them, is left out: the kernels are not asked for.
    """
    start_key, init_key = jax.random.split(jax.random.fold_in(key, 0))
    problem = prepare(start_key, photo, config)
    state = mcem.init(init_key, problem, config)

    def iterate(state, t):
        return mcem.step(jax.random.fold_in(key, t), state, problem, config)

    state, _ = jax.lax.scan(iterate, state, jnp.arange(1, config.em_iterations))
    last_key = jax.random.fold_in(key, config.em_iterations)
    _, drawn = mcem.e_step(last_key, state, problem, config)

    def finished(image, config):
        last = state._replace(mean=image)
        return finish(last, problem, config)

    result, plain = finished(drawn.mean, config), dataclasses.replace(config, refinement=0.0)
    images = jnp.concatenate([drawn.mean[None], drawn.latents])
    images = jax.vmap(lambda f: finished(f, plain).latent)(images)
    return *started(problem)[:2], result.latent, result.std, images[0], images[1:]


def measure(options, name, noise, seed, side):
    sharp, photo = simulate(name, noise, seed, side)
    config = sizes.resolve(options.config, options.sizes, side, side, name)
    config = dataclasses.replace(config, kernel_size=KERNEL)
    arrays = posterior(jax.random.key(seed), jnp.asarray(photo), config)
    start, start_std, result, std, mean, drawn = (np.asarray(array) for array in arrays)

    def register(picture):
        return metrics.register_shift(picture, sharp, max_shift=MAX_SHIFT, crop=CROP)

    def psnr(picture):
        pair = register(picture)
        return float(metrics.psnr(pair.result, pair.truth))

    def ratio(picture, std):
        """Errors in deviations; the deviation is smooth, so that whole pixels do."""
        pair = register(picture)
        row, col = (CROP + round(s) for s in pair.shift)
        rows, cols = pair.truth.shape[:2]
        std = std[row : row + rows, col : col + cols]
        return np.abs(pair.result - pair.truth) / np.maximum(std, 1e-6)

    errors, errors_at_start = ratio(result, std), ratio(start, start_std)
    each = [psnr(picture) for picture in drawn]
    scores = {"blurred": psnr(photo), "start": psnr(start)}
    scores |= {"result": psnr(result), "mean": psnr(mean)}
    scores |= {"best_sample": max(each), "last_sample": each[-1]}
    scores |= {"gain": scores["mean"] - max(each), "samples": len(each)}
    for name, found in (("", errors), ("start_", errors_at_start)):
        scores[f"{name}one"], scores[f"{name}two"] = (
            100 * float(np.mean(found <= n)) for n in (1, 2)
        )
    factor = float(np.quantile(errors, 0.6827))
    return {**scores, "factor": factor, "std": float(np.mean(std))}


def run(arguments, flags):
    options, tasks = common.options(flags), {}
    for name in arguments.pictures.split(","):
        for noise in arguments.noises.split(","):
            for seed in common.numbers(arguments.seeds):
                task = (measure, options, name, float(noise), seed, int(arguments.side))
                tasks[f"{name}, noise {noise}, seed {seed}"] = functools.partial(*task)
    rows = common.kept_rows(arguments.rows, tasks)
    lines = [[name, *(row[column] for column in COLUMNS)] for name, row in rows.items()]
    means = [float(np.mean([row[column] for row in rows.values()])) for column in COLUMNS]
    table = tables.markdown(["photo", *COLUMNS.values()], [*lines, ["**mean**", *means]])
    command = f"python -m benchmarks.quality.calibration --rows=FILE -- {' '.join(flags)}"
    about = f"Made by `{command}`; PSNR in dB; {arguments.side} pixels a side, grey."
    common.report("Calibration on simulated photos", about, table)


if __name__ == "__main__":
    defaults = {"pictures": "camera,astronaut,coffee", "seeds": "0"}
    defaults["noises"] = "0.003,0.01,0.03,0.05"
    run(*common.arguments_and_flags(__doc__, rows=None, side="256", **defaults))
