"""Photos side by side: what a batch computes, and who sits in it."""

import io
import json
import os
import subprocess
import sys
import threading
import time

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from dem_jax.config import DeblurConfig
from dem_jax.runtime import driver, programs, progress, sizes
from dem_jax.runtime.files import images, inputs
from dem_jax.runtime.interrupt import Preempted
from dem_jax.runtime.scale import batches, memory, plan
from dem_jax.solver import Solver
from dem_jax.start.look import shared_side
from dem_jax.types import EMInfo, Given, Problem, Result


def prepare(key, photo, config):
    photo, size, *_ = photo if isinstance(photo, Given) else Given(photo)
    margin = config.kernel_size // 2
    latent = jnp.pad(photo, ((margin, margin), (margin, margin), (0, 0)), mode="edge")
    kernels = jnp.zeros((1, 9, 9)).at[0, margin].set(1 / 9)
    weight = jnp.ones(photo.shape[:2])
    if size is not None:
        rows, cols = (jnp.arange(n) < size[axis] for axis, n in enumerate(weight.shape))
        weight = weight * rows[:, None] * cols[None]
    return Problem(
        photo, weight, latent, latent, latent, kernels, jnp.float32(0.01), *tiny.sharp_start()
    )


def step(key, state, problem, config):
    noise = jax.random.uniform(key, state.shape)
    state = state + 0.1 * noise * jnp.mean(problem.photo)
    value = jnp.mean(state)
    return state, EMInfo(value, value, value, value, jnp.bool_(True))


def finish(state, problem, config):
    latent = state[4:-4, 4:-4]
    empty = jnp.zeros((1,))
    info = EMInfo(empty, empty, empty, empty, empty > 0)
    return Result(jnp.clip(latent, 0, 1), problem.start_kernels, 0.1 * latent, info)


FAKE = Solver(prepare, lambda key, problem, config: problem.start_latent, step, finish)


def make_photo(path, shape=(40, 48, 3), seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    assert cv2.imwrite(str(path), pixels)


def record(tmp_path, name):
    return json.loads((tmp_path / "out" / name / "run.json").read_text())


def run(tmp_path, *, solver=FAKE, **changes):
    config = DeblurConfig(em_iterations=2, kernel_size=9)
    out = tmp_path / changes.pop("out", "out")
    out.mkdir(exist_ok=True)
    options = driver.Options(out, config, sizes.Sizes("uniform", 9, None), seed=0, **changes)
    stream = io.StringIO()
    sources = inputs.select([str(tmp_path)]).sources
    status = driver.run(options, sources, solver=solver, progress=progress.Progress(stream))
    return status, stream.getvalue()


def counting(traced):
    def counted_step(*args):
        traced.append(args[1].shape)
        return step(*args)

    return FAKE._replace(step=counted_step)


@pytest.mark.parametrize("size", [1, 4])
def test_twelve_photos_of_three_sizes_two_of_them_damaged(tmp_path, size):
    shapes = [(40, 48, 3), (56, 48, 3), (40, 40, 1)]
    for i in range(12):
        make_photo(tmp_path / f"p{i:02}.png", shapes[i % 3], seed=i)
    for i in (4, 9):  # cut in the middle: the header still tells a size
        path = tmp_path / f"p{i:02}.png"
        path.write_bytes(path.read_bytes()[:900])
    traced = []
    status, said = run(tmp_path, solver=counting(traced), batching=plan.Batching(size))
    assert status == 1
    assert len(traced) == 3  # compilations of EM's step
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["counts"] == {"done": 10, "failed": 2}
    for photo in summary["photos"]:
        assert (photo["error"] is None) == (photo["name"] not in ("p04", "p09"))
        assert photo["error"] is None or "damaged" in photo["error"]
    assert "2 of 12 photos were not finished" in said


def test_batch_of_near_sizes_equals_one_by_one(tmp_path):
    shapes = [(42, 48), (48, 41), (47, 47)]
    for i, shape in enumerate(shapes):
        make_photo(tmp_path / f"p{i}.png", (*shape, 3), seed=i)
    results = {}
    for size in (1, 3):
        traced = []
        status, said = run(
            tmp_path,
            solver=counting(traced),
            batching=plan.Batching(size, buckets=True),
            out=f"out{size}",
        )
        assert status == 0, said
        assert traced == [(56, 56, 3)]  # one bucket of 48x48, and the kernel's border
        results[size] = [
            np.load(tmp_path / f"out{size}" / f"p{i}" / "uncertainty.npy") for i in range(3)
        ]
    for one, many, shape in zip(
        results[1], results[3], [(42, 48), (48, 41), (47, 47)], strict=True
    ):
        assert one.shape[:2] == shape
        np.testing.assert_allclose(one, many, atol=1e-6)


def test_a_photo_that_diverges_leaves_the_others_alone(tmp_path):
    for i in range(3):
        make_photo(tmp_path / f"p{i}.png", seed=i)

    def diverge(key, state, problem, config):
        bad = jnp.abs(problem.photo[0, 0, 0] - first) < 1e-6
        state, info = step(key, state, problem, config)
        return state, info._replace(finite=~bad)

    source = inputs.select([str(tmp_path / "p1.png")]).sources[0]
    first = images.read_photo(source.path).pixels[0, 0, 0]
    status, _ = run(tmp_path, solver=FAKE._replace(step=diverge), batching=plan.Batching(3))
    assert status == 1
    assert [record(tmp_path, f"p{i}")["status"] for i in range(3)] == ["done", "diverged", "done"]


def test_error_of_a_program_fails_its_batch_with_a_sentence(tmp_path):
    for i in range(2):
        make_photo(tmp_path / f"p{i}.png", seed=i)

    def fail(key, state, problem, config):
        raise RuntimeError("RESOURCE_EXHAUSTED: out of memory")

    status, _ = run(tmp_path, solver=FAKE._replace(step=fail), batching=plan.Batching(2))
    assert status == 1
    for i in range(2):
        assert "--batch_size=1" in record(tmp_path, f"p{i}")["why"]


@pytest.mark.parametrize(
    ("count", "most", "multiple", "width", "parts"),
    [(10, 8, 1, 5, [5, 5]), (13, 8, 1, 7, [7, 6]), (3, 8, 1, 3, [3]), (10, 8, 8, 8, [8, 2])],
)
def test_even_parts(count, most, multiple, width, parts):
    found, lists = batches.even_parts(range(count), most, multiple)
    assert found == width
    assert [len(part) for part in lists] == parts
    assert [item for part in lists for item in part] == list(range(count))


def test_what_the_memory_does_not_hold_is_not_put_side_by_side(tmp_path, monkeypatch):
    for i in range(4):
        make_photo(tmp_path / f"p{i}.png", seed=i)
    sources = inputs.select([str(tmp_path)]).sources
    config, wanted = DeblurConfig(kernel_size=9), sizes.Sizes("uniform", 9, None)
    found = plan.groups(sources, config, wanted, plan.Batching(4))
    assert [(len(group.sources), group.width) for group in found] == [(4, 4)]
    need = memory.em_bytes(40, 48, 3, config)
    monkeypatch.setattr(memory, "device_bytes", lambda: int(2.5 * need / memory.USABLE))
    found = plan.groups(sources, config, wanted, plan.Batching(4))
    assert [(len(group.sources), group.width) for group in found] == [(2, 2), (2, 2)]
    found = plan.groups(sources, config, wanted, plan.Batching(None))
    assert [(len(group.sources), group.width) for group in found] == [(1, 0)] * 4  # on CPU


OVER_DEVICES = """
import importlib.util, pathlib, sys
import jax
jax.config.update("jax_num_cpu_devices", 4)
jax.config.update("jax_platforms", "cpu")
spec = importlib.util.spec_from_file_location("fakes", sys.argv[1])
fakes = importlib.util.module_from_spec(spec)
spec.loader.exec_module(fakes)
status, said = fakes.run(pathlib.Path(sys.argv[2]), out="out4")
print(said)
sys.exit(status)
"""


def test_photos_over_devices_leave_the_same_results(tmp_path):
    for i in range(5):  # on four devices: the second round has three empty seats
        make_photo(tmp_path / f"p{i}.png", seed=i)
    status, _ = run(tmp_path)
    assert status == 0
    ran = subprocess.run(
        [sys.executable, "-c", OVER_DEVICES, __file__, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    for i in range(5):
        one, many = (
            np.load(tmp_path / out / f"p{i}" / "uncertainty.npy") for out in ("out", "out4")
        )
        np.testing.assert_allclose(one, many, atol=1e-6)
        info = json.loads((tmp_path / "out4" / f"p{i}" / "run.json").read_text())
        assert info["device"]["count"] == 4


def test_bucket_sides():
    for length in range(1, 5000, 7):
        side = shared_side(length)
        assert length <= side <= max(length + 7, 1.125 * length)
    assert len({shared_side(n) for n in range(512, 1025)}) == 9
    assert shared_side(4096) == 4096


def test_seats_wait_for_each_other_and_for_nobody_who_left():
    solver = Solver(*[lambda key, x, config: x * config] * 4)
    batch = batches.Batch(programs.Programs(batches.batched_solver(solver)), 3, 3)

    def job(value, calls):
        with batch.seat() as seat:
            return [
                float(seat("init", jnp.float32(0), jnp.float32(value), 2)) for _ in range(calls)
            ]

    found = batches.run_side_by_side([lambda n=n: job(n, n) for n in range(1, 4)])
    assert found == [[2.0], [4.0, 4.0], [6.0, 6.0, 6.0]]


def test_who_leaves_a_stopped_batch_computes_nothing_and_nobody_waits_for_ever():
    """A thread that waits would hold up the interpreter's end."""
    never = Solver(*[lambda *_: pytest.fail("the machine is being taken away")] * 4)
    stopped = threading.Event()
    batch = batches.Batch(programs.Programs(never), 2, 2, stopped=stopped.is_set)
    asked = "init", jnp.float32(0), jnp.float32(1), 2
    with batch.seat() as seat:
        early = programs.in_background(lambda: seat(*asked))
        while not batch._waiting:
            time.sleep(0.01)
        stopped.set()
    late = programs.in_background(lambda: seat(*asked))
    for future in (early, late):
        with pytest.raises(Preempted):
            future.result(timeout=20)
