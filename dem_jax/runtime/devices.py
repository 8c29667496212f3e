"""What the process does with JAX as a whole: precision, compile cache, and what it runs on."""

import os
import pathlib
import platform
from importlib import metadata
from typing import Any

import jax

from dem_jax import __version__

PRECISIONS = {"float32": "highest", "tf32": "tensorfloat32", "bfloat16": "bfloat16"}


def default_cache_dir() -> str:
    """Folder for compiled programs in the user's cache folder."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join("~", ".cache")
    return str(pathlib.Path(base).expanduser() / "dem_jax" / "compiled")


def configure(*, precision: str, cache_dir: str) -> None:
    """Sets the precision of products and the persistent compile cache ("" for none)."""
    jax.config.update("jax_default_matmul_precision", PRECISIONS[precision])
    if cache_dir:
        jax.config.update("jax_compilation_cache_dir", str(pathlib.Path(cache_dir).expanduser()))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)


def versions() -> dict[str, str]:
    """Versions that a result depends on."""
    packages = {name: metadata.version(name) for name in ("jax", "jaxlib", "flax", "optax")}
    return {"dem_jax": __version__, **packages, "python": platform.python_version()}


def device() -> dict[str, Any]:
    """The device that computes, and how many of its kind there are."""
    first = jax.devices()[0]
    return {"platform": first.platform, "kind": first.device_kind, "count": jax.device_count()}


def device_peak_memory_mb() -> int | None:
    """Most memory held on the device so far, in MiB; None where it does not tell (CPU)."""
    stats = jax.devices()[0].memory_stats()
    return round(stats["peak_bytes_in_use"] / 2**20) if stats else None
