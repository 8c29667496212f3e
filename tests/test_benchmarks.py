"""The benchmarks' own arithmetic, and that the collecting script does not stop at a failure."""

import importlib
import json
import pathlib
import shutil
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage

from dem_jax.config import ImageNetworkConfig
from dem_jax.model import image_network

ROOT = pathlib.Path(__file__).parents[1]


@pytest.fixture
def benchmark_module(monkeypatch):
    """Imports a benchmark by its name, such as quality.levin."""
    monkeypatch.syspath_prepend(str(ROOT))
    return lambda name: importlib.import_module(f"benchmarks.{name}")


def test_roofline_counts_the_networks_convolutions(benchmark_module):
    """Counted in the program that JAX traces, where every convolution stands with its shapes."""
    roofline = benchmark_module("speed.roofline")
    size, channels, levels, inputs = 48, 6, 3, 5
    config = ImageNetworkConfig(channels=channels, levels=levels)
    z = jax.ShapeDtypeStruct((size, size, inputs), jnp.float32)
    key = jax.eval_shape(lambda: jax.random.key(0))
    params = jax.eval_shape(
        lambda key, z: image_network.init(key, z, out_channels=1, config=config), key, z
    )
    program = jax.make_jaxpr(lambda p, z: image_network.apply(p, z, config=config))(params, z)
    traced = sum(multiplications(program.jaxpr))
    flops, _ = roofline.step_cost(size, channels, levels, inputs)
    assert flops == 3 * 2 * traced


def multiplications(jaxpr):
    """Of every convolution in a program, those of the functions it calls included."""
    for equation in jaxpr.eqns:
        if equation.primitive.name == "conv_general_dilated":
            height, width, inputs, outputs = equation.invars[1].aval.shape
            pixels = equation.outvars[0].aval.size // outputs
            yield pixels * height * width * inputs * outputs
        for value in equation.params.values():
            inner = getattr(value, "jaxpr", value)
            if hasattr(inner, "eqns"):
                yield from multiplications(inner)


def test_bars_are_collected_and_failures_said(tmp_path, monkeypatch, benchmark_module):
    run_all, common = benchmark_module("speed.run_all"), benchmark_module("common")
    (tmp_path / "good.py").write_text(
        f'"""What is good?"""\nprint("| a |")\nprint({common.bar("it", 2.0, 1.0, "s")!r})\n'
    )
    (tmp_path / "bad.py").write_text('"""What is bad?"""\nraise SystemExit(3)\n')
    monkeypatch.setattr(run_all, "HERE", tmp_path)
    monkeypatch.setattr(run_all, "PLAN", {"bad": ("",) * 3, "good": ("",) * 3})
    monkeypatch.setattr(sys, "argv", ["run_all", f"--output={tmp_path / 'all.md'}"])
    assert run_all.main() == 1
    text = (tmp_path / "all.md").read_text()
    assert "| it | 2 s | at most 1 s | **missed** |" in text
    assert "## What is bad?" in text
    assert "exit status 3" in text
    assert text.index("**missed**") < text.index("| a |")


@pytest.mark.slow
def test_every_benchmark_runs(tmp_path):
    command = [sys.executable, "-m", "benchmarks.speed.run_all", "--tiny"]
    command += [f"--output={tmp_path / 'all.md'}"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


@pytest.mark.slow
def test_the_gpu_benchmark_runs():
    command = [sys.executable, "-m", "benchmarks.speed.gpu", "--tiny"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "Where a gradient step's time goes" in done.stdout


def test_kept_rows_go_on_where_a_run_stopped(tmp_path, benchmark_module, monkeypatch):
    common, file = benchmark_module("common"), tmp_path / "rows.json"
    monkeypatch.setattr(common, "commit", lambda: "a1")

    def stop():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        common.kept_rows(file, {"first": lambda: {"psnr": 30.0}, "second": stop})
    monkeypatch.setattr(common, "commit", lambda: "b2")
    rows = common.kept_rows(file, {"first": stop, "second": lambda: {"psnr": 20.0}})
    first, second = {"commit": "a1", "psnr": 30.0}, {"commit": "b2", "psnr": 20.0}
    assert rows == {"first": first, "second": second}


def test_ceiling_tells_the_part_of_the_gap_that_is_closed(benchmark_module):
    ceiling = benchmark_module("quality.ceiling")
    rows = {}
    for seed, em in enumerate((32.0, 34.0)):
        rows[f"blind/im1_kernel1/{seed}"] = {"blurred": 22.0, "start": 30.0, "result": em}
        rows[f"ceiling/im1_kernel1/{seed}"] = {"result": 35.0}
    line = ceiling.table(rows).splitlines()[2]  # 3 of 5 dB are won; seeds are 2 dB apart
    cells = [float(cell) for cell in line.split("|")[2:-1]]
    assert cells == [22.0, 30.0, 33.0, 35.0, 2.0, 60.0, 2.0]


def test_true_kernel_is_turned_as_the_blur_was(tmp_path, benchmark_module):
    from PIL import Image

    ceiling = benchmark_module("quality.ceiling")
    rng = np.random.default_rng(0)
    sharp = rng.integers(0, 256, (48, 48), np.uint8)
    kernel = np.zeros((5, 5), np.uint8)
    kernel[0, 1:], kernel[1:4, 4] = 255, 120
    for name, picture in (("sharp/im1", sharp), ("kernels/kernel1", kernel)):
        (tmp_path / name).parent.mkdir()
        Image.fromarray(picture).save(tmp_path / f"{name}.png")
    for blurring in (kernel, kernel[::-1, ::-1]):
        blurring = blurring / blurring.sum()
        photo = scipy.ndimage.convolve(sharp / 255, blurring, mode="nearest")[..., None]
        found = ceiling.true_kernel(tmp_path, "im1_kernel1", photo)
        np.testing.assert_allclose(found[0], blurring, atol=1e-6)


def test_the_results_are_made_from_the_rows(benchmark_module):
    results = benchmark_module("figures.results_page")
    assert (ROOT / "docs" / "results.md").read_text() == results.page()
    front = (ROOT / "README.md").read_text()
    assert front == results.readme(front)
    assert sum(any(map(str.isalnum, word)) for word in results.page().split()) < 600


def test_new_rows_of_kernels_get_lines(tmp_path, monkeypatch, benchmark_module):
    results = benchmark_module("figures.results_page")
    shutil.copytree(results.RESULTS, tmp_path / "results")
    monkeypatch.setattr(results, "RESULTS", tmp_path / "results")
    row = {"blurred": 20.0, "ours": 30.0, "true": 34.0, "seconds": 9.0, "memory": 900.0}
    row |= {"correlation": 0.9, "agreement": 0.8, "kernel_size": 31}
    failed = row | {"correlation": 0.6, "ours": 22.0, "commit": "fffffff"}
    rows = {"one": row | {"peer, correlation": 0.7, "peer": 28.0}, "two": failed}
    (tmp_path / "results" / "kernels_new.json").write_text(json.dumps(rows))
    text = results.page()
    assert "| new | 2 | 1 | 0.750 | 20.00 | 26.00 | 34.00 | 9 | 900 |" in text
    assert "| peer (ours there: 30.00) | 1 | - | 0.700 | 20.00 | 28.00 | 34.00 | - | - |" in text
    assert "fffffff, not recorded. The start's kernel alone" in text
    assert (
        "| 20.00 | 26.00 | 28.00 (peer, 1 photos, ours there 30.00) | 34.00 | 9 |"
        in results.headline()
    )


def test_rows_of_turning_cameras_get_a_table(tmp_path, monkeypatch, benchmark_module):
    results = benchmark_module("figures.results_page")
    shutil.copytree(results.RESULTS, tmp_path / "results")
    monkeypatch.setattr(results, "RESULTS", tmp_path / "results")
    values = {"blurred": 20.0, "ours": 25.0, "PMP": 24.0}
    row = {f"{name}, rigid": x for name, x in values.items()}
    row |= {"turned": True, "seconds": 60.0, "memory": 900.0, "commit": "fffffff"}
    worse = row | {"ours, rigid": 19.0, "turned": False}
    (tmp_path / "results" / "turning_koehler.json").write_text(json.dumps({"a": row, "b": worse}))
    text = results.page()
    assert "| Koehler | 20.00 | 22.00 | 24.00 | -1.00 | 1 of 2 | 60 | 900 |" in text
    assert "| 20.00 | 22.00 | 24.00 (PMP) | - | 60 |" in results.headline()
