"""A run that is stopped and gone on from equals one that was not; nothing else is gone on from.

Run as a script, this file is the process that the tests kill.
"""

import errno
import io
import json
import os
import pathlib
import random
import shutil
import signal
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
from dem_jax.runtime import driver, progress, sizes
from dem_jax.runtime.files import checkpoints, inputs
from dem_jax.runtime.scale import devices, plan
from dem_jax.solver import Solver
from dem_jax.types import EMInfo, Problem, Result

ITERATIONS = 4
SMOKE = pathlib.Path(__file__).parents[3] / "configs" / "smoke.flags"


def prepare(key, given, config):
    photo = given.pixels
    margin = config.kernel_size // 2
    latent = jnp.pad(photo, ((margin, margin), (margin, margin), (0, 0)), mode="edge")
    noise = jax.random.normal(key, latent.shape)
    size = config.kernel_size
    # A blur that is worth undoing, for otherwise the photo would be kept as it is.
    kernels = jnp.zeros((1, size, size)).at[:, margin, margin - 2 : margin + 3].set(0.2)
    weight = jnp.ones(photo.shape[:2])
    return Problem(
        photo, weight, noise, noise[:8, :8], latent, kernels, jnp.float32(0.01), *tiny.sharp_start()
    )


def init(key, problem, config):
    return {"latent": problem.start_latent + 0.0, "steps": jnp.int32(0), "kernels": (problem[5],)}


def step(key, state, problem, config):
    """An expanding map of a random state: a difference in the last bit would grow, not fade."""
    noise = jax.random.uniform(key, state["latent"].shape)
    latent = jnp.mod(1.7 * state["latent"] + noise + 0.01 * problem.image_input[..., :3], 1.0)
    value = jnp.mean(latent)
    kernels = jax.nn.softmax(state["kernels"][0] + value, axis=(1, 2))
    state = {"latent": latent, "steps": state["steps"] + 1, "kernels": (kernels,)}
    return state, EMInfo(value, value, value, value, jnp.bool_(True))


def finish(state, problem, config):
    margin = config.kernel_size // 2
    height, width, _ = problem.photo.shape
    latent = state["latent"][margin : margin + height, margin : margin + width]
    return Result(latent, state["kernels"][0], 0.1 * latent, None)


FAKE = Solver(prepare, init, step, finish)


class Stop(progress.Progress):
    """Sends this process a signal after an EM iteration, or at a stage."""

    def __init__(self, at, number=signal.SIGTERM):
        self._at, self._number = at, number
        super().__init__(io.StringIO())

    def iteration(self, done, negative_log_likelihood):
        super().iteration(done, negative_log_likelihood)
        self._stop_at(done)

    def stage(self, name):
        super().stage(name)
        self._stop_at(name)

    def _stop_at(self, place):
        if place != self._at:
            return
        main = threading.main_thread()
        signal.pthread_kill(main.ident, self._number)
        if threading.current_thread() is not main:
            time.sleep(0.3)  # Python hears signals in its main thread only, not at once


def run(photos, out, *, stop=None, number=signal.SIGTERM, iterations=ITERATIONS, **changes):
    config = DeblurConfig(em_iterations=iterations, kernel_size=9)
    changes = {"seed": 0, "checkpoint_every": 0.0, **changes}
    options = driver.Options(out, config, sizes.Sizes("uniform", 9, None), **changes)
    out.mkdir(exist_ok=True)
    photos = photos if isinstance(photos, list) else [photos]
    sources = inputs.select([str(path) for path in photos]).sources
    said = Stop(stop, number)
    status = driver.run(options, sources, solver=FAKE, progress=said)
    return status, said._stream.getvalue()


def results(out, name="a"):
    """All that a run leaves, without what tells the time."""
    timed = ("run.json", "report.html")
    found = {p.name: p.read_bytes() for p in (out / name).iterdir() if p.name not in timed}
    lines = [json.loads(line) for line in found.pop("metrics.jsonl").splitlines()]
    for line in lines:
        del line["seconds"]
    return found, lines


def record(out, name="a"):
    return json.loads((out / name / "run.json").read_text())


@pytest.fixture(scope="module")
def photo(tmp_path_factory):
    path = tmp_path_factory.mktemp("photo") / "a.png"
    pixels = np.random.default_rng(0).integers(0, 256, (40, 48, 3), dtype=np.uint8)
    assert cv2.imwrite(str(path), pixels)
    return path


@pytest.fixture(scope="module")
def whole(photo, tmp_path_factory):
    """Results of an uninterrupted run."""
    out = tmp_path_factory.mktemp("whole")
    assert run(photo, out)[0] == 0
    assert not (out / "a" / "checkpoint").exists()
    return results(out)


@pytest.fixture(scope="module")
def _stopped(photo, tmp_path_factory):
    out = tmp_path_factory.mktemp("stopped")
    assert run(photo, out, stop=2)[0] == 75
    return out


@pytest.fixture
def folder(_stopped, tmp_path):
    """The checkpoints of a run in tmp_path / "out", stopped by SIGTERM after EM iteration 2."""
    shutil.copytree(_stopped, tmp_path / "out")
    return tmp_path / "out" / "a" / "checkpoint"


@pytest.mark.parametrize(
    ("at", "every", "done"),
    [("warm start", 0.0, None), ("EM", 0.0, 0), (1, 0.0, 1), ("EM", 1e9, 0), (3, 1e9, 3)],
)
def test_sigterm_saves_and_the_rerun_equals_an_uninterrupted_run(
    photo, whole, tmp_path, at, every, done
):
    out = tmp_path / "out"
    began = time.monotonic()
    status, said = run(photo, out, stop=at, checkpoint_every=every)
    assert status == 75
    assert time.monotonic() - began < 10
    assert record(out)["status"] == "failed"
    assert "stopped by SIGTERM" in record(out)["why"]
    assert record(out)["why"] in said
    summary = json.loads((out / "summary.json").read_text())
    assert summary["counts"] == {"failed": 1}
    assert run(photo, out)[0] == 0
    assert record(out)["resumed_from"] == done
    assert record(out)["em_iterations_done"] == ITERATIONS
    assert results(out) == whole
    assert not (out / "a" / "checkpoint").exists()


def test_sigterm_stops_photos_side_by_side(photo, tmp_path):
    other = tmp_path / "b.png"
    assert cv2.imwrite(str(other), cv2.imread(str(photo))[::-1])
    together = {"batching": plan.Batching(size=2)}
    assert run([photo, other], tmp_path / "whole", **together)[0] == 0
    assert run([photo, other], tmp_path / "out", stop=2, **together)[0] == 75
    assert run([photo, other], tmp_path / "out", **together)[0] == 0
    for name in ("a", "b"):
        assert record(tmp_path / "out", name)["resumed_from"] >= 1
        assert results(tmp_path / "out", name) == results(tmp_path / "whole", name)


def test_ctrl_c_leaves_a_result_and_a_checkpoint(photo, whole, tmp_path):
    status, _ = run(photo, tmp_path / "out", stop=2, number=signal.SIGINT, checkpoint_every=1e9)
    assert status == 1
    assert (tmp_path / "out" / "a" / "deblurred.png").exists()
    assert run(photo, tmp_path / "out")[0] == 0
    assert record(tmp_path / "out")["resumed_from"] == 2
    assert results(tmp_path / "out") == whole


def test_metrics_of_a_killed_run_are_neither_doubled_nor_lost(photo, whole, tmp_path, folder):
    out = tmp_path / "out"
    with open(out / "a" / "metrics.jsonl", "a") as file:
        file.write('{"iteration": 3, "seconds": 1.0}\n{"iterat')  # beyond the checkpoint, and half
    assert run(photo, out)[0] == 0
    assert results(out) == whole
    lines = (out / "a" / "metrics.jsonl").read_text().splitlines()
    seconds = [json.loads(line)["seconds"] for line in lines]
    assert seconds == sorted(seconds)


def test_noresume_starts_anew(photo, whole, tmp_path, folder):
    truncate(largest(folder))
    assert run(photo, tmp_path / "out", resume=False)[0] == 0
    assert record(tmp_path / "out")["resumed_from"] is None
    assert results(tmp_path / "out") == whole


def test_no_checkpoint_is_written_before_it_is_due(photo, tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoints.local_arrays, "save", lambda *_: pytest.fail("nothing is due"))
    assert run(photo, tmp_path / "out", checkpoint_every=1e9)[0] == 0


def largest(folder):
    return max((p for p in folder.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)


def truncate(path):
    path.write_bytes(path.read_bytes()[:-10])


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("damage", [truncate, flip, pathlib.Path.unlink])
@pytest.mark.parametrize("part", ["problem", "state_2", "2.json"])
def test_damaged_checkpoint_is_refused_by_name(photo, tmp_path, folder, damage, part):
    if (damage, part) == (pathlib.Path.unlink, "2.json"):
        pytest.skip("a checkpoint without a seal does not count, see below")
    path = largest(folder / part) if (folder / part).is_dir() else folder / part
    damage(path)
    before = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    status, said = run(photo, tmp_path / "out")
    assert status == 1
    why = f"The checkpoint is damaged in {path}; use --noresume to start anew"
    assert record(tmp_path / "out")["why"].startswith(why)
    assert why in said.splitlines()[-1]
    assert {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()} == before


def test_foreign_checkpoint_is_refused_by_name(photo, tmp_path, folder, monkeypatch):
    other = tmp_path / "a.png"
    assert cv2.imwrite(str(other), cv2.imread(str(photo))[::-1])

    def refused(reason, photo=photo, **changes):
        status, said = run(photo, tmp_path / "out", **changes)
        assert status == 1
        assert f"The checkpoint in {folder} {reason}; use --noresume to start anew" in said
        assert record(tmp_path / "out")["status"] == "failed"

    refused("was made with em_iterations=4, which is 5 now", iterations=5)
    refused("was made with seed=0, which is 7 now", seed=7)
    refused("was made with precision=float32, which is tf32 now", precision="tf32")
    refused("is of another photo", photo=other)
    with monkeypatch.context() as patch:
        version = devices.__version__
        patch.setattr(devices, "__version__", "9.9")
        refused(f"was made with dem_jax={version}, which is 9.9 now")
    assert run(photo, tmp_path / "out")[0] == 0  # the right one goes on all the same
    assert record(tmp_path / "out")["resumed_from"] == 2


def test_a_finished_result_stays_whatever_lies_beside_it(photo, tmp_path, folder):
    shutil.copytree(folder, tmp_path / "kept")
    assert run(photo, tmp_path / "out")[0] == 0
    before = results(tmp_path / "out")
    shutil.copytree(tmp_path / "kept", folder)
    status, said = run(photo, tmp_path / "out", iterations=5)
    assert status == 0
    assert "skipped" in said
    assert not folder.exists()
    assert results(tmp_path / "out") == before
    # Doing it again starts anew, and goes on when that is stopped.
    shutil.copytree(tmp_path / "kept", folder)
    assert run(photo, tmp_path / "out", overwrite=True, stop=3)[0] == 75
    assert record(tmp_path / "out")["resumed_from"] is None
    assert run(photo, tmp_path / "out", overwrite=True)[0] == 0
    assert record(tmp_path / "out")["resumed_from"] == 3


def test_a_save_that_was_killed_does_not_count(photo, whole, tmp_path, folder):
    shutil.copytree(folder / "state_2", folder / "state_3")
    (folder / "state_4.orbax-checkpoint-tmp").mkdir()
    (folder / ".3.json.7.tmp").write_text("{")
    assert run(photo, tmp_path / "out", stop=3)[0] == 75
    assert {path.name for path in folder.iterdir()} == {"problem", "state_3", "3.json"}
    (folder / "3.json").unlink()
    assert run(photo, tmp_path / "out")[0] == 0
    assert record(tmp_path / "out")["resumed_from"] is None
    assert results(tmp_path / "out") == whole


def test_diverged_run_leaves_no_checkpoint(photo, tmp_path):
    def diverge(key, state, problem, config):
        state, info = step(key, state, problem, config)
        return state, info._replace(finite=state["steps"] < 3)

    out = tmp_path / "out"
    out.mkdir()
    config = DeblurConfig(em_iterations=4, kernel_size=9)
    wanted = sizes.Sizes("uniform", 9, None)
    options = driver.Options(out, config, wanted, seed=0, checkpoint_every=0.0)
    sources = inputs.select([str(photo)]).sources
    assert driver.run(options, sources, solver=FAKE._replace(step=diverge), progress=Stop(None))
    assert record(out)["status"] == "diverged"
    assert not (out / "a" / "checkpoint").exists()


def test_full_disk_keeps_the_checkpoint_before(photo, whole, tmp_path, folder, monkeypatch):
    write = checkpoints.Checkpoints._write_trees

    def full(self, trees):
        write(self, trees)
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(checkpoints.Checkpoints, "_write_trees", full)
        status, said = run(photo, tmp_path / "out", stop=3)
    assert status == 75
    assert f"The checkpoint in {folder} could not be written (No space left on device)" in said
    assert "make room and run the same command again" in said
    assert {path.name for path in folder.iterdir()} == {"problem", "state_2", "2.json"}
    assert run(photo, tmp_path / "out")[0] == 0
    assert record(tmp_path / "out")["resumed_from"] == 2
    assert results(tmp_path / "out") == whole


class _Slow(progress.Progress):
    """Gives the killer time."""

    def iteration(self, done, negative_log_likelihood):
        time.sleep(0.05)
        super().iteration(done, negative_log_likelihood)


def kill_at_random(command, folder, rng, longest):
    """Runs `command`, and kills it with SIGKILL up to `longest` seconds after a new checkpoint."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    before = set(folder.glob("*.json"))
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, env=environment)
    while process.poll() is None and set(folder.glob("*.json")) <= before:
        time.sleep(0.01)
    time.sleep(rng.uniform(0, longest))
    process.kill()
    assert process.wait() == -signal.SIGKILL


def test_sigkill_at_random_moments(photo, tmp_path):
    assert run(photo, tmp_path / "whole", iterations=99, checkpoint_every=1e9)[0] == 0
    out = tmp_path / "out"
    command = [sys.executable, __file__, str(photo), str(out), "99"]
    rng = random.Random(0)
    for _ in range(2):
        kill_at_random(command, out / "a" / "checkpoint", rng, 0.5)
    assert run(photo, out, iterations=99, checkpoint_every=1e9)[0] == 0
    assert record(out)["resumed_from"] > 0
    assert results(out) == results(tmp_path / "whole")


@pytest.mark.slow
def test_sigkill_of_the_real_solver(photo, tmp_path):
    flags = [f"--flagfile={SMOKE}", f"--input={photo}", "--em_iterations=60", "--seed=3"]
    flags += ["--checkpoint_every=0", f"--compilation_cache_dir={tmp_path / 'cache'}"]
    command = [sys.executable, "-m", "dem_jax.main", *flags]
    for name in ("whole", "again"):
        subprocess.run([*command, f"--output_dir={tmp_path / name}"], check=True)
    assert results(tmp_path / "again") == results(tmp_path / "whole")
    out = tmp_path / "out"
    rng = random.Random(0)
    for _ in range(10):
        kill_at_random([*command, f"--output_dir={out}"], out / "a" / "checkpoint", rng, 0.3)
    subprocess.run([*command, f"--output_dir={out}"], check=True)
    assert record(out)["resumed_from"] > 0
    assert results(out) == results(tmp_path / "whole")


if __name__ == "__main__":
    config = DeblurConfig(em_iterations=int(sys.argv[3]), kernel_size=9)
    folder = pathlib.Path(sys.argv[2])
    folder.mkdir(exist_ok=True)
    wanted = sizes.Sizes("uniform", 9, None)
    options = driver.Options(folder, config, wanted, seed=0, checkpoint_every=0.0)
    sys.exit(
        driver.run(options, inputs.select(sys.argv[1:2]).sources, solver=FAKE, progress=_Slow())
    )
