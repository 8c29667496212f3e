"""`python -m dem_jax.evaluate` and `python -m dem_jax.shake`, on a small data set made here."""

import json

import numpy as np
import pytest
import scipy.ndimage

from dem_jax import evaluate, shake
from dem_jax.evaluation import metrics

image = pytest.importorskip("PIL.Image")


def write(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    levels = np.round(np.clip(np.squeeze(pixels), 0, 1) * 255).astype(np.uint8)
    image.fromarray(levels).save(path)


def read(path):
    return np.asarray(image.open(path), np.float64) / 255


def picture(channels=1, seed=0, size=72):
    noise = np.random.default_rng(seed).normal(size=(size, size, channels))
    smooth = scipy.ndimage.gaussian_filter(noise, (2, 2, 0))
    return 0.5 + 0.4 * smooth / np.abs(smooth).max()


@pytest.fixture
def levin(tmp_path):
    """A data set like Levin's with two photos, and a result of each in an output folder."""
    kernel = np.zeros((5, 5))
    kernel[2, 1:] = 0.25
    write(tmp_path / "levin/kernels/kernel1.png", kernel / kernel.max())
    for number in (1, 2):
        sharp = picture(seed=number)
        write(tmp_path / f"levin/sharp/im{number}.png", sharp)
        blurry = scipy.ndimage.convolve(sharp[..., 0], kernel, mode="nearest")
        write(tmp_path / f"levin/blurry/im{number}_kernel1_img.png", blurry)
        shifted = np.roll(sharp, (2, -3), axis=(0, 1)) + 0.01 * number
        write(tmp_path / f"out/im{number}_kernel1_img/deblurred.png", shifted)
    return tmp_path


def levin_arguments(folder, **more):
    given = {"results": folder / "out", "ground_truth": folder / "levin", "protocol": "levin"}
    return [f"--{name}={value}" for name, value in (given | more).items()]


def test_evaluate_scores_output_folders(levin, capsys):
    report = levin / "scores.json"
    assert evaluate.run(levin_arguments(levin, output=report)) == 0
    printed = capsys.readouterr().out
    assert "im1_kernel1_img" in printed
    assert "Deblur-INR | 33.74" in printed
    assert "**ours, 2 photos**" in printed
    section = json.loads(report.read_text())["sections"]["all"]
    for number in (1, 2):
        scores = section["photos"][f"im{number}_kernel1_img"]
        assert scores["shift"] == [2, -3]
        assert scores["psnr"] == pytest.approx(-20 * np.log10(0.01 * number), abs=1.0)
        assert scores["error_ratio"] > 0
    mean = np.mean([s["psnr"] for s in section["photos"].values()])
    assert section["averages"]["average"]["psnr"] == pytest.approx(mean)


def test_evaluate_scores_plain_pictures_and_names_what_fails(levin, capsys):
    results = levin / "plain"
    write(results / "im1_kernel1_img.png", picture(seed=1))
    write(results / "im2_kernel1_img.png", picture(seed=2)[:-1])
    write(results / "im3_kernel1_img.png", picture())
    write(results / "holiday.png", picture())
    assert evaluate.run([*levin_arguments(levin, results=results), "--noerror_ratio"]) == 1
    printed = capsys.readouterr()
    assert "| im1_kernel1_img |" in printed.out
    assert "error ratio (squared)" not in printed.out
    assert "im2_kernel1_img: the result has shape" in printed.err
    assert "im3_kernel1_img: no sharp picture im3" in printed.err
    assert "holiday: holiday is not named" in printed.err


def test_evaluate_counts_a_run_without_a_picture_as_failed(levin, capsys):
    unfinished = levin / "out/im1_kernel2_img"
    unfinished.mkdir()
    (unfinished / "run.json").write_text("{}")
    assert evaluate.run([*levin_arguments(levin), "--noerror_ratio"]) == 1
    printed = capsys.readouterr()
    assert "**ours, 2 photos**" in printed.out
    assert "im1_kernel2_img" in printed.err


def test_evaluate_finds_koehlers_frames(tmp_path, capsys):
    sharp = picture(channels=3, size=180)
    for number in range(3):
        write(tmp_path / f"truth/GroundTruth1_2_{number}.png", sharp if number == 1 else 1 - sharp)
    write(tmp_path / "truth/GroundTruth2.png", sharp)
    write(tmp_path / "results/Blurry1_2.png", 0.9 * sharp)
    write(tmp_path / "results/Blurry2_7.png", sharp)
    arguments = [f"--results={tmp_path}/results", f"--ground_truth={tmp_path}/truth"]
    output = tmp_path / "scores.json"
    assert evaluate.run([*arguments, "--protocol=koehler", f"--output={output}"]) == 0
    photos = json.loads(output.read_text())["sections"]["all"]["photos"]
    assert photos["Blurry1_2"]["frame"] == 1
    assert photos["Blurry1_2"]["psnr"] > 45
    assert photos["Blurry1_2"]["frames"] == 3
    assert photos["Blurry2_7"]["frames"] == 1
    assert "Only one sharp frame" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"protocol": "gopro"}, "protocol"),
        ({"results": "/nowhere"}, "not a folder"),
        ({"ground_truth": ""}, "ground_truth is missing"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_evaluate_refuses_bad_flags_in_one_sentence(levin, capsys, change, message):
    assert evaluate.run(levin_arguments(levin, **change)) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert message in printed.err
    assert printed.err.count("\n") == 1


def test_evaluate_refuses_a_folder_without_pictures(levin, capsys):
    (levin / "empty").mkdir()
    assert evaluate.run(levin_arguments(levin, results=levin / "empty")) == 2
    assert "holds neither" in capsys.readouterr().err


@pytest.fixture
def sharp_file(tmp_path):
    path = tmp_path / "sharp.png"
    write(path, picture(channels=3, size=48))
    return path


def test_shake_applies_a_kernel_file_as_a_true_convolution(tmp_path, sharp_file):
    kernel = np.zeros((5, 5))
    kernel[1, 4] = 1
    write(tmp_path / "kernel.png", kernel)
    arguments = [f"--input={sharp_file}", f"--path=kernel:{tmp_path}/kernel.png"]
    assert shake.run([*arguments, f"--output={tmp_path}/blurry.png"]) == 0
    assert shake.run([*arguments, f"--output={tmp_path}/flipped.png", "--flip_kernel"]) == 0
    sharp = read(sharp_file)
    np.testing.assert_allclose(read(tmp_path / "blurry.png")[:-1, 2:], sharp[1:, :-2], atol=3e-3)
    np.testing.assert_allclose(read(tmp_path / "flipped.png")[1:, :-2], sharp[:-1, 2:], atol=3e-3)


@pytest.mark.parametrize("path", ["random", "rotation", "random_kernel"])
def test_shake_is_random_by_seed_and_tells_its_kernels(tmp_path, sharp_file, path):
    outputs = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        arguments = [f"--input={sharp_file}", f"--path={path}", f"--seed={seed}", "--extent=6"]
        arguments += ["--kernel_size=15", "--patch_grid=2x3", f"--kernels_output={tmp_path}/k.npy"]
        assert shake.run([*arguments, f"--output={tmp_path}/{name}.png"]) == 0
        outputs.append(read(tmp_path / f"{name}.png"))
    np.testing.assert_array_equal(outputs[0], outputs[1])
    assert np.abs(outputs[0] - outputs[2]).max() > 0.02
    kernels = np.load(tmp_path / "k.npy")
    assert kernels.shape == ((1 if path == "random_kernel" else 6), 15, 15)
    assert kernels.dtype == np.float32
    np.testing.assert_allclose(kernels.sum((1, 2)), 1, atol=1e-4)
    assert metrics.psnr(outputs[0], read(sharp_file)) < 40


def test_shake_reads_pose_files_and_adds_noise(tmp_path, sharp_file):
    poses = tmp_path / "poses.txt"
    poses.write_text("# still\n0 0 0\n0 0 0\n")
    arguments = [f"--input={sharp_file}", f"--path=poses:{poses}", f"--output={tmp_path}/o.png"]
    assert shake.run(arguments) == 0
    np.testing.assert_allclose(read(tmp_path / "o.png"), read(sharp_file), atol=3e-3)
    assert shake.run([*arguments, "--noise=gaussian:0.05"]) == 0
    noise = read(tmp_path / "o.png") - read(sharp_file)
    assert noise.std() == pytest.approx(0.05, rel=0.1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"path": "spiral"}, "unknown"),
        ({"path": "poses:missing.txt"}, "missing.txt"),
        ({"path": "kernel:missing.png"}, "missing.png"),
        ({"noise": "salt:3"}, "--noise=salt:3"),
        ({"input": "missing.png"}, "missing.png"),
        ({"input": "sample:unicorn"}, "unicorn"),
        ({"output": "blurry.gif"}, "must end in"),
        ({"patch_grid": "3"}, "ROWSxCOLS"),
    ],
)
def test_shake_refuses_bad_flags_in_one_sentence(tmp_path, sharp_file, capsys, change, message):
    given = {"input": sharp_file, "path": "random", "output": tmp_path / "o.png"} | change
    assert shake.run([f"--{name}={value}" for name, value in given.items()]) == 2
    printed = capsys.readouterr()
    assert message in printed.err
    assert printed.err.count("\n") == 1
    assert not (tmp_path / "o.png").exists()
