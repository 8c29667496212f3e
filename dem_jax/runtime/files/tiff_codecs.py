"""One strip or tile of a TIFF file, decompressed as far as it goes.

Decoders of pictures give nothing where anything of a picture is missing. Here one piece is asked
for its rows: those that come before its end, or before the file's.
"""

import bisect
import functools
import io
import struct
import zlib
from collections.abc import Callable, Mapping

import numpy as np
from PIL import Image

from dem_jax.runtime.files import pillow_reader
from dem_jax.runtime.files.photo import Damaged
from dem_jax.runtime.files.tiff_directory import Directory

_COMPRESSION, _COLOUR, _TABLES = 259, 262, 347
_YCBCR = 6
# Tells libjpeg that channels are no brightness and colour, for which it takes three.
_AS_THEY_ARE = b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0\0"
_START_OF_JPEG, _END_OF_JPEG = b"\xff\xd8", b"\xff\xd9"
_AT_ONCE = 2**20  # bytes that are inflated
_WORD = 4  # a TIFF tag's type: an integer of four bytes


def rows(packed: bytes, directory: Directory, row: int, most: int) -> np.ndarray:
    """The rows [R, row] uint8 at the beginning of a piece that can be decompressed.

    Args:
      packed: the piece; what follows it does no harm.
      directory: says how it is packed, by one of `known`.
      row: bytes of a row.
      most: rows of a whole piece, which R never exceeds.
    """
    return _CODECS[directory.number(_COMPRESSION)](packed, directory, row, most)


def is_longer(packed: bytes, directory: Directory, size: int) -> bool:
    """Whether a piece holds more than `size` bytes, decompressed."""
    return len(rows(packed, directory, size + 1, 1)) > 0


def known(directory: Directory) -> bool:
    """Whether pieces are packed in a way that `rows` can undo."""
    return directory.number(_COMPRESSION) in _CODECS


def _by_zlib(packed: bytes, directory: Directory, row: int, most: int) -> np.ndarray:
    """Rows of a deflated piece; none where they are not what was packed."""
    inflater = zlib.decompressobj()
    try:
        found = inflater.decompress(packed, row * most)
        while inflater.unconsumed_tail:  # the checksum behind the last is compared
            inflater.decompress(inflater.unconsumed_tail, max(row * most, _AT_ONCE))
    except zlib.error:
        found = b""
    return np.frombuffer(found, np.uint8, len(found) // row * row).reshape(-1, row)


def _by_libtiff(packed: bytes, directory: Directory, row: int, most: int) -> np.ndarray:
    """Rows of a piece that libtiff decompresses: as many as it does not complain of."""
    unpacked = functools.partial(_strip, packed, directory.number(_COMPRESSION), row)
    found = unpacked(most)
    if found is None:
        count = bisect.bisect(range(1, most), False, key=lambda rows: unpacked(rows) is None)
        found = unpacked(count) if count else None
    return np.empty((0, row), np.uint8) if found is None else found


def _strip(packed: bytes, compression: int, row: int, count: int) -> np.ndarray | None:
    """The first `count` rows of a piece, whose bytes are the grey pixels of a picture."""
    tags = {256: row, 257: count, 258: 8, 259: compression, 262: 1, 273: 8, 278: count}
    tags[279] = len(packed)
    body = packed + bytes(len(packed) % 2)
    table = [struct.pack("<HHII", tag, _WORD, 1, value) for tag, value in tags.items()]
    head = b"II*\0" + struct.pack("<I", 8 + len(body))
    data = head + body + struct.pack("<H", len(table)) + b"".join(table) + bytes(4)
    try:
        return np.asarray(Image.open(io.BytesIO(data), formats=["TIFF"]))
    except (OSError, ValueError):
        return None


def _by_libjpeg(packed: bytes, directory: Directory, row: int, most: int) -> np.ndarray:
    """Rows of a piece that is a JPEG without its tables; three channels become RGB."""
    tables = directory.entries[_TABLES].values if _TABLES in directory.entries else b""
    colour = b"" if directory.number(_COLOUR) == _YCBCR else _AS_THEY_ARE
    tables = tables.removeprefix(_START_OF_JPEG).removesuffix(_END_OF_JPEG)
    body = packed.removeprefix(_START_OF_JPEG)
    data = _START_OF_JPEG + colour + tables + body
    try:
        with Image.open(io.BytesIO(data), formats=["JPEG"]) as image:
            plain = image.mode in ("L", "RGB") and image.height <= most
            fits = plain and image.width * len(image.getbands()) == row
        found = pillow_reader.read_jpeg(data) if fits else None
    except (OSError, ValueError, Damaged):
        found = None
    if found is None:
        return np.empty((0, row), np.uint8)
    whole = len(found.samples)
    if found.missing is not None:
        whole = int(found.missing.any(axis=1).argmax())
    return found.samples[:whole].reshape(whole, row)


_CODECS: Mapping[int, Callable[[bytes, Directory, int, int], np.ndarray]] = {
    **dict.fromkeys((5, 32773, 34925, 50000), _by_libtiff),  # LZW, packed bits, LZMA, zstd
    **dict.fromkeys((8, 32946), _by_zlib),
    7: _by_libjpeg,
}
