"""Compiled programs kept on disk, so that the next run neither traces nor lowers them.

JAX's own cache saves XLA's work but not Python's: to look a program up it must be traced and
lowered first, which takes four seconds for the first look alone. Here a program is found by what it
was made from: the call's name, shapes and configuration, this package's source, the versions of
what compiled it, and the machine.

A file holds machine code, as those of JAX's cache do: keep the folder as private as programs are.
"""

import contextlib
import functools
import hashlib
import os
import pathlib
import pickle
import platform
import zlib
from typing import Any

import jax
from jax.experimental import serialize_executable

import dem_jax
from dem_jax.runtime.scale import devices

_CPU_INFO = pathlib.Path("/proc/cpuinfo")  # of Linux
_TELLING = "model name", "flags", "Features", "CPU part"  # its lines that machine code depends on
_SETTINGS = (  # of JAX, which change programs
    "jax_default_matmul_precision",
    "jax_default_prng_impl",
    "jax_enable_x64",
    "jax_numpy_dtype_promotion",
    "jax_threefry_partitionable",
)


class Store:
    """A folder of programs; whatever is wrong with it, programs are compiled instead."""

    def __init__(self, folder: pathlib.Path) -> None:
        self._folder = folder

    def load(self, signature: Any) -> Any | None:
        """The program of a signature, ready to run; None where there is none that fits."""
        with contextlib.suppress(Exception):  # a damaged file is no program
            held = zlib.decompress(self._path(signature).read_bytes())
            ids, program, taken, given = pickle.loads(held)
            local = {device.id: device for device in jax.local_devices()}
            return serialize_executable.deserialize_and_load(
                program, taken, given, execution_devices=[local[number] for number in ids]
            )
        return None

    def save(self, signature: Any, program: Any) -> None:
        """Keeps a program, where it can be kept; another process may do the same meanwhile."""
        with contextlib.suppress(Exception):  # a full disk, or what XLA cannot write down
            places = [x.device_set for x in jax.tree.leaves(program.output_shardings)]
            ids = sorted({device.id for place in places for device in place})
            held = pickle.dumps((ids, *serialize_executable.serialize(program)))
            held = zlib.compress(held, level=1)  # a quarter of the size, in milliseconds
            self._folder.mkdir(parents=True, exist_ok=True)
            file = self._path(signature)
            part = file.with_suffix(f".{os.getpid()}")
            try:
                part.write_bytes(held)
                os.replace(part, file)
            finally:
                part.unlink(missing_ok=True)

    def _path(self, signature: Any) -> pathlib.Path:
        local = [(device.platform, device.device_kind, device.id) for device in jax.local_devices()]
        settings = [getattr(jax.config, name) for name in _SETTINGS]
        flags = os.environ.get("XLA_FLAGS", "")
        made_from = signature, _source(), devices.versions(), _processor(), local, settings, flags
        return self._folder / f"{hashlib.sha256(repr(made_from).encode()).hexdigest()}.program"


@functools.cache
def _source() -> str:
    """A digest of this package's source."""
    package = pathlib.Path(dem_jax.__file__).parent
    digest = hashlib.sha256()
    for file in sorted(package.rglob("*.py")):
        digest.update(file.read_bytes())
    return digest.hexdigest()


@functools.cache
def _processor() -> list[str]:
    """What machine code for this processor depends on."""
    told = _CPU_INFO.read_text().splitlines() if _CPU_INFO.exists() else []
    lines = {line for line in told if line.startswith(_TELLING)}
    return [platform.machine(), *sorted(lines or {platform.processor()})]
