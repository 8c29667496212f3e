"""Checkpoints: what a run goes on from after it was stopped, written by Orbax.

    OUTPUT_DIR/NAME/checkpoint/problem/    the photo and what stays fixed, written once
                               state_T/    the state after EM iteration T
                               T.json      the seal: whose run, the iterations so far, checksums

A checkpoint counts from the moment its seal is there, and the one before is removed after that; so
a process may be killed at any moment. Random keys are not stored: iteration T folds T into the key
of the seed, which belongs to the owner.
"""

import dataclasses
import hashlib
import json
import os
import pathlib
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, wait
from typing import Any, NamedTuple

import jax
import numpy as np

from dem_jax.config import DeblurConfig
from dem_jax.runtime.files import atomic, local_arrays
from dem_jax.runtime.programs import in_background
from dem_jax.runtime.scale import devices
from dem_jax.types import PyTree

_FORMAT = 1
_ANEW = "use --noresume to start anew, or another --output_dir."


class CheckpointError(ValueError):
    """A checkpoint cannot be used or written; the message says which, why and what to do."""


class Saved(NamedTuple):
    """A checkpoint that may be gone on from."""

    iteration: int  # EM iterations done; 0 is the start of EM
    history: list[dict[str, Any]]  # one entry per EM iteration done


class _Reached(NamedTuple):
    """The newest state, on the host, because the next step consumes the device's."""

    iteration: int
    state: PyTree
    problem: PyTree
    history: list[dict[str, Any]]


def owner(pixels: np.ndarray, config: DeblurConfig, **flags: Any) -> dict[str, Any]:
    """What a checkpoint belongs to: all that decides the result of a run, as JSON.

    Args:
      pixels: the photo, [H, W, C].
      config: with kernel size and patch grid resolved.
      flags: the others that decide, as numbers and text.
    """
    digest = hashlib.sha256(repr((pixels.shape, pixels.dtype.str)).encode())
    digest.update(np.ascontiguousarray(pixels).data)
    versions = devices.versions()
    entries = {
        "format": _FORMAT,
        "versions": {name: versions[name] for name in ("dem_jax", "jax", "jaxlib")},
        "photo": digest.hexdigest(),
        "config": dataclasses.asdict(config),
        **flags,
    }
    return json.loads(json.dumps(entries))


class Checkpoints:
    """The checkpoints of one photo; at most one save is under way, in a thread of its own."""

    def __init__(self, path: pathlib.Path, *, every: float) -> None:
        """`path`: the folder `checkpoint`; `every`: least seconds between two saves."""
        self._path, self._every = path.absolute(), every
        self._owner: dict[str, Any] = {}
        self._since = time.monotonic()
        self._pending: Future[None] | None = None
        self._reached: _Reached | None = None
        self._written = -1  # the iteration of the newest save, begun or finished
        self._problem: dict[str, str] = {}  # checksums of the problem's files, once written

    def open(self, owner: Mapping[str, Any], *, resume: bool) -> Saved | None:
        """The newest checkpoint, checked; None where there is none.

        Args:
          owner: whose checkpoints these are, see `owner`.
          resume: False removes what is there.

        Raises:
          CheckpointError: it is damaged, or belongs to another photo, configuration or version.
        """
        self._owner = dict(owner)
        if not resume:
            self.delete()
        seals = {int(path.stem): path for path in self._path.glob("*.json") if path.stem.isdigit()}
        if not seals:
            return None
        iteration = max(seals)
        seal = _read_seal(seals[iteration])
        if difference := _difference(seal["owner"], self._owner):
            raise CheckpointError(f"The checkpoint in {self._path} {difference}; {_ANEW}")
        for name, checksum in seal["files"].items():
            if _checksum(self._path / name) != checksum:
                raise _damaged(self._path / name)
        self._problem = _below(seal["files"], "problem")
        self._written = iteration
        return Saved(iteration, seal["history"])

    def restore(self, saved: Saved, problem: PyTree, state: PyTree) -> tuple[PyTree, PyTree]:
        """(problem, state) of a checkpoint that `open` gave, as jax arrays.

        Args:
          saved: from `open`.
          problem: its structure: anything with shape and dtype at the leaves.
          state: likewise.

        Raises:
          CheckpointError: the checkpoint has another structure.
        """
        shapes = {"problem": problem, f"state_{saved.iteration}": state}
        try:
            trees = [local_arrays.restore(self._path / name, t) for name, t in shapes.items()]
        except Exception as error:  # Orbax does not promise which
            raise CheckpointError(
                f"The checkpoint in {self._path} does not fit this program; {_ANEW}"
            ) from error
        # Copied: a step that is given its state to consume must not consume Orbax's memory.
        problem, state = jax.tree.map(lambda x: jax.numpy.array(x, copy=True), trees)
        return problem, state

    def reached(
        self, iteration: int, state: PyTree, problem: PyTree, history: Sequence[dict[str, Any]]
    ) -> None:
        """Keeps the state after `iteration`, and begins to write it when that is due.

        Raises:
          CheckpointError: an earlier one could not be written.
        """
        host = jax.tree.map(lambda x: np.array(x, copy=True), state)
        self._reached = _Reached(iteration, host, problem, list(history))
        if self._pending is not None and self._pending.done():
            self._finish_pending()
        if self._pending is None and time.monotonic() - self._since >= self._every:
            self._begin()

    def flush(self, seconds: float) -> int | None:
        """Writes the newest state, in `seconds` at most.

        Returns:
          The iteration that a resumed run goes on from; None when nothing is on the disk.

        Raises:
          CheckpointError: it could not be written.
        """
        deadline = time.monotonic() + seconds
        self._finish_pending(seconds)
        if self._pending is None and self._reached and self._reached.iteration > self._written:
            self._begin()
            self._finish_pending(deadline - time.monotonic())
        seals = [int(path.stem) for path in self._path.glob("*.json") if path.stem.isdigit()]
        return max(seals, default=None)

    def delete(self) -> None:
        """Removes all checkpoints, once a save under way has ended."""
        if self._pending is not None:
            wait([self._pending])
            self._pending = None
        remove(self._path)
        self._reached, self._written, self._problem = None, -1, {}

    def _begin(self) -> None:
        reached = self._reached
        assert reached is not None
        self._since, self._written = time.monotonic(), reached.iteration
        self._pending = in_background(lambda: self._write(reached))

    def _finish_pending(self, seconds: float | None = None) -> None:
        if self._pending is None or not wait([self._pending], timeout=seconds).done:
            return
        pending, self._pending = self._pending, None
        pending.result()

    def _write(self, reached: _Reached) -> None:
        name = f"state_{reached.iteration}"
        trees = {name: reached.state}
        if not self._problem:
            trees["problem"] = jax.tree.map(np.asarray, reached.problem)
        try:
            sums = self._write_trees(trees)
            self._problem = self._problem or _below(sums, "problem")
            content = {
                "owner": self._owner,
                "history": reached.history,
                "files": self._problem | _below(sums, name),
            }
            seal = {"content": content, "checksum": digest(content)}
            atomic.write_json(self._path / f"{reached.iteration}.json", seal)
        except Exception as error:  # Orbax does not promise which
            for tree in trees:
                self._clear(tree)
            raise CheckpointError(_unwritten(self._path, error)) from error
        self._keep_only("problem", name, f"{reached.iteration}.json")

    def _write_trees(self, trees: Mapping[str, PyTree]) -> dict[str, str]:
        """Writes every tree into its folder; the checksums of all files."""
        self._path.mkdir(parents=True, exist_ok=True)
        for name, tree in trees.items():
            self._clear(name)
            local_arrays.save(self._path / name, tree)
        paths = [path for name in trees for path in _files_below(self._path / name)]
        return {
            path.relative_to(self._path).as_posix(): _checksum(path, durable=True) for path in paths
        }

    def _clear(self, name: str) -> None:
        """Removes the folder of a tree, and what Orbax left of it when it was killed."""
        for path in [self._path / name, *self._path.glob(f"{name}.*")]:
            shutil.rmtree(path, ignore_errors=True)

    def _keep_only(self, *names: str) -> None:
        # Seals first: a seal must not outlive its files.
        for path in sorted(self._path.iterdir(), key=lambda path: path.is_dir()):
            if path.name not in names:
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def remove(path: pathlib.Path) -> None:
    """Removes a folder of checkpoints, if it is there."""
    for seal in path.glob("*.json"):  # first: without it the rest does not count
        seal.unlink()
    shutil.rmtree(path, ignore_errors=True)


def _read_seal(path: pathlib.Path) -> dict[str, Any]:
    try:
        seal = json.loads(path.read_bytes())
        if seal["checksum"] == digest(seal["content"]):
            return seal["content"]
    except (OSError, ValueError, KeyError, TypeError):
        pass
    raise _damaged(path)


def _difference(made: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """In what the owner of a checkpoint is not the present run; "" when it is."""
    old, new = dict(_flat(made)), dict(_flat(now))
    for name in [*new, *old]:  # in the order of `owner`
        if old.get(name) != new.get(name):
            if name == "photo":
                return "is of another photo"
            shown = name.removeprefix("config.").removeprefix("versions.")
            return f"was made with {shown}={old.get(name)}, which is {new.get(name)} now"
    return ""


def _flat(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def _damaged(path: pathlib.Path) -> CheckpointError:
    return CheckpointError(f"The checkpoint is damaged in {path}; {_ANEW}")


def _unwritten(path: pathlib.Path, error: Exception) -> str:
    text = " ".join(str(error).split())[:200]
    advice = "one written before it is whole."
    # NumPy tells of a full disk by what it could not write.
    if "No space left" in text or ("requested and" in text and "written" in text):
        text = "No space left on device"
        advice = f"make room and run the same command again; {advice}"
    return f"The checkpoint in {path} could not be written ({text}); {advice}"


def _files_below(folder: pathlib.Path) -> list[pathlib.Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _below(sums: Mapping[str, str], folder: str) -> dict[str, str]:
    return {name: value for name, value in sums.items() if name.startswith(f"{folder}/")}


def digest(content: Any) -> str:
    """SHA-256 of anything that JSON can hold."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _checksum(path: pathlib.Path, *, durable: bool = False) -> str:
    """SHA-256 of a file, "" when it cannot be read; `durable` makes sure that it is on the disk."""
    try:
        with open(path, "rb") as file:
            if durable:
                os.fsync(file.fileno())
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""
