"""Whole runs of the driver with a solver that computes next to nothing: noise moves the photo."""

import io
import json

import cv2
import fake_solver
import jax
import jax.numpy as jnp
import numpy as np

from dem_jax.config import DeblurConfig
from dem_jax.runtime import driver, progress, sizes
from dem_jax.runtime.files import inputs
from dem_jax.types import EMInfo


def step(key, state, problem, config, *, finite=True):
    state = 0.5 * state + 0.5 * jax.random.uniform(key, state.shape)
    value = jnp.mean(state)
    return state, EMInfo(value, value, value, value, jnp.bool_(finite))


def finish(state, problem, config):
    return fake_solver.finish(1 - state, problem, config)  # which is the negative of its state


FAKE = fake_solver.FAKE._replace(step=step, finish=finish)


def make_photo(path, shape=(40, 48, 3), seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    assert cv2.imwrite(str(path), pixels)


def make_options(tmp_path, **changes):
    changes = {"config": DeblurConfig(em_iterations=3, kernel_size=9), **changes}
    wanted = sizes.Sizes("uniform", 9, None)
    return driver.Options(tmp_path / "out", sizes=wanted, seed=0, **changes)


def run(tmp_path, names, *, solver=FAKE, **changes):
    """(exit status, what was said) for the photos of these names in `tmp_path`."""
    options = make_options(tmp_path, **changes)
    options.output_dir.mkdir(exist_ok=True)
    stream = io.StringIO()
    sources = inputs.select([str(tmp_path / name) for name in names]).sources
    status = driver.run(options, sources, solver=solver, progress=progress.Progress(stream))
    return status, stream.getvalue()


def record(tmp_path, name):
    return json.loads((tmp_path / "out" / name / "run.json").read_text())
