"""The EM iterations of one photo: in memory, in metrics.jsonl and, if wanted, for TensorBoard."""

import importlib.util
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from dem_jax.runtime.files.run_folder import RunFolder


class History:
    """One entry per EM iteration, also on the disk."""

    def __init__(
        self,
        folder: RunFolder,
        *,
        earlier: Sequence[Mapping[str, Any]] = (),
        tensorboard: pathlib.Path | None = None,
    ) -> None:
        """Writes `earlier` anew: a killed run may have logged more, or half of an entry.

        Args:
          folder: of the photo, started.
          earlier: the entries of a run that is gone on from.
          tensorboard: folder for TensorBoard's event files, if wanted.
        """
        self.entries: list[dict[str, Any]] = [dict(entry) for entry in earlier]
        self._folder = folder
        self._folder.write_metrics(self.entries)
        self._writer: Any = None
        if tensorboard:
            from tensorboardX import SummaryWriter

            done = len(self.entries)
            # A file of its own, which hides what a killed run wrote beyond its checkpoint.
            self._writer = SummaryWriter(
                str(tensorboard), purge_step=done + 1, filename_suffix=f".after_{done}"
            )

    def __len__(self) -> int:
        return len(self.entries)

    @property
    def seconds(self) -> float:
        """Time that EM has taken so far, over all runs of it."""
        return self.entries[-1]["seconds"] if self.entries else 0.0

    def add(self, entry: Mapping[str, Any]) -> None:
        """Keeps the entry of an iteration, and logs it."""
        self.entries.append(dict(entry))
        self.log(entry)

    def log(self, entry: Mapping[str, Any]) -> None:
        """Logs an entry without keeping it."""
        self._folder.log_metrics(entry)
        if self._writer:
            for name, value in entry.items():
                if name != "iteration" and value is not None:
                    self._writer.add_scalar(name, value, entry["iteration"])
            self._writer.flush()  # a checkpoint must not know more than the event files

    def close(self) -> None:
        """Writes what TensorBoard's writer still holds."""
        if self._writer:
            self._writer.close()


def require_tensorboard() -> None:
    """Raises ValueError unless event files for TensorBoard can be written."""
    if importlib.util.find_spec("tensorboardX") is None:
        raise ValueError(
            "--tensorboard_dir needs the package tensorboardX: pip install 'dem_jax[tensorboard]'."
        )
