"""Known sharp photos, for users who measure: PSNR while a run goes on."""

import os
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np

from dem_jax.runtime.files import framing, images
from dem_jax.runtime.files.inputs import Source

MAX_SHIFT = 10  # pixels that a result may be off, since blur leaves its place open


def find_truths(text: str, sources: Sequence[Source]) -> Mapping[str, pathlib.Path]:
    """The sharp photo of each source that has one, by the name of its results.

    Args:
      text: a picture, for a single source, or a folder of pictures with the sources' stems.
      sources: the photos to deblur.

    Raises:
      ValueError: when nothing fits.
    """
    path = pathlib.Path(os.path.expanduser(text))
    if path.is_file():
        if len(sources) != 1:
            raise ValueError(
                f"--ground_truth={text} is one picture for {len(sources)} photos; give a folder."
            )
        return {sources[0].name: path}
    if not path.is_dir():
        raise ValueError(f"--ground_truth={text} does not exist; give a picture or a folder.")
    files = sorted(p for p in path.iterdir() if p.suffix.lower() in images.EXTENSIONS)
    pictures = {p.stem: p for p in files} | {p.name: p for p in files}
    wanted = {s.name: (s.path.name, s.path.stem) for s in sources}
    found = {
        name: pictures[key]
        for name, keys in wanted.items()
        if (key := next((key for key in keys if key in pictures), None))
    }
    if not found:
        raise ValueError(f"--ground_truth={text} holds no picture named like one of the photos.")
    return found


class Truth:
    """One sharp photo."""

    def __init__(self, path: pathlib.Path, photo: images.Photo) -> None:
        from dem_jax.evaluation import metrics

        self._metrics = metrics
        pixels = framing.inside(images.read_photo(path).pixels, photo)
        if pixels.shape[:2] != photo.pixels.shape[:2]:
            raise ValueError(
                f"The truth {path} is {pixels.shape[1]}x{pixels.shape[0]} pixels, its photo "
                f"{photo.shape[1]}x{photo.shape[0]}; they must agree."
            )
        self._luma = metrics.luma(pixels)
        self._known = True if photo.weight is None else photo.weight > 0

    def psnr(self, picture: np.ndarray) -> float:
        """PSNR in dB of the luma of `picture` [H, W, C] at its best shift, 15 pixels cropped."""
        luma = np.where(self._known, self._metrics.luma(picture), self._luma)
        registered = self._metrics.register_shift(luma, self._luma, max_shift=MAX_SHIFT)
        return round(self._metrics.psnr(registered.result, registered.truth), 3)
