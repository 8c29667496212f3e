"""Reading photos into [H, W, C] float32 in [0, 1].

Which reader takes a file is told by its first bytes (`formats`). What the file held besides the
pixels (alpha, bit depth, profile, EXIF) travels in `Photo`, so that `writing` can put it back.
"""

import os
import pathlib
from collections.abc import Callable, Mapping

from PIL import Image

from dem_jax.runtime.files import (
    colour,
    decoding,
    extra_readers,
    formats,
    names,
    photo,
    pillow_reader,
    tiff_reader,
)
from dem_jax.runtime.files.photo import DOUBT, Damaged, Decoded, Photo, PhotoError
from dem_jax.runtime.scale import memory

__all__ = [
    "EXTENSIONS",
    "Photo",
    "PhotoError",
    "read_photo",
]

EXTENSIONS = formats.ENDINGS
_MOST_LINES = 3  # of a decoder's complaints, which often are one for every row
_READERS: Mapping[str, Callable[[bytes], Decoded]] = {
    "png": pillow_reader.read_png,
    "jpeg": pillow_reader.read_jpeg,
    "pillow": pillow_reader.read,
    "pnm": pillow_reader.read_pnm,
    "jpeg2000": pillow_reader.read_jpeg2000,
    "avif": pillow_reader.read_avif,
    "tiff": tiff_reader.read,
    "heif": extra_readers.read_heif,
    "raw": extra_readers.read_raw,
    "jxl": extra_readers.read_jxl,
}


def read_photo(path: str | os.PathLike, *, crop: colour.Crop | None = None) -> Photo:
    """Reads a picture of 8 or 16 bits a channel, or a floating-point TIFF, or a part of it.

    Palettes become RGB; CMYK becomes RGB with a note; EXIF rotation is applied; raw data of cameras
    is developed.

    Raises:
      PhotoError: naming the file, what is wrong with it and what is allowed.
      ValueError: for a crop outside the picture.
      MemoryError: for a picture that the memory does not hold, which is no damage.
    """
    shown = names.printable(os.fspath(path))
    try:
        data = pathlib.Path(path).read_bytes()
    except OSError as error:
        raise PhotoError(f"{shown} cannot be read: {error.strerror or error}.") from error
    kind = formats.identify(data[: formats.HEAD])
    if kind is None or not kind.reader:
        raise PhotoError(f"{shown} {_what_it_is(data, kind)}")
    try:
        return photo.make(_decoded(data, kind), crop)
    except PhotoError as error:
        raise PhotoError(f"{shown} {error}") from error.__cause__
    except Damaged as error:
        raise PhotoError(f"{shown} {_damaged(kind, str(error))}") from error.__cause__


def _decoded(data: bytes, kind: formats.Format) -> Decoded:
    """What the reader of a kind makes of a file.

    Raises:
      Damaged: whatever a decoder raises; its own words, which are no sentences, are the cause.
      MemoryError: where that is what they come of.
    """
    heard: list[str] = []
    try:
        with decoding.quiet() as heard:
            decoded = _READERS[kind.reader](data)
    except (PhotoError, Damaged, MemoryError):
        raise
    except Image.UnidentifiedImageError as error:
        raise Damaged("its header is wrong") from error
    except Exception as error:
        if memory.is_lacking(error):
            raise MemoryError from error
        for line in heard[:_MOST_LINES]:
            error.add_note(line)
        raise Damaged("its pixels cannot be decoded") from error
    # What decoders complain of where a part is missing is that part, of which a note tells.
    doubtful = decoded.missing is None and any(map(decoding.is_decoders, heard))
    notes = dict.fromkeys([*decoded.notes, *([DOUBT] if doubtful else [])])
    return decoded._replace(notes=list(notes))


def _what_it_is(data: bytes, kind: formats.Format | None) -> str:
    """Why a file is not read: what it is, and what is read."""
    if not data:
        return "is an empty file (0 bytes), not a picture; copy it once more from where it came."
    if kind is None:
        return f"is not a picture that can be read; give {formats.READABLE}."
    if kind.picture:
        return f"is {kind.called} file, which cannot be read; save it as PNG or TIFF."
    return f"is not a picture but {kind.called}; give {formats.READABLE}."


def _damaged(kind: formats.Format, what: str) -> str:
    return (
        f"is {kind.called} file that is damaged or incomplete: {what}; copy it once more from "
        "where it came, or save it as PNG with a program that opens it."
    )
