"""Trees of NumPy arrays that one process alone writes and reads, by Orbax.

With several processes each has photos of its own, whereas Orbax's handlers write NumPy arrays from
process 0 only and refuse arrays that are not spread over all processes. So the leaves are written
here, one .npy each, through Orbax's interface for types of one's own; folders that are there whole
or not at all, and the structure of the tree, remain Orbax's.
"""

import contextlib
import functools
import logging
import pathlib
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

from dem_jax.types import PyTree


def save(path: pathlib.Path, tree: PyTree) -> None:
    """Writes a tree of NumPy arrays into a new folder."""
    import orbax.checkpoint as ocp

    with _checkpointer() as checkpointer:
        checkpointer.save(path, args=ocp.args.PyTreeSave(tree))


def restore(path: pathlib.Path, structure: PyTree) -> PyTree:
    """Reads a tree as NumPy arrays.

    Args:
      path: the folder.
      structure: a tree like the one saved, with anything at the leaves.

    Raises:
      ValueError: the tree in the folder has another structure, or other shapes.
    """
    import orbax.checkpoint as ocp

    # Orbax needs arrays at the leaves; these have the shape and take no memory.
    like = jax.tree.map(lambda x: np.broadcast_to(np.zeros((), x.dtype), x.shape), structure)
    with _checkpointer() as checkpointer:
        tree = checkpointer.restore(path, args=ocp.args.PyTreeRestore(item=like))
    for found, wanted in zip(jax.tree.leaves(tree), jax.tree.leaves(like), strict=True):
        if (found.shape, found.dtype) != (wanted.shape, wanted.dtype):
            raise ValueError(f"{path} has a leaf {found.shape} where {wanted.shape} is needed.")
    return tree


@contextlib.contextmanager
def _checkpointer() -> Iterator[Any]:
    import orbax.checkpoint as ocp

    process = jax.process_index()
    alone = ocp.options.MultiprocessingOptions(
        primary_host=process,
        active_processes={process},
        barrier_sync_key_prefix=f"process_{process}",
    )
    logger = logging.getLogger("absl")
    quiet = functools.partial(_is_not_of_orbax)  # one of its own: threads save at the same time
    logger.addFilter(quiet)
    try:
        handler = ocp.PyTreeCheckpointHandler(
            use_ocdbt=False,
            multiprocessing_options=alone,
            type_handler_registry=ocp.type_handlers.create_type_handler_registry(
                (np.ndarray, _leaf_handler())
            ),
        )
        with ocp.Checkpointer(handler, multiprocessing_options=alone) as checkpointer:
            yield checkpointer
    finally:
        logger.removeFilter(quiet)


def _is_not_of_orbax(record: logging.LogRecord) -> bool:
    """Orbax warns at every save that its own handlers have nothing to do."""
    return record.levelno > logging.WARNING or "orbax" not in record.pathname


def _leaf_handler() -> Any:
    from orbax.checkpoint import type_handlers

    class LeafHandler(type_handlers.TypeHandler):
        """One .npy a leaf, named by its place in the tree."""

        def typestr(self) -> str:
            return "npy"

        async def metadata(self, infos: Any) -> list[Any]:
            return [None for _ in infos]  # the files say it themselves

        async def serialize(self, values: Any, infos: Any, args: Any = None) -> list[Any]:
            for value, info in zip(values, infos, strict=True):
                await info.await_path_creation()
                np.save(info.parent_dir / f"{info.name}.npy", value)
            return []

        async def deserialize(self, infos: Any, args: Any = None) -> list[np.ndarray]:
            return [np.load(info.parent_dir / f"{info.name}.npy") for info in infos]

    return LeafHandler()
