"""`dem-jax serve`: a page, for this machine only, where a photo is dropped and comes back sharp.

A process of its own deblurs each photo; its lines of JSON are the page's progress, and its failure
is a line there. All files lie in one temporary folder that is removed at the end.
"""

import importlib.util
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from dem_jax.config import EFFORTS
from dem_jax.runtime import streams
from dem_jax.runtime.files import colour, images

_LARGEST_UPLOAD = "200mb"
_LONGEST_QUEUE = 4  # photos that wait
_KEPT = 3600  # seconds that results can be downloaded
_DOWNLOADS = ("deblurred.png", "deblurred.tiff", "report.html", "kernels.png", "run.json")


class Shown(NamedTuple):
    """What the page shows: a line on the work, and the result once there is one."""

    status: str
    slider: tuple[str, str] | None = None  # the photo before and after
    kernels: str | None = None
    notes: str = ""  # Markdown: how sure the result is, and warnings
    downloads: list[str] | None = None


class Worker:
    """Deblurs one photo at a time in a process of its own."""

    def __init__(self, folder: pathlib.Path) -> None:
        """`folder` takes what is made of the photos; each run has a part of it for itself."""
        self._folder = folder
        self._process: subprocess.Popen[str] | None = None
        self._stopped = False  # by the user

    def run(self, photo: str | None, effort: str, crop: str) -> Iterator[Shown]:
        """What is to be shown while a file is deblurred, last of all the result."""
        if not photo:
            yield Shown("Drop a photo first.")
            return
        crop, self._stopped = crop.replace(" ", ""), False
        with tempfile.TemporaryDirectory(dir=self._folder) as work:
            yield Shown("Starting ...")
            said = ""
            for line in self._lines(command(photo, effort, crop, work)):
                said = line.get("message", said).removeprefix(f"{photo}: ")
                said = said.replace(photo, os.path.basename(photo))
                yield Shown(_progress(line) or said)
            done = list(pathlib.Path(work).glob("*/deblurred.png"))
            if done:
                yield _result(done[0].parent, _before(photo, crop, pathlib.Path(work)))
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


def command(photo: str, effort: str, crop: str, folder: str) -> list[str]:
    """The command line that deblurs a photo into a folder."""
    words = [sys.executable, "-m", "dem_jax.main", "--progress=json", f"--input={photo}"]
    words += [f"--effort={effort}", f"--output_dir={folder}"]
    return [*words, f"--crop={crop}"] if crop else words


def serve(words: Sequence[str] = ()) -> None:
    """Serves the page until Ctrl-C, and says at which address.

    Raises:
      ValueError: for `words`, what follows on the command line, and where Gradio is missing.
    """
    if words:
        raise ValueError(
            f"'dem-jax serve' takes nothing, so drop {words[0]}; a photo called serve is ./serve."
        )
    if importlib.util.find_spec("gradio") is None:
        raise ValueError("'dem-jax serve' needs Gradio; run pip install 'dem_jax[app]'.")
    with tempfile.TemporaryDirectory(prefix="dem_jax-") as folder:
        uploads, work = (pathlib.Path(folder, name) for name in ("uploads", "work"))
        work.mkdir()
        os.environ |= {"GRADIO_TEMP_DIR": str(uploads), "GRADIO_ANALYTICS_ENABLED": "False"}
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # so that nothing is left behind
        worker = Worker(work)
        try:
            page = make_page(worker).queue(max_size=_LONGEST_QUEUE)
            _, address, _ = page.launch(
                server_name="127.0.0.1",
                share=False,
                max_file_size=_LARGEST_UPLOAD,
                ssr_mode=False,
                footer_links=[],
                quiet=True,
                prevent_thread_lock=True,
            )
            streams.put(sys.stderr, f"Open {address} in a browser; Ctrl-C ends this.\n")
            page.block_thread()
        finally:
            worker.stop()


def make_page(worker: Worker) -> Any:
    """The page, as Gradio's Blocks."""
    import gradio

    with gradio.Blocks(
        title="dem_jax", analytics_enabled=False, delete_cache=(_KEPT, _KEPT)
    ) as page:
        gradio.Markdown("# dem_jax\nSharpens a photo that a shaking camera blurred.")
        with gradio.Row():
            with gradio.Column(scale=1):
                photo = gradio.File(label="Photo", type="filepath")
                effort = gradio.Radio(list(EFFORTS), value="normal", label="Effort")
                crop = gradio.Textbox(
                    label="Only a part", placeholder="X,Y,W,H in pixels; empty: all of it"
                )
                go, stop = gradio.Button("Sharpen", variant="primary"), gradio.Button("Stop")
                status = gradio.Textbox(label="Progress", lines=2, interactive=False)
            with gradio.Column(scale=2):
                slider = gradio.ImageSlider(
                    label="Before and after", type="filepath", buttons=["fullscreen"]
                )
                notes = gradio.Markdown()
                with gradio.Row():
                    kernels = gradio.Image(
                        label="The blur that was found", type="filepath", buttons=["fullscreen"]
                    )
                    downloads = gradio.File(label="Downloads", file_count="multiple")
        shown = [status, slider, kernels, notes, downloads]
        go.click(worker.run, [photo, effort, crop], shown, concurrency_limit=1, api_name=False)
        stop.click(worker.stop, api_name=False)
    return page


def _progress(line: dict[str, Any]) -> str:
    """A line of JSON on a stage in words; "" for messages."""
    if "stage" not in line:
        return ""
    left = line["seconds_left"]
    ending = "" if left is None else f", {int(left) // 60}:{int(left) % 60:02d} left"
    return f"{line['fraction']:.0%}  {line['stage']}{ending}"


def _before(photo: str, crop: str, folder: pathlib.Path) -> pathlib.Path:
    """The photo as a browser can show it, whatever its format."""
    path = folder / "before.png"
    read = images.read_photo(photo, crop=colour.parse_crop(crop or None))
    images.write_photo(path, read.pixels, read)
    return path


def _result(folder: pathlib.Path, before: pathlib.Path) -> Shown:
    record = json.loads((folder / "run.json").read_text())
    sure = record.get("evidence", {}).get("kernel_confidence")
    found = f"**Kernel: {record.get('kernel', 'unknown')}**"
    found += "" if sure is None else f", confidence {sure:.0%}"
    notes = [found, *[f"- {warning}" for warning in record.get("warnings", [])]]
    files = [str(folder / name) for name in _DOWNLOADS if (folder / name).is_file()]
    seconds = record.get("timings_seconds", {}).get("total", 0)
    return Shown(
        f"Done in {seconds:.0f} s." if record["status"] == "done" else record["why"],
        (str(before), str(folder / "deblurred.png")),
        str(folder / "kernels.png"),
        "\n\n".join([notes[0], "\n".join(notes[1:])]),
        files,
    )
