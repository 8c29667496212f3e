"""The EM iterations of one photo: in memory, in metrics.jsonl and, if wanted, for TensorBoard."""

import importlib.util
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from dem_jax.runtime.files.run_folder import RunFolder


class History:
    """One entry per EM iteration; the logged ones are also on the disk."""

    def __init__(
        self,
        folder: RunFolder,
        *,
        total: int,
        log_every: int,
        earlier: Sequence[Mapping[str, Any]] = (),
        tensorboard: pathlib.Path | None = None,
    ) -> None:
        """Writes the logged ones of `earlier` anew: a killed run may have logged more, or half.

        Args:
          folder: of the photo, started.
          total: EM iterations of the whole run; the last is always logged.
          log_every: EM iterations between two that are logged.
          earlier: the entries of a run that is gone on from.
          tensorboard: folder for TensorBoard's event files, if wanted.
        """
        self.entries: list[dict[str, Any]] = [dict(entry) for entry in earlier]
        self._folder, self._total, self._log_every = folder, total, log_every
        self._folder.write_metrics([e for e in self.entries if self.is_logged(e["iteration"])])
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

    def is_logged(self, iteration: int) -> bool:
        """Whether `iteration` is one of those that are logged."""
        return iteration % self._log_every == 0 or iteration == self._total

    def add(self, entry: Mapping[str, Any]) -> None:
        """Keeps the entry of an iteration, and logs it when it is due."""
        self.entries.append(dict(entry))
        if self.is_logged(entry["iteration"]):
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
