"""A photo that is watched while it sharpens: `preview.png`, and the animation `sharpening.webp`."""

import io
import pathlib

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from dem_jax.runtime.files import atomic
from dem_jax.runtime.report import figures, pictures

_LONGEST = 900  # pixels of an animation's longer side
_SHORT, _LONG = 500, 2000  # milliseconds that a frame, and the first and last one, are shown


class Watch:
    """Shows one photo while it sharpens; with `every` 0 it does nothing."""

    def __init__(self, folder: pathlib.Path, every: int) -> None:
        self._folder, self._every = folder, every
        self._frames: list[Image.Image] = []

    def wants(self, iteration: int) -> bool:
        """Whether the picture after this EM iteration is to be shown."""
        return bool(self._every) and iteration % self._every == 0

    def show(self, pixels: np.ndarray, name: str) -> None:
        """Writes [H, W, C] in [0, 1] as preview.png; keeps it as a frame called `name`."""
        if not self._every:
            return
        buffer = io.BytesIO()
        Image.fromarray(pictures.grey_or_rgb(pixels)).save(buffer, "PNG", compress_level=1)
        atomic.write_bytes(self._folder / "preview.png", buffer.getvalue())
        self._frames.append(_frame(pixels, name))

    def finish(self, pixels: np.ndarray) -> None:
        """Shows the result, and writes all frames as the endless animation sharpening.webp."""
        self.show(pixels, "after")
        if not self._frames:
            return
        durations = [_SHORT] * len(self._frames)
        durations[0] = durations[-1] = _LONG
        buffer = io.BytesIO()
        self._frames[0].save(
            buffer,
            "WEBP",
            save_all=True,
            append_images=self._frames[1:],
            duration=durations,
            loop=0,
            quality=85,
        )
        atomic.write_bytes(self._folder / "sharpening.webp", buffer.getvalue())


def _frame(pixels: np.ndarray, name: str) -> Image.Image:
    """A picture that fits a screen, its name in a corner."""
    frame = figures.shrink(pictures.grey_or_rgb(pixels), _LONGEST)
    draw = ImageDraw.Draw(frame)
    font = ImageFont.load_default(max(10, min(20, frame.width // 20)))
    _, _, right, bottom = draw.textbbox((6, 4), name, font=font)
    draw.rectangle((0, 0, right + 6, bottom + 4), fill="black")
    draw.text((6, 4), name, fill="white", font=font)
    return frame
