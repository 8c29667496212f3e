"""The benchmarks' own arithmetic, and that the collecting script does not stop at a failure."""

import pathlib
import subprocess
import sys

import jax
import jax.numpy as jnp
import pytest

from dem_jax.config import ImageNetworkConfig
from dem_jax.model import image_network

FOLDER = pathlib.Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def benchmark_module(monkeypatch):
    """Imports a benchmark by its name."""
    monkeypatch.syspath_prepend(str(FOLDER))

    def load(name):
        module = __import__(name)
        monkeypatch.delitem(sys.modules, name)
        return module

    return load


def test_roofline_counts_the_networks_convolutions(benchmark_module):
    """Counted in the program that JAX traces, where every convolution stands with its shapes."""
    roofline = benchmark_module("roofline")
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
    run_all, common = benchmark_module("run_all"), benchmark_module("common")
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
    script, output = FOLDER / "run_all.py", tmp_path / "all.md"
    command = [sys.executable, str(script), "--tiny", f"--output={output}"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


@pytest.mark.slow
def test_the_gpu_benchmark_runs():
    command = [sys.executable, str(FOLDER / "gpu.py"), "--tiny"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "Where a gradient step's time goes" in done.stdout
