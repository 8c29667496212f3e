"""Strict settings for every test, and the way to the photos that stay outside the repository."""

import getpass
import os
import pathlib
import tempfile

import jax
import pytest


def pytest_configure(config):
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
