"""Files that are written whole or not at all."""

import contextlib
import io
import json
import os
import pathlib
import secrets
from collections.abc import Mapping
from typing import Any

import numpy as np


def write_bytes(path: str | os.PathLike, data: bytes) -> None:
    """Writes `data` beside `path` under a temporary name, then moves it there in one step.

    Raises:
      OSError: when it cannot be written; whatever was at `path` before is then still whole.
    """
    path = pathlib.Path(path)
    # Not the process's id: on a shared folder, containers of several hosts have equal ones.
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        if isinstance(error, OSError):
            error.filename = str(path)  # a full disk does not say which file it refused
        raise


def write_json(path: str | os.PathLike, content: Mapping[str, Any]) -> None:
    """Writes `content` as indented JSON, whole or not at all."""
    write_bytes(path, (json.dumps(content, indent=2) + "\n").encode())


def write_array(path: str | os.PathLike, array: np.ndarray) -> None:
    """Writes `array` as .npy, whole or not at all."""
    buffer = io.BytesIO()
    np.save(buffer, array)
    write_bytes(path, buffer.getvalue())
