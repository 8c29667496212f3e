"""Every example runs, tiny, and does what it says."""

import importlib.util
import os
import pathlib
import re
import sys

import jax
import jax.numpy as jnp
import nbclient
import nbformat
import numpy as np
import pytest
from PIL import Image

from dem_jax.config import DeblurConfig, ImageNetworkConfig, KernelNetworkConfig
from dem_jax.start.views import View

FOLDER = pathlib.Path(__file__).parents[1] / "examples"
TINY = {
    "kernel_size": 5,
    "em_iterations": 1,
    "samples_per_chain": 2,
    "burn_in": 2,
    "thinning": 1,
    "m_steps": 2,
    "detail_iterations": 3,
    "image_network": ImageNetworkConfig(channels=4, levels=1),
    "kernel_network": KernelNetworkConfig(channels=(4,)),
}


def load(name):
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def photo(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (20, 24), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    return str(tmp_path / "photo.png")


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.py")), ids=lambda path: path.stem)
def test_examples_are_short_and_say_how_to_run_them(path):
    text = path.read_text()
    assert text.count("\n") < 60
    assert f"python examples/{path.name}" in load(path.stem).__doc__
    assert f"def test_{path.stem}" in pathlib.Path(__file__).read_text()


FILES = ("deblur_in_five_lines", "own_image_network", "own_sampler", "own_blur", "own_start")


@pytest.mark.parametrize("name", FILES)
def test_files(name, photo, tmp_path):
    result = load(name).main(photo, str(tmp_path / "sharp.png"), **TINY)
    with Image.open(tmp_path / "sharp.png") as written:
        assert written.size == (24, 20)
        shown = np.asarray(written) / 255
    np.testing.assert_allclose(shown, result.latent[..., 0], atol=0.5 / 255 + 1e-6)


def test_deblur_in_five_lines():
    text = (FOLDER / "deblur_in_five_lines.py").read_text()
    body = text.split('configuration."""\n')[1].split("    return")[0]
    assert body.count("\n") == 5


def test_own_image_network():
    """Its parameters are those of three convolutions, not of a U-Net."""
    module = load("own_image_network")
    problem = type("P", (), {"image_input": jnp.zeros((6, 7, 4))})

    theta = module.small_prior(3).init(jax.random.key(0), problem)
    assert set(theta) == {"Conv_0", "Conv_1", "Conv_2"}


def test_own_sampler():
    """Uphill on a slope, whatever its size."""
    sampler = load("own_sampler").with_momentum(step_size=0.1, noise=0.0)
    state = sampler.init({"x": jnp.zeros(2)})
    for t in range(3):
        state, info = sampler.step(jax.random.key(t), state, lambda p: (50 * p["x"][0], "kept"))
    np.testing.assert_allclose(state.position["x"], [0.1 * (1 + 1.9 + 2.71), 0], rtol=1e-4)
    assert (int(state.steps), info.aux) == (3, "kept")


def test_own_blur():
    """Linear, and dark in the corners only."""
    module = load("own_blur")
    model = module.dark_cornered(DeblurConfig(kernel_size=5), 0.2)
    photo = model.blur(jnp.full((1, 5, 5), 1 / 25), jnp.ones((24, 28, 1)))
    np.testing.assert_allclose(photo[10, 12], 1, atol=0.01)
    np.testing.assert_allclose(photo[0, 0], 1 / 1.4**2, rtol=1e-4)


def test_own_start():
    """Lines of sum one, so many for every patch."""
    module = load("own_start")
    found = module.straight_lines(
        View(jnp.zeros((30, 40))), DeblurConfig(kernel_size=9, patch_grid=(1, 2))
    )
    assert found.kernels.shape == (16, 2, 9, 9)
    np.testing.assert_allclose(found.kernels.sum((2, 3)), 1, rtol=1e-5)


@pytest.mark.slow  # most of it is compilation
def test_batch_under_vmap():
    result = load("batch_under_vmap").main(count=2, size=16, **TINY)
    assert result.latent.shape == (2, 16, 16, 1)
    assert (result.kernels[0] != result.kernels[1]).any()


def test_chains_on_devices():
    mean, std = load("chains_on_devices").main(chains_per_device=16, steps=3000)
    np.testing.assert_allclose(mean, [0, 1], atol=0.1)
    np.testing.assert_allclose(std, [1, np.sqrt(0.25 + 0.09)], rtol=0.1)


@pytest.mark.slow  # most of it is compilation
def test_defocus_disc():
    module = load("defocus_disc")
    changes = {**TINY, "kernel_size": 9, "m_steps": 40, "burn_in": 40, "em_iterations": 2}
    found = module.main(size=40, radius=2.2, start=3.6, **changes)
    assert 2.0 < found < 3.4  # on its way


def test_langevin_on_any_density():
    path, exact, deviation = load("langevin_on_any_density").main(steps=8000)
    for i, name in enumerate(("slope", "offset")):
        assert abs(path[name].mean() - exact[i]) < 0.5 * deviation[i]
        np.testing.assert_allclose(path[name].std(), deviation[i], rtol=0.25)


@pytest.mark.slow  # most of it is compilation
def test_gradient_through_em():
    """The derivative agrees with a difference quotient."""
    settings = {**TINY, "m_steps": 5, "m_learning_rate": 1e-3}
    evaluate, rest = load("gradient_through_em").main(size=16, **settings)
    step = 2e-3
    above, below = (evaluate(jnp.float32(0.02 + s), *rest)[0] for s in (step, -step))
    slope = evaluate(jnp.float32(0.02), *rest)[1]
    assert np.isfinite(slope)
    np.testing.assert_allclose((above - below) / (2 * step), slope, rtol=0.2, atol=1e-4)


@pytest.mark.slow  # most of it is compilation
def test_posterior_samples():
    samples = load("posterior_samples").main(size=24, **TINY)
    assert samples.shape == (2, 24, 24, 1)
    assert (samples[0] != samples[1]).any()


def test_notebook(tmp_path):
    """Every cell runs, with tiny settings in place of its own."""
    notebook = nbformat.read(FOLDER / "notebook.ipynb", as_version=4)
    (at,) = [i for i, x in enumerate(notebook.cells) if "parameters" in x.metadata.get("tags", ())]
    tiny = "dem_jax.ImageNetworkConfig(channels=4, levels=1)"
    few = {name: value for name, value in TINY.items() if not name.endswith("_network")}
    code = f"size, settings = 48, {few} | dict(image_network={tiny})"
    notebook.cells.insert(at + 1, nbformat.v4.new_code_cell(code))
    cache = {"JAX_COMPILATION_CACHE_DIR": jax.config.jax_compilation_cache_dir}
    here = {"metadata": {"path": str(tmp_path)}}
    client = nbclient.NotebookClient(notebook, timeout=300, resources=here)
    client.execute(env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **cache})
    said = "".join(
        out.get("text", "") for cell in notebook.cells for out in cell.get("outputs", ())
    )
    for name in ("none", "network T_K", "thin"):
        assert re.search(rf"^{name} +[\d.]+ dB, kernel's likeness [\d.]+$", said, re.M)
