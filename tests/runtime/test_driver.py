"""The driver, with a tiny solver in place of the real one: many photos, failures, Ctrl-C."""

import dataclasses
import io
import json
import os
import signal
import threading

import cv2
import jax.numpy as jnp
import numpy as np
import pytest
from fake_solver import prepare
from small_runs import FAKE, make_options, make_photo, record, run, step

from dem_jax.runtime import driver, progress
from dem_jax.runtime.files import framing, inputs, pillow_reader


def test_batch_goes_on_after_failures_and_compiles_once_a_shape(tmp_path):
    shapes = {"a": (40, 48, 3), "b": (40, 48, 3), "c": (50, 48, 3), "d": (40, 48, 3)}
    for seed, (name, shape) in enumerate(shapes.items()):
        make_photo(tmp_path / f"{name}.png", shape, seed)
    (tmp_path / "broken.png").write_bytes((tmp_path / "a.png").read_bytes()[:500])
    make_photo(tmp_path / "tiny.png", (1, 1, 3))
    traced = []

    def counted_step(*args):
        traced.append("step")
        return step(*args)

    names = ["broken.png", "a.png", "tiny.png", "b.png", "c.png", "d.png"]
    status, said = run(tmp_path, names, solver=FAKE._replace(step=counted_step))
    assert status == 1
    assert len(traced) == 2
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["counts"] == {"done": 4, "failed": 2}
    errors = {photo["name"]: photo["error"] for photo in summary["photos"]}
    assert "damaged" in errors["broken"]
    assert "1x1" in errors["tiny"]
    assert errors["a"] is None
    assert "2 of 6 photos were not finished" in said
    assert [p.name for p in (tmp_path / "out" / "broken").iterdir()] == ["run.json"]


def test_what_a_decoder_said_is_kept_beside_the_sentence(tmp_path):
    make_photo(tmp_path / "a.bmp")
    (tmp_path / "a.bmp").write_bytes((tmp_path / "a.bmp").read_bytes()[:500])
    status, said = run(tmp_path, ["a.bmp"])
    assert status == 1
    kept = record(tmp_path, "a")
    assert "its pixels cannot be decoded" in kept["why"]
    assert kept["cause"].startswith("OSError: ")
    assert kept["cause"] not in said


def test_seed_decides_the_result_and_the_photo_its_shape(tmp_path):
    make_photo(tmp_path / "a.png")
    path = tmp_path / "out" / "a" / "uncertainty.npy"
    results = []
    for seed in (0, 0, 1):
        options = dataclasses.replace(make_options(tmp_path, overwrite=True), seed=seed)
        options.output_dir.mkdir(exist_ok=True)
        source = inputs.select([str(tmp_path / "a.png")]).sources
        quiet = progress.Progress(io.StringIO())
        assert driver.run(options, source, solver=FAKE, progress=quiet) == 0
        results.append(np.load(path))
    np.testing.assert_array_equal(results[0], results[1])
    assert np.abs(results[0] - results[2]).max() > 0.01


def test_finished_photos_are_skipped_unless_overwrite(tmp_path):
    make_photo(tmp_path / "a.png")
    run(tmp_path, ["a.png"])
    before = record(tmp_path, "a")
    stamp = (tmp_path / "out" / "a" / "deblurred.png").stat().st_mtime_ns
    status, said = run(tmp_path, ["a.png"])
    assert status == 0
    assert "skipped" in said
    assert record(tmp_path, "a") == before
    assert (tmp_path / "out" / "a" / "deblurred.png").stat().st_mtime_ns == stamp
    run(tmp_path, ["a.png"], overwrite=True)
    assert (tmp_path / "out" / "a" / "deblurred.png").stat().st_mtime_ns > stamp


def test_another_photo_of_the_same_name_does_not_pass_for_finished(tmp_path):
    make_photo(tmp_path / "a.png")
    run(tmp_path, ["a.png"])
    (tmp_path / "other").mkdir()
    make_photo(tmp_path / "other" / "a.png", seed=5)
    status, said = run(tmp_path, ["other/a.png"])
    assert status == 1
    assert "holds the result of" in said


def test_divergence_is_recorded_and_the_warm_start_written(tmp_path):
    make_photo(tmp_path / "a.png")

    def diverge(key, state, problem, config):
        return step(key, state * jnp.nan, problem, config, finite=False)

    status, _ = run(tmp_path, ["a.png"], solver=FAKE._replace(step=diverge))
    assert status == 1
    assert record(tmp_path, "a")["status"] == "diverged"
    assert "iteration 1" in record(tmp_path, "a")["why"]
    written = cv2.imread(str(tmp_path / "out" / "a" / "deblurred.png"))
    np.testing.assert_array_equal(written, cv2.imread(str(tmp_path / "a.png")))
    assert (tmp_path / "out" / "a" / "uncertainty.npy").exists()
    line = json.loads((tmp_path / "out" / "a" / "metrics.jsonl").read_text())
    assert line["negative_log_likelihood"] is None


def test_error_of_the_solver_fails_that_photo_only(tmp_path):
    make_photo(tmp_path / "a.png")
    make_photo(tmp_path / "b.png", (48, 40, 3))

    def fail_on_tall(key, given, config):
        if given.pixels.shape[0] > given.pixels.shape[1]:
            raise RuntimeError("RESOURCE_EXHAUSTED: out of memory")
        return prepare(key, given, config)

    status, _ = run(tmp_path, ["a.png", "b.png"], solver=FAKE._replace(prepare=fail_on_tall))
    assert status == 1
    assert record(tmp_path, "a")["status"] == "done"
    assert record(tmp_path, "b")["status"] == "failed"
    assert "memory is too small" in record(tmp_path, "b")["why"]
    assert "fail_on_tall" in record(tmp_path, "b")["traceback"]


def test_a_line_on_a_failure_names_the_photo_once(tmp_path):
    cv2.imwrite(str(tmp_path / "flat.png"), np.full((40, 48, 3), 90, np.uint8))
    (tmp_path / "text.png").write_bytes(b"no picture")
    _, said = run(tmp_path, ["flat.png", "text.png"])
    assert f"{tmp_path}/flat.png: failed: it is one constant colour; there is" in said
    assert f"{tmp_path}/text.png: failed: it is not a picture" in said
    assert record(tmp_path, "flat")["why"].startswith(f"{tmp_path}/flat.png is one")


def test_too_small_a_memory_for_reading_is_said_so(tmp_path, monkeypatch):
    def exhausted(*_, **__):
        raise MemoryError

    make_photo(tmp_path / "a.png")
    for owner, name in ((pillow_reader.Image.Image, "convert"), (framing, "frame")):
        with monkeypatch.context() as patched:
            patched.setattr(owner, name, exhausted)
            status, said = run(tmp_path, ["a.png"])
        assert status == 1
        assert "memory is too small" in record(tmp_path, "a")["why"]
        assert "damaged" not in said


def test_no_more_threads_is_said_so(tmp_path, monkeypatch):
    def refused(self):
        raise RuntimeError("can't start new thread")

    make_photo(tmp_path / "a.png")
    monkeypatch.setattr(threading.Thread, "start", refused)
    status, said = run(tmp_path, ["a.png"])
    assert status == 1
    assert record(tmp_path, "a")["status"] == "failed"
    assert "limited for this process (ulimit -v)" in said
    assert "Traceback" not in said


def test_why_little_is_left_of_a_photo_is_said_before_it_fails(tmp_path):
    rgba = np.random.default_rng(0).integers(0, 256, (40, 48, 4), dtype=np.uint8)
    rgba[..., 3] = 0
    rgba[20, 20, 3] = 255
    cv2.imwrite(str(tmp_path / "dot.png"), rgba)
    status, said = run(tmp_path, ["dot.png"])
    assert status == 1
    assert said.index("only 1x1 pixels of it are deblurred") < said.index("too small")


def test_ctrl_c_writes_the_result_so_far_and_stops(tmp_path):
    make_photo(tmp_path / "a.png")
    make_photo(tmp_path / "b.png")

    class PressCtrlC(progress.Progress):
        def iteration(self, done, negative_log_likelihood):
            super().iteration(done, negative_log_likelihood)
            if done == 2:
                os.kill(os.getpid(), signal.SIGINT)

    options = make_options(tmp_path)
    options.output_dir.mkdir()
    stream = io.StringIO()
    sources = inputs.select([str(tmp_path / "a.png"), str(tmp_path / "b.png")]).sources
    before = signal.getsignal(signal.SIGINT)
    assert driver.run(options, sources, solver=FAKE, progress=PressCtrlC(stream)) == 1
    assert signal.getsignal(signal.SIGINT) is before
    assert record(tmp_path, "a")["status"] == "failed"
    assert "interrupted after 2 of 3" in record(tmp_path, "a")["why"]
    assert (tmp_path / "out" / "a" / "uncertainty.npy").exists()
    assert not (tmp_path / "out" / "b").exists()
    assert "Ctrl-C again" in stream.getvalue()
    assert "result so far was written" in stream.getvalue()


def test_second_ctrl_c_stops_at_once(tmp_path):
    make_photo(tmp_path / "a.png")

    class PressCtrlC(progress.Progress):
        def iteration(self, done, negative_log_likelihood):
            os.kill(os.getpid(), signal.SIGINT)

        def stage(self, name):
            if name == "writing":
                os.kill(os.getpid(), signal.SIGINT)

    options = make_options(tmp_path)
    options.output_dir.mkdir()
    sources = inputs.select([str(tmp_path / "a.png")]).sources
    with pytest.raises(KeyboardInterrupt):
        driver.run(options, sources, solver=FAKE, progress=PressCtrlC(io.StringIO()))
    assert record(tmp_path, "a")["status"] == "failed"
    assert "second Ctrl-C" in record(tmp_path, "a")["why"]
