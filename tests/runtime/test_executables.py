"""Programs on disk are found again by what they were made from, and by nothing else."""

import subprocess
import sys
import time

import jax
import numpy as np
import pytest

from dem_jax.runtime import executables, programs
from dem_jax.solver import Solver

KEY = jax.random.key(3)
X = np.random.default_rng(0).normal(size=(6, 5)).astype(np.float32)


class Traced:
    """A solver's functions, which count how often they are traced."""

    def __init__(self):
        self.times = 0

    def prepare(self, key, x, scale):
        self.times += 1
        return {"noisy": x + scale * jax.random.normal(key, x.shape), "sorted": jax.numpy.sort(x)}

    def init(self, key, problem, scale):
        self.times += 1
        return problem["noisy"] * scale

    def programs(self, folder):
        solver = Solver(self.prepare, self.init, lambda *args: args, self.init)
        return programs.Programs(solver, store=executables.Store(folder))

    def kept(self, folder, *args):
        """What `prepare` gives, once its program lies in the folder."""
        found = self.programs(folder)("prepare", *args)
        while programs.is_busy():
            time.sleep(0.01)
        return found


class Config(float):
    em_iterations = 0


@pytest.fixture(autouse=True)
def _without_other_cache():
    # A program that comes out of JAX's own cache cannot be written down again.
    before = jax.config.jax_enable_compilation_cache
    jax.config.update("jax_enable_compilation_cache", False)
    yield
    jax.config.update("jax_enable_compilation_cache", before)


def test_a_program_of_an_earlier_run_is_neither_traced_nor_different(tmp_path):
    first, again = Traced(), Traced()
    expected = first.kept(tmp_path, KEY, X, 2.0)
    found = again.programs(tmp_path)("prepare", KEY, X, 2.0)
    assert (first.times, again.times) == (1, 0)
    jax.tree.map(np.testing.assert_array_equal, found, expected)


def test_shapes_of_what_a_kept_program_gives_need_no_trace(tmp_path):
    first, again = Traced(), Traced()
    first.kept(tmp_path, KEY, X, Config(2))
    shapes, _ = again.programs(tmp_path).begin(KEY, X, Config(2))
    assert again.times == 0
    assert shapes == jax.eval_shape(lambda k, x: first.prepare(k, x, 2.0), KEY, X)


@pytest.mark.parametrize(
    "change",
    [
        lambda monkeypatch: monkeypatch.setattr(executables, "_source", lambda: "other"),
        lambda monkeypatch: monkeypatch.setattr(executables, "_processor", lambda: ["other"]),
        lambda monkeypatch: monkeypatch.setenv("XLA_FLAGS", "--xla_other"),
    ],
    ids=["source", "processor", "flags"],
)
def test_what_was_made_from_something_else_is_not_taken(tmp_path, monkeypatch, change):
    Traced().kept(tmp_path, KEY, X, 2.0)
    change(monkeypatch)
    other = Traced()
    other.programs(tmp_path)("prepare", KEY, X, 2.0)
    assert other.times == 1


def test_another_configuration_or_shape_is_another_program(tmp_path):
    Traced().kept(tmp_path, KEY, X, 2.0)
    other = Traced()
    found = other.programs(tmp_path)("prepare", KEY, X, 3.0)
    other.programs(tmp_path)("prepare", KEY, X[:4], 2.0)
    assert other.times == 2
    expected = jax.jit(lambda: X + 3.0 * jax.random.normal(KEY, X.shape))()
    np.testing.assert_allclose(found["noisy"], expected, rtol=1e-6)


def test_a_damaged_file_and_a_folder_that_cannot_be_written_cost_only_time(tmp_path):
    Traced().kept(tmp_path, KEY, X, 2.0)
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:100])
    other = Traced()
    other.kept(tmp_path, KEY, X, 2.0)
    assert other.times == 1
    nowhere = Traced()
    nowhere.kept(file / "below", KEY, X, 2.0)
    assert nowhere.times == 1
    assert [each.name for each in tmp_path.iterdir()] == [file.name]  # nothing half written


def test_another_process_finds_the_same_digests():
    script = "from dem_jax.runtime import executables as e; print(e._source(), e._processor())"
    told = {
        subprocess.run([sys.executable, "-c", script], capture_output=True, text=True).stdout
        for _ in range(2)
    }
    assert told == {f"{executables._source()} {executables._processor()}\n"}
