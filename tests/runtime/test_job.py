"""One photo from file to results, with a tiny solver in place of the real one."""

import dataclasses
import json

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from fake_solver import prepare
from small_runs import FAKE, make_photo, record, run, step

from dem_jax.config import DeblurConfig
from dem_jax.runtime import job
from dem_jax.runtime.files import colour, images, inputs
from dem_jax.runtime.report import truth, verdict


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
    half_precision = 2.0**-11
    np.testing.assert_allclose(written / 255, 10 * std, atol=0.5 / 255 + half_precision)
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
    assert np.load(folder / "uncertainty.npy").shape == photo.shape
    assert record(tmp_path, "a")["em_iterations_done"] == 0
    assert "EM" not in said
    assert 0 < record(tmp_path, "a")["estimated_seconds"]["writing"] < 10


def test_float_tiff_gives_a_float_tiff(tmp_path):
    tifffile = pytest.importorskip("tifffile")
    pixels = np.random.default_rng(0).random((40, 48)).astype(np.float32)
    tifffile.imwrite(tmp_path / "a.tiff", pixels)
    run(tmp_path, ["a.tiff"])
    written = tifffile.imread(tmp_path / "out" / "a" / "deblurred.tiff")
    std = np.load(tmp_path / "out" / "a" / "uncertainty.npy")[..., 0]
    np.testing.assert_allclose(written, 10 * std, rtol=2.0**-10)


def test_psnr_is_logged_where_the_truth_is_given(tmp_path):
    make_photo(tmp_path / "a.png", (64, 64, 3))
    (tmp_path / "sharp").mkdir()
    make_photo(tmp_path / "sharp" / "a.png", (64, 64, 3))
    sources = inputs.select([str(tmp_path / "a.png")]).sources
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
    sources = inputs.select([str(tmp_path)]).sources
    for text, reason in (("a.png", "is one picture for 2"), ("absent", "does not exist")):
        with pytest.raises(ValueError, match=reason):
            truth.find_truths(str(tmp_path / text), sources)
    (tmp_path / "sharp").mkdir()
    with pytest.raises(ValueError, match="no picture named like"):
        truth.find_truths(str(tmp_path / "sharp"), sources)
    with pytest.raises(ValueError, match="64x48 pixels, its photo 64x64"):
        truth.Truth(tmp_path / "b.png", images.read_photo(tmp_path / "a.png"))


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


@pytest.mark.parametrize(("chosen", "largest"), [(9, 19), (7, 7)])
def test_no_larger_size_is_advised_than_a_first_look_was_free_to_choose(
    tmp_path, monkeypatch, chosen, largest
):
    told = []

    def decide(*given):
        told.append(given[-1])
        return given[2], []

    def look(_, given, config):
        return given, dataclasses.replace(config, kernel_size=chosen)

    monkeypatch.setattr(verdict, "decide", decide)
    monkeypatch.setattr(job.Job, "_look", look)
    make_photo(tmp_path / "a.png")
    status, _ = run(tmp_path, ["a.png"])
    assert status == 0
    assert told == [largest]


def test_crop_and_linear_light(tmp_path):
    """The solver sees the part in light; the result comes back in the photo's values."""
    make_photo(tmp_path / "a.png", (64, 72, 3))
    seen = []

    def watching_prepare(key, given, config):
        seen.append(given.pixels.shape)
        return prepare(key, given, config)

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
