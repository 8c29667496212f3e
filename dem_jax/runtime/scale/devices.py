"""What the process does with JAX as a whole: hosts, devices, precision and compile cache."""

import contextlib
import os
import platform
import re
import tempfile
import textwrap
from collections.abc import Mapping
from importlib import metadata
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from dem_jax import __version__
from dem_jax.em import sharded

PRECISIONS = {"float32": "highest", "tf32": "tensorfloat32", "bfloat16": "bfloat16"}
_EXTRAS = {"tpu": "tpu", "cuda": "cuda12", "gpu": "cuda12"}  # that bring a platform's JAX
_LONGEST_REASON = 200  # characters
_DEVICE_COUNT = "xla_force_host_platform_device_count"
_MOST_CPU_DEVICES = 8  # as many as there are candidates to share


def default_cache_dir() -> str:
    """Folder for compiled programs: what JAX was told of, else one in the user's cache folder.

    "" for users who have no home.
    """
    if named := os.environ.get("JAX_COMPILATION_CACHE_DIR"):
        return named
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join("~", ".cache")
    folder = os.path.expanduser(base)
    return "" if folder.startswith("~") else os.path.join(folder, "dem_jax", "compiled")


def configure(*, precision: str, cache_dir: str) -> list[str]:
    """Sets the precision of products and the persistent compile cache ("" for none).

    Returns:
      Sentences about what could not be set.

    Raises:
      ValueError: where there is no device to compute on.
    """
    jax.config.update("jax_default_matmul_precision", PRECISIONS[precision])
    jax.config.update("jax_numpy_dtype_promotion", "standard")  # whatever the environment says
    asked = jax.config.values["jax_num_cpu_devices"] >= 0
    if not asked and _DEVICE_COUNT not in os.environ.get("XLA_FLAGS", ""):
        with contextlib.suppress(RuntimeError):  # where devices are in use already
            jax.config.update("jax_num_cpu_devices", _cores())
    try:
        jax.local_devices()
    except (RuntimeError, AssertionError) as error:  # JAX asserts what it did not foresee
        raise ValueError(_without_device(os.environ.get("JAX_PLATFORMS", ""), error)) from error
    jax.config.update("jax_compilation_cache_dir", None)  # whatever the environment says
    if not cache_dir:
        return []
    folder = os.path.expanduser(cache_dir)
    if not _is_writable(folder):
        return [f"The compile cache {folder} cannot be written, so programs are compiled anew."]
    jax.config.update("jax_compilation_cache_dir", folder)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)
    return []


def _without_device(wanted: str, error: Exception) -> str:
    """A sentence for the user where JAX finds no device of the platform that is wanted."""
    said = f"JAX_PLATFORMS={wanted} finds" if wanted else "JAX finds"
    reason = " ".join(re.sub(r"\([^()]*\)", "", str(error)).split())  # without JAX's own advice
    reason = textwrap.shorten(reason, _LONGEST_REASON, placeholder=" ...").rstrip(".: ")
    extra = _EXTRAS.get(wanted.split(",")[0].lower(), "")
    install = f", or install JAX for it: pip install 'dem_jax[{extra}]'" if extra else ""
    advice = f"unset JAX_PLATFORMS{install}" if wanted else "install JAX anew"
    return f"{said} no device to compute on{': ' * bool(reason)}{reason}; {advice}."


def _is_writable(folder: str) -> bool:
    try:
        os.makedirs(folder, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def _cores() -> int:
    """CPU devices to compute on: the cores of this process, as many as share the work evenly."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return min(2 ** ((cores or 1).bit_length() - 1), _MOST_CPU_DEVICES)


def local_mesh(axis: str) -> Mesh:
    """This process's devices along one axis."""
    return Mesh(np.asarray(jax.local_devices()), (axis,))


def choose_shard(photos: int, num_chains: int) -> str:
    """What of EM lies along this process's devices: "photos", "chains" or "none".

    Photos exchange nothing, so several photos come first, where every device has a memory of its
    own; chains of one photo where they can be divided evenly.
    """
    count = jax.local_device_count()
    if count == 1:
        return "none"
    if photos > 1 and jax.local_devices()[0].platform != "cpu":
        return sharded.PHOTOS
    return sharded.CHAINS if num_chains % count == 0 else "none"


def chain_shardings(mesh: Mesh) -> Mapping[str, Mapping[str, Any]]:
    """For `Programs`: chains divided over the mesh's axis "chains", all else on every device."""
    everywhere = NamedSharding(mesh, PartitionSpec())
    state = jax.tree.map(
        lambda spec: NamedSharding(mesh, spec),
        sharded.STATE_BY_CHAINS,
        is_leaf=lambda x: isinstance(x, PartitionSpec),
    )
    return {
        "prepare": {"in_shardings": (everywhere, everywhere), "out_shardings": everywhere},
        "init": {"in_shardings": (everywhere, everywhere), "out_shardings": state},
        "step": {
            "in_shardings": (everywhere, state, everywhere),
            "out_shardings": (state, everywhere),
        },
        "finish": {"in_shardings": (state, everywhere), "out_shardings": everywhere},
    }


def versions() -> dict[str, str]:
    """Versions that a result depends on."""
    packages = {name: metadata.version(name) for name in ("jax", "jaxlib", "flax", "optax")}
    return {"dem_jax": __version__, **packages, "python": platform.python_version()}


def device() -> dict[str, Any]:
    """The device that computes, and how many of its kind there are."""
    first = jax.local_devices()[0]
    return {"platform": first.platform, "kind": first.device_kind, "count": jax.device_count()}


def device_peak_memory_mb() -> int | None:
    """Most memory held on the device so far, in MiB; None where it does not tell (CPU)."""
    stats = jax.local_devices()[0].memory_stats()
    return round(stats["peak_bytes_in_use"] / 2**20) if stats else None
