"""Everything a run leaves behind for one photo, and the summary beside it."""

import collections
import datetime
import json
import pathlib
import resource
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dem_jax.runtime.files import atomic, completion, images, writing
from dem_jax.runtime.report import page, pictures

RUNNING, DONE, FAILED, DIVERGED = "running", "done", "failed", "diverged"
_RESULTS = (
    "deblurred.png",
    "deblurred.tiff",
    "kernels.npy",
    "kernels.png",
    "uncertainty.npy",
    "uncertainty.png",
    "report.png",
    "report.html",
    "preview.png",
    "sharpening.webp",
    "metrics.jsonl",
)


class RunFolder:
    """One photo's results: `run.json` says at every moment how far the run is."""

    def __init__(self, path: pathlib.Path) -> None:
        self.path = path
        self._record: dict[str, Any] = {}

    def read(self) -> dict[str, Any]:
        """`run.json` of an earlier run; {} where there is none that can be read."""
        return _read_record(self.path)

    @property
    def started(self) -> bool:
        """Whether this run has begun to compute."""
        return bool(self._record)

    @property
    def picture(self) -> pathlib.Path:
        """The deblurred picture."""
        return self.path / "deblurred.png"

    @property
    def checkpoint(self) -> pathlib.Path:
        """Where checkpoints are while the photo is not done."""
        return self.path / "checkpoint"

    def start(self, record: Mapping[str, Any]) -> None:
        """Makes the folder, removes an earlier run's files, and writes `run.json` as running."""
        self.path.mkdir(parents=True, exist_ok=True)
        self._record = {"status": RUNNING, "why": "", "started": _now(), **record}
        self._write_record()
        for name in _RESULTS:
            (self.path / name).unlink(missing_ok=True)

    def note(self, **entries: Any) -> None:
        """Adds entries to `run.json`."""
        self._record |= entries
        self._write_record()

    def write_metrics(self, entries: Sequence[Mapping[str, Any]]) -> None:
        """Writes `metrics.jsonl` anew, one line an entry."""
        lines = "".join(json.dumps(dict(entry)) + "\n" for entry in entries)
        atomic.write_bytes(self.path / "metrics.jsonl", lines.encode())

    def log_metrics(self, entry: Mapping[str, Any]) -> None:
        """Appends one line to `metrics.jsonl`."""
        with open(self.path / "metrics.jsonl", "a") as file:
            file.write(json.dumps(dict(entry)) + "\n")

    def finish(self, status: str, why: str = "", **entries: Any) -> None:
        """Writes how the run ended."""
        ended = {"status": status, "why": why, "finished": _now()}
        self.note(**entries, peak_memory_mb=_peak_memory_mb(), **ended)

    def fail(self, why: str, **entries: Any) -> None:
        """Writes that the run failed, even before it was started."""
        self.path.mkdir(parents=True, exist_ok=True)
        self.finish(FAILED, why, **entries)

    def write_results(
        self,
        photo: images.Photo,
        latent: np.ndarray,
        kernels: np.ndarray,
        std: np.ndarray,
        *,
        grid: tuple[int, int],
        history: Sequence[Mapping[str, float]],
        caption: str,
    ) -> None:
        """Writes the pictures and arrays of a result.

        Args:
          photo: the blurred photo.
          latent: [H, W, C] the sharp one.
          kernels: [P, k, k].
          std: [H, W, C] posterior standard deviation.
          grid: rows and columns of patches, rows x columns = P.
          history: one entry per EM iteration, for the plot of convergence.
          caption: one line under the report's title.
        """
        writing.write_photo(self.picture, latent, photo)
        if photo.bit_depth == 32 or photo.linear:
            writing.write_photo(self.path / "deblurred.tiff", latent, photo)
        self._write_array("kernels.npy", kernels)
        self._write_picture("kernels.png", pictures.kernels_picture(kernels, grid))
        std = completion.complete_spread(std, photo)
        self._write_array("uncertainty.npy", std, np.float16)
        self._write_picture("uncertainty.png", pictures.uncertainty_picture(std))
        picture = pictures.report_page(
            photo.pixels,
            latent,
            kernels,
            std,
            grid=grid,
            history=history,
            caption=caption,
            warnings=self._record.get("warnings", []),
        )
        self._write_picture("report.png", picture)
        content = page.Content(
            photo.pixels,
            latent,
            kernels,
            std,
            grid,
            history,
            self._record,
            caption,
            photo.icc_profile,
        )
        atomic.write_bytes(self.path / "report.html", page.html_page(content).encode())

    def _write_record(self) -> None:
        atomic.write_json(self.path / "run.json", self._record)

    def _write_picture(self, name: str, picture: np.ndarray) -> None:
        atomic.write_bytes(self.path / name, writing.encode_png(picture))

    def _write_array(self, name: str, array: np.ndarray, dtype: type = np.float32) -> None:
        atomic.write_array(self.path / name, array.astype(dtype))


def write_summary(output_dir: pathlib.Path, *, skipped: Mapping[str, str] | None = None) -> None:
    """Writes `summary.json` from the `run.json` of every photo, so that no run's entry is lost.

    Several processes may do so at once. Each looks again after it wrote, so whoever writes last
    has written what the files say.

    Args:
      output_dir: the folder of all results.
      skipped: why each of these files is no photo, and each of these folders was not searched,
        beside those that the summary names already. A folder that a photo came from is left out.
    """
    written = None
    while written != (content := _summary(output_dir, skipped or {})):
        atomic.write_json(output_dir / "summary.json", content)
        written = content


def _summary(output_dir: pathlib.Path, skipped: Mapping[str, str]) -> dict[str, Any]:
    photos = []
    earlier = _read_record(output_dir, "summary.json").get("skipped", [])
    reasons = {entry["input"]: entry["why"] for entry in earlier} | dict(skipped)
    for path in sorted(output_dir.iterdir()):
        if record := _read_record(path):
            photos.append(
                {
                    "name": path.name,
                    "input": record.get("input"),
                    "status": record.get("status"),
                    "error": record.get("why") or None,
                    "seconds": record.get("timings_seconds", {}).get("total"),
                    "em_iterations": record.get("em_iterations_done"),
                    "resumed_from": record.get("resumed_from"),
                    "peak_memory_mb": record.get("peak_memory_mb"),
                }
            )
    counts = collections.Counter(photo["status"] for photo in photos)
    searched = {str(f) for photo in photos for f in pathlib.Path(str(photo["input"])).parents}
    left_out = [
        {"input": label, "why": why}
        for label, why in sorted(reasons.items())
        if label not in searched
    ]
    return {"counts": dict(counts), "photos": photos, "skipped": left_out}


def _read_record(folder: pathlib.Path, name: str = "run.json") -> dict[str, Any]:
    try:
        record = json.loads((folder / name).read_text())
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def _peak_memory_mb() -> int:
    """Most memory that this process has held so far, in MiB; the device's own is not in it."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10))
