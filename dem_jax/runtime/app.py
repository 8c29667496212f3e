"""`dem-jax serve`: a page, for this machine only, where a photo is dropped and comes back sharp.

`worker` deblurs, `part` is the rectangle that is drawn, and Gradio shows it all. All files lie in
one temporary folder that is removed at the end.
"""

import contextlib
import importlib.util
import os
import pathlib
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from typing import Any

from dem_jax.config import EFFORTS
from dem_jax.runtime import part, streams
from dem_jax.runtime.files.photo import PhotoError
from dem_jax.runtime.worker import Worker

_LARGEST_UPLOAD = "200mb"
_LONGEST_QUEUE = 4  # photos that wait
_KEPT = 3600  # seconds that results can be downloaded


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

    def follow(*given: Any) -> Iterator[list[Any]]:
        with contextlib.closing(worker.run(*given)) as run:
            yield list(next(run))  # nothing of the photo before
            for now in run:
                yield [gradio.skip() if value is None else value for value in now]

    def mark(marked: part.Part, click: gradio.SelectData) -> tuple[part.Part, Any, str]:
        return _shown(part.mark(marked, *click.index))

    with gradio.Blocks(
        title="dem_jax", analytics_enabled=False, delete_cache=(_KEPT, _KEPT)
    ) as page:
        gradio.Markdown("# dem_jax\nSharpens a photo that a shaking camera blurred.")
        with gradio.Row():
            with gradio.Column(scale=1):
                photo = gradio.File(label="Photo", type="filepath")
                picture = gradio.Image(show_label=False, interactive=False, buttons=[])
                crop = gradio.Textbox(
                    label="Only a part",
                    info="Click two corners in the picture, or type X,Y,W,H in pixels.",
                    placeholder="empty: all of it",
                )
                effort = gradio.Radio(list(EFFORTS), value="normal", label="Effort")
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
        marked = gradio.State()
        own: dict[str, Any] = {"api_name": False}
        photo.change(_look_at, photo, [marked, picture, crop], **own)
        picture.select(mark, marked, [marked, picture, crop], show_progress="hidden", **own)
        shown = [status, slider, kernels, notes, downloads]
        go.click(follow, [photo, effort, crop], shown, concurrency_limit=1, **own)
        stop.click(worker.stop, **own)
    return page


def _look_at(photo: str | None) -> tuple[part.Part | None, Any, str]:
    """What the page shows of a photo before the work: nothing of one that cannot be read."""
    with contextlib.suppress(PhotoError, MemoryError):  # told when it is to be sharpened
        if photo:
            return _shown(part.open_photo(photo))
    return None, None, ""


def _shown(marked: part.Part) -> tuple[part.Part, Any, str]:
    return marked, part.drawn(marked), part.crop(marked)
