"""The work behind the page: one photo after the other, each in a process of its own.

The process's lines of JSON are the page's progress, its previews the picture that sharpens, and its
failure is a line there. Each photo has a folder, which is removed when its result has been shown.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
from collections.abc import Generator, Iterator
from typing import Any, NamedTuple

from dem_jax.runtime.files import colour, images, writing

_DOWNLOADS = (
    "deblurred.png",
    "deblurred.tiff",
    "report.html",
    "sharpening.webp",
    "kernels.png",
    "run.json",
)


class Shown(NamedTuple):
    """What the page shows; None: what it has shown until now."""

    status: str  # a line on the work
    slider: tuple[str, str] | None = None  # the photo, and how sharp it has become
    kernels: str | None = None
    notes: str | None = None  # Markdown: how sure the result is, and warnings
    downloads: list[str] | None = None


class Worker:
    """Deblurs one photo at a time in a process of its own."""

    def __init__(self, folder: pathlib.Path) -> None:
        """`folder` takes what is made of the photos; each run has a part of it for itself."""
        self._folder = folder
        self._process: subprocess.Popen[str] | None = None
        self._stopped = False  # by the user

    def run(self, photo: str | None, effort: str, crop: str) -> Generator[Shown]:
        """What is to be shown while a file is deblurred, last of all the result."""
        if not photo:
            yield Shown("Drop a photo first.")
            return
        crop, self._stopped = crop.replace(" ", ""), False
        with tempfile.TemporaryDirectory(dir=self._folder) as work:
            yield Shown("Starting ...")
            said, sharpening = "", _Sharpening(photo, crop, pathlib.Path(work))
            for line in self._lines(command(photo, effort, crop, work)):
                said = line.get("message", said).removeprefix(f"{photo}: ")
                said = said.replace(photo, os.path.basename(photo))
                yield Shown(_progress(line) or said, sharpening.newest("preview.png"))
            if slider := sharpening.newest("deblurred.png"):
                yield _result(slider)
            else:
                yield Shown("Stopped." if self._stopped else said)

    def stop(self) -> None:
        """Ends the present photo, if there is one."""
        self._stopped = True
        if self._process:
            self._process.terminate()

    def _lines(self, words: list[str]) -> Iterator[dict[str, Any]]:
        """What the process writes to standard error; plain text becomes a message."""
        with subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        ) as self._process:
            try:
                for line in self._process.stderr or ():
                    try:
                        yield dict(json.loads(line))
                    except ValueError:
                        yield {"message": line.strip()}
            finally:
                self._process.terminate()
        self._process = None


class _Sharpening:
    """A photo's pictures in its folder, beside the photo as a browser can show it."""

    def __init__(self, photo: str, crop: str, work: pathlib.Path) -> None:
        self._photo, self._crop, self._work = photo, crop, work
        self._before = work / "before.png"
        self._shown: tuple[pathlib.Path, int] | None = None  # the last one, and when it was written

    def newest(self, name: str) -> tuple[str, str] | None:
        """The photo and its picture `name`, where that has not been shown yet."""
        found = next(self._work.glob(f"*/{name}"), None)
        if not found or self._shown == (found, found.stat().st_mtime_ns):
            return None
        self._shown = found, found.stat().st_mtime_ns
        if not self._before.exists():
            read = images.read_photo(self._photo, crop=colour.parse_crop(self._crop or None))
            writing.write_photo(self._before, read.pixels, read)
        return str(self._before), str(found)


def command(photo: str, effort: str, crop: str, folder: str) -> list[str]:
    """The command line that deblurs a photo into a folder."""
    words = [sys.executable, "-m", "dem_jax.main", "--progress=json", f"--input={photo}"]
    words += [f"--effort={effort}", f"--output_dir={folder}", "--preview_every=1"]
    return [*words, f"--crop={crop}"] if crop else words


def _progress(line: dict[str, Any]) -> str:
    """A line of JSON on a stage in words; "" for messages."""
    if "stage" not in line:
        return ""
    left = line["seconds_left"]
    ending = "" if left is None else f", {int(left) // 60}:{int(left) % 60:02d} left"
    return f"{line['fraction']:.0%}  {line['stage']}{ending}"


def _result(slider: tuple[str, str]) -> Shown:
    folder = pathlib.Path(slider[1]).parent
    record = json.loads((folder / "run.json").read_text())
    sure = record.get("evidence", {}).get("kernel_confidence")
    found = f"**Kernel: {record.get('kernel', 'unknown')}**"
    found += "" if sure is None else f", confidence {sure:.0%}"
    notes = [found, *[f"- {warning}" for warning in record.get("warnings", [])]]
    files = [str(folder / name) for name in _DOWNLOADS if (folder / name).is_file()]
    seconds = record.get("timings_seconds", {}).get("total", 0)
    return Shown(
        f"Done in {seconds:.0f} s." if record["status"] == "done" else record["why"],
        slider,
        str(folder / "kernels.png"),
        "\n\n".join([notes[0], "\n".join(notes[1:])]),
        files,
    )
