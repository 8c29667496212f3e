"""What a picture's header tells before the picture is read: its rows, columns and channels."""

import os
import pathlib

from PIL import Image

from dem_jax.runtime.files import (
    decoding,
    exif,
    extra_readers,
    formats,
    pillow_reader,
    png,
    tiff_reader,
)


def shape_of(path: str | os.PathLike) -> tuple[int, int, int] | None:
    """Rows, columns and channels of a picture, by its header alone; None where it does not tell."""
    try:
        with decoding.quiet():
            return _shape_of(pathlib.Path(path))
    except Exception:  # whatever is wrong is told when the photo is read
        return None


def _shape_of(path: pathlib.Path) -> tuple[int, int, int] | None:
    kind = formats.identify_file(path)
    reader = kind.reader if kind else ""
    if reader == "heif":
        heif = extra_readers.open_heif(path.read_bytes())
        return *heif.size[::-1], 1 if heif.mode.startswith(("L", "I")) else 3
    if reader == "tiff":
        if shape := tiff_reader.shape(path.read_bytes()):
            return shape
        reader = "raw"
    if reader == "raw":
        with extra_readers.open_raw(path.read_bytes()) as raw:
            turned = raw.sizes.flip in (5, 6)
            sides = raw.sizes.iheight, raw.sizes.iwidth
        return *(sides[::-1] if turned else sides), 3
    with Image.open(path, formats=pillow_reader.FORMATS) as image:
        width, height = image.size
        decoding.check_size(width, height, path.stat().st_size)
        if _orientation(image, path) >= 5:
            width, height = height, width
        grey = image.mode in ("1", "L", "LA", "F") or image.mode.startswith("I")
        return height, width, 1 if grey else 3


def _orientation(image: Image.Image, path: pathlib.Path) -> int:
    """How the picture's size is still to be turned, 1 to 8, without decoding its pixels."""
    if image.format == "PNG":  # whose pixels Pillow decodes to look for a chunk behind them
        chunks = png.chunks(path.read_bytes())
        block = next((c.data for c in chunks if c.kind == b"eXIf" and c.sound), None)
        return exif.read_orientation(block) if block else 1
    return exif.read(image)[1]
