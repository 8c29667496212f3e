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
    beside = pathlib.Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = pathlib.Path(os.environ.get("DEM_JAX_DATA", beside))
    if not folder.is_dir():
        pytest.skip(f"{folder} is absent; set DEM_JAX_DATA to the folder of photos")
    return folder
