"""Strict settings for every test, and the way to the photos that stay outside the repository."""

import getpass
import os
import pathlib
import tempfile

import jax
import pytest

# Most of the time of tests is XLA's, spent on making fast what runs once: here it takes it easy.
# XLA of jax 0.12 no longer knows the second option.
QUICK = ["--xla_backend_optimization_level=0"]
if tuple(int(number) for number in jax.__version__.split(".")[:2]) < (0, 12):
    QUICK += ["--xla_cpu_use_fusion_emitters=false"]


def pytest_configure(config):
    os.environ["XLA_FLAGS"] = " ".join([os.environ.get("XLA_FLAGS", ""), *QUICK]).strip()
    jax.config.update("jax_numpy_rank_promotion", "raise")
    cache = f"dem_jax-tests-{getpass.getuser()}-jax{jax.__version__}"
    jax.config.update("jax_compilation_cache_dir", os.path.join(tempfile.gettempdir(), cache))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.3)


@pytest.fixture(scope="session")
def data_folder():
    """Folder of the public data sets' photos (see CONTRIBUTING.md); skips where it is absent."""
    folder = os.environ.get("DEM_JAX_DATA", "")
    if not os.path.isdir(folder):
        pytest.skip("set DEM_JAX_DATA to the folder of photos")
    return pathlib.Path(folder)
