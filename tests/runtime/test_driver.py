"""The driver, with a tiny solver in place of the real one: what it writes, says and survives."""

import dataclasses
import io
import json
import os
import signal

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
from PIL import Image

from dem_jax.config import DeblurConfig
from dem_jax.runtime import driver, progress, sizes
from dem_jax.runtime.files import colour, images, inputs
from dem_jax.runtime.report import truth
from dem_jax.solver import Solver
from dem_jax.types import EMInfo, Problem, Result


def prepare(key, photo, config):
    margin = config.kernel_size // 2
    latent = jnp.pad(photo, ((margin, margin), (margin, margin), (0, 0)), mode="edge")
    rows, cols = config.patch_grid
    size = config.kernel_size
    across = slice(margin - 3, margin + 4)  # a blur that is worth undoing
    kernels = jnp.zeros((rows * cols, size, size)).at[:, margin, across].set(1 / 7)
    noise = jax.random.normal(key, latent.shape)
    weight = jnp.ones(photo.shape[:2])
    return Problem(
        photo, weight, noise, noise[:8, :8], latent, kernels, jnp.float32(0.01), *tiny.sharp_start()
    )


def init(key, problem, config):
    return problem.start_latent + 0.0


def step(key, state, problem, config, *, finite=True):
    state = 0.5 * state + 0.5 * jax.random.uniform(key, state.shape)
    value = jnp.mean(state)
    return state, EMInfo(value, value, value, value, jnp.bool_(finite))


def finish(state, problem, config):
    margin = config.kernel_size // 2
    height, width, _ = problem.photo.shape
    latent = state[margin : margin + height, margin : margin + width]
    empty = jnp.zeros((1,))
    info = EMInfo(empty, empty, empty, empty, empty > 0)
    return Result(latent, problem.start_kernels, 0.1 * latent, info)


FAKE = Solver(prepare, init, step, finish)


def make_photo(path, shape=(40, 48, 3), seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    assert cv2.imwrite(str(path), pixels)


def make_options(tmp_path, **changes):
    changes = {"config": DeblurConfig(em_iterations=3, kernel_size=9), **changes}
    wanted = sizes.Sizes("uniform", 9, None)
    return driver.Options(tmp_path / "out", sizes=wanted, seed=0, **changes)


def run(tmp_path, names, *, solver=FAKE, **changes):
    options = make_options(tmp_path, **changes)
    options.output_dir.mkdir(exist_ok=True)
    stream = io.StringIO()
    sources = inputs.find_sources([str(tmp_path / name) for name in names])
    status = driver.run(options, sources, solver=solver, progress=progress.Progress(stream))
    return status, stream.getvalue()


def record(tmp_path, name):
    return json.loads((tmp_path / "out" / name / "run.json").read_text())


def test_everything_is_left_behind(tmp_path):
    make_photo(tmp_path / "a.png")
    status, said = run(tmp_path, ["a.png"])
    assert status == 0
    folder = tmp_path / "out" / "a"
    assert {p.name for p in folder.iterdir()} == {
        *("deblurred.png", "kernels.npy", "kernels.png", "uncertainty.npy", "uncertainty.png"),
        *("report.png", "report.html", "metrics.jsonl", "run.json"),
    }
    kernels = np.load(folder / "kernels.npy")
    assert kernels.shape == (1, 9, 9)
    assert kernels.dtype == np.float32
    std = np.load(folder / "uncertainty.npy")
    written = cv2.imread(str(folder / "deblurred.png"), cv2.IMREAD_UNCHANGED)[..., ::-1]
    assert written.shape == (40, 48, 3)
    np.testing.assert_allclose(written / 255, 10 * std, atol=0.5 / 255 + 1e-6)
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [line["iteration"] for line in lines] == [1, 2, 3]
    info = record(tmp_path, "a")
    assert info["status"] == "done"
    assert info["config"]["kernel_size"] == 9
    assert info["seed"] == 0
    assert info["versions"]["jax"] == jax.__version__
    assert info["peak_memory_mb"] > 0
    assert {"start", "warm_start", "compile", "em", "write"} <= set(info["timings_seconds"])
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["counts"] == {"done": 1}
    assert "EM 3/3" in said


def test_without_em_the_start_is_the_result(tmp_path):
    make_photo(tmp_path / "a.png")
    refused = FAKE._replace(
        init=lambda key, problem, config: pytest.fail("init"),
        step=lambda key, state, problem, config: pytest.fail("step"),
        finish=lambda state, problem, config: pytest.fail("finish"),
    )
    config = DeblurConfig(em_iterations=0, kernel_size=9)
    status, said = run(tmp_path, ["a.png"], solver=refused, config=config)
    assert status == 0
    folder = tmp_path / "out" / "a"
    written, photo = (cv2.imread(str(p)) for p in (folder / "deblurred.png", tmp_path / "a.png"))
    np.testing.assert_array_equal(written, photo)  # the stand-in's start
    assert (folder / "report.html").exists()
    assert not (folder / "uncertainty.npy").exists()
    assert record(tmp_path, "a")["em_iterations_done"] == 0
    assert "EM" not in said
    assert 0 < record(tmp_path, "a")["estimated_seconds"]["writing"] < 10


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


def test_seed_decides_the_result_and_the_photo_its_shape(tmp_path):
    make_photo(tmp_path / "a.png")
    path = tmp_path / "out" / "a" / "uncertainty.npy"
    results = []
    for seed in (0, 0, 1):
        options = dataclasses.replace(make_options(tmp_path, overwrite=True), seed=seed)
        options.output_dir.mkdir(exist_ok=True)
        source = inputs.find_sources([str(tmp_path / "a.png")])
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
    assert not (tmp_path / "out" / "a" / "uncertainty.npy").exists()
    line = json.loads((tmp_path / "out" / "a" / "metrics.jsonl").read_text())
    assert line["negative_log_likelihood"] is None


def test_error_of_the_solver_fails_that_photo_only(tmp_path):
    make_photo(tmp_path / "a.png")
    make_photo(tmp_path / "b.png", (48, 40, 3))

    def fail_on_tall(key, photo, config):
        if photo.shape[0] > photo.shape[1]:
            raise RuntimeError("RESOURCE_EXHAUSTED: out of memory")
        return prepare(key, photo, config)

    status, _ = run(tmp_path, ["a.png", "b.png"], solver=FAKE._replace(prepare=fail_on_tall))
    assert status == 1
    assert record(tmp_path, "a")["status"] == "done"
    assert record(tmp_path, "b")["status"] == "failed"
    assert "memory is too small" in record(tmp_path, "b")["why"]
    assert "fail_on_tall" in record(tmp_path, "b")["traceback"]


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
    sources = inputs.find_sources([str(tmp_path / "a.png"), str(tmp_path / "b.png")])
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
    sources = inputs.find_sources([str(tmp_path / "a.png")])
    with pytest.raises(KeyboardInterrupt):
        driver.run(options, sources, solver=FAKE, progress=PressCtrlC(io.StringIO()))
    assert record(tmp_path, "a")["status"] == "failed"
    assert "second Ctrl-C" in record(tmp_path, "a")["why"]


def test_float_tiff_gives_a_float_tiff(tmp_path):
    tifffile = pytest.importorskip("tifffile")
    pixels = np.random.default_rng(0).random((40, 48)).astype(np.float32)
    tifffile.imwrite(tmp_path / "a.tiff", pixels)
    run(tmp_path, ["a.tiff"])
    written = tifffile.imread(tmp_path / "out" / "a" / "deblurred.tiff")
    std = np.load(tmp_path / "out" / "a" / "uncertainty.npy")[..., 0]
    np.testing.assert_allclose(written, 10 * std, rtol=1e-5)


def test_terminal_shows_one_line_with_stage_and_time_left():
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    stream = Terminal()
    bar = progress.Progress(stream)
    bar.begin("a.png", 4)
    bar.stage("warm start")
    bar.stage("EM")
    bar.iteration(2, 1.25)
    bar.say("done")
    text = stream.getvalue()
    assert "warm start" in text
    assert "EM 2/4" in text
    assert "0:00 left" in text
    assert "-log p 1.2500" in text
    assert text.count("\n") == 1


def test_psnr_is_logged_where_the_truth_is_given(tmp_path):
    make_photo(tmp_path / "a.png", (64, 64, 3))
    (tmp_path / "sharp").mkdir()
    make_photo(tmp_path / "sharp" / "a.png", (64, 64, 3))
    sources = inputs.find_sources([str(tmp_path / "a.png")])
    truths = truth.find_truths(str(tmp_path / "sharp"), sources)
    status, _ = run(tmp_path, ["a.png"], truths=truths)
    assert status == 0
    measured = record(tmp_path, "a")["psnr"]
    assert measured["blurred"] == measured["warm_start"] > 60
    lines = (tmp_path / "out" / "a" / "metrics.jsonl").read_text().splitlines()
    logged = [json.loads(line)["psnr"] for line in lines]
    assert logged[0] > logged[1] > logged[2] == measured["result"]


def test_truth_that_does_not_fit(tmp_path):
    make_photo(tmp_path / "a.png", (64, 64, 3))
    make_photo(tmp_path / "b.png", (48, 64, 3))
    sources = inputs.find_sources([str(tmp_path)])
    for text, reason in (("a.png", "is one picture for 2"), ("absent", "does not exist")):
        with pytest.raises(ValueError, match=reason):
            truth.find_truths(str(tmp_path / text), sources)
    (tmp_path / "sharp").mkdir()
    with pytest.raises(ValueError, match="no picture named like"):
        truth.find_truths(str(tmp_path / "sharp"), sources)
    with pytest.raises(ValueError, match="64x48 pixels, its photo 64x64"):
        truth.Truth(tmp_path / "b.png", images.read_photo(tmp_path / "a.png"))


def test_time_left_does_not_count_compiling(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    stream = io.StringIO()
    lines = progress.Progress(stream)
    lines.begin("a.png", 5)
    for stage, seconds in (("compiling EM", 100), ("EM", 60)):
        lines.stage(stage)
        now[0] += seconds
    lines.iteration(2, 1.0)
    assert "EM 2/5, -log p 1.0000, 1:30 left" in stream.getvalue()


def test_a_photo_with_little_blur_is_kept_and_said_so(tmp_path):
    make_photo(tmp_path / "a.png")

    def prepare_point(key, photo, config):
        problem = prepare(key, photo, config)
        point = jnp.zeros_like(problem.start_kernels).at[:, 4, 4].set(1.0)
        return problem._replace(start_kernels=point)

    _, said = run(tmp_path, ["a.png"], solver=FAKE._replace(prepare=prepare_point))
    written = cv2.imread(str(tmp_path / "out" / "a" / "deblurred.png"))
    np.testing.assert_array_equal(written, cv2.imread(str(tmp_path / "a.png")))
    (warning,) = record(tmp_path, "a")["warnings"][:1]
    assert "Little blur was found" in warning
    assert warning in said
    assert "Little blur was found" in (tmp_path / "out" / "a" / "report.html").read_text()
    assert record(tmp_path, "a")["evidence"]["kernel_extent"] == 0


def test_crop_and_linear_light(tmp_path):
    """The solver sees the part in light; the result comes back in the photo's values."""
    make_photo(tmp_path / "a.png", (64, 72, 3))
    seen = []

    def watching_prepare(key, photo, config):
        seen.append(photo.shape)
        return prepare(key, photo, config)

    def keep(key, state, problem, config):
        _, info = step(key, state, problem, config)
        return problem.start_latent, info

    solver = FAKE._replace(prepare=watching_prepare, step=keep)
    crop = colour.Crop(5, 7, 40, 32)
    run(tmp_path, ["a.png"], solver=solver, crop=crop, linear_light=True)
    assert set(seen) == {(32, 40, 3)}
    written = cv2.imread(str(tmp_path / "out" / "a" / "deblurred.png"))
    part = cv2.imread(str(tmp_path / "a.png"))[7:39, 5:45]
    np.testing.assert_array_equal(written, part)
    std = np.load(tmp_path / "out" / "a" / "uncertainty.npy")
    values = part[..., ::-1].astype(np.float32) / 255
    # 0.1 of the light, as encoded: the curve's slope is known by a difference
    light = colour.to_light(values)
    slope = (colour.from_light(light + 1e-3) - colour.from_light(light - 1e-3)) / 2e-3
    bright = values > 0.2
    np.testing.assert_allclose(std[bright], (0.1 * light * slope)[bright], rtol=0.01)
    assert record(tmp_path, "a")["crop"] == [5, 7, 40, 32]


def test_crop_outside_the_photo_fails_it(tmp_path):
    make_photo(tmp_path / "a.png")
    status, said = run(tmp_path, ["a.png"], crop=colour.Crop(20, 0, 40, 40))
    assert status == 1
    assert "--crop=20,0,40,40 does not lie inside the photo, which is 48 pixels wide" in said


def test_previews_and_the_animation(tmp_path):
    make_photo(tmp_path / "a.png")
    status, said = run(tmp_path, ["a.png"], preview_every=2)
    assert status == 0, said
    folder = tmp_path / "out" / "a"
    preview, result = (cv2.imread(str(folder / n)) for n in ("preview.png", "deblurred.png"))
    np.testing.assert_array_equal(preview, result)
    with Image.open(folder / "sharpening.webp") as animation:
        assert animation.n_frames == 4  # before, start, EM 2, after
        assert animation.size == (48, 40)
    run(tmp_path, ["a.png"], overwrite=True)
    assert not (folder / "preview.png").exists()
    assert not (folder / "sharpening.webp").exists()
