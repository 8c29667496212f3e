"""A solver that computes next to nothing, in place of the real one."""

import jax
import jax.numpy as jnp
import tiny

from dem_jax.config import DeblurConfig
from dem_jax.runtime import driver, sizes
from dem_jax.solver import Solver
from dem_jax.types import EMInfo, Given, Problem, Result


def prepare(key, photo, config):
    given = photo if isinstance(photo, Given) else Given(photo)
    photo, weight = given.pixels, given.weight
    margin = config.kernel_size // 2
    latent = jnp.pad(photo, ((margin, margin), (margin, margin), (0, 0)), mode="edge")
    size, (rows, cols) = config.kernel_size, config.patch_grid
    across = slice(margin - 3, margin + 4)  # a blur that is worth undoing
    kernels = jnp.zeros((rows * cols, size, size)).at[:, margin, across].set(1 / 7)
    noise = jax.random.normal(key, latent.shape)
    weight = jnp.ones(photo.shape[:2]) if weight is None else weight
    small = noise[:8, :8]
    return Problem(
        photo, weight, noise, small, latent, kernels, jnp.float32(0.01), *tiny.sharp_start()
    )


def init(key, problem, config):
    return problem.start_latent + 0.0


def step(key, state, problem, config):
    value = jnp.mean(state)
    return state, EMInfo(value, value, value, value, jnp.bool_(True))


def finish(state, problem, config):
    margin = config.kernel_size // 2
    height, width, _ = problem.photo.shape
    latent = 1 - state[margin : margin + height, margin : margin + width]
    empty = jnp.zeros((1,))
    info = EMInfo(empty, empty, empty, empty, empty > 0)
    return Result(latent, problem.start_kernels, 0.1 * latent, info)


FAKE = Solver(prepare, init, step, finish)  # the result is the photo's negative


def make_options(tmp_path, **changes):
    """Options for photos of at least 18 pixels a side."""
    config = DeblurConfig(em_iterations=2, kernel_size=9)
    return driver.Options(tmp_path / "out", config, sizes.Sizes("uniform", 9, None), 0, **changes)
