"""A compressed TIFF picture of which not all can be decompressed, as an uncompressed one.

Each strip or tile is decompressed by itself, from its place on, as far as it goes. What the header
says of the bytes of pieces and of the rows of strips is not needed for that.
"""

import itertools
import math
from typing import NamedTuple

import numpy as np

from dem_jax.runtime.files import decoding, tiff_codecs, tiff_repair
from dem_jax.runtime.files.photo import DOUBT
from dem_jax.runtime.files.tiff_directory import Directory

_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _COLOUR, _FILL_ORDER = 256, 257, 258, 259, 262, 266
_CHANNELS, _ROWS, _PREDICTOR, _TILE_WIDTH, _TILE_HEIGHT = 277, 278, 317, 322, 323
_TABLES, _SUBSAMPLING = 347, 530
_STRIPS, _TILES, _LENGTHS = 273, 324, {273: 279, 324: 325}
_UNCOMPRESSED, _JPEG, _RGB, _YCBCR, _WITHOUT_SUBSAMPLING = 1, 7, 2, 6, (1, 1)
_NONE, _FROM_THE_LEFT, _OF_FLOATS = 1, 2, 3  # what is stored are differences
_MOST_PIECES = 100_000  # that are decompressed, a few thousand a second


class Unpacked(NamedTuple):
    """A picture's pieces, decompressed."""

    head: bytes  # of the file
    directory: Directory  # of the uncompressed picture
    pieces: list[np.ndarray]  # the rows of each that are there
    sizes: list[int]  # bytes of each where it is whole
    notes: list[str]
    lack: str  # why rows are not there

    @property
    def lacking(self) -> float:
        """Part of the picture's bytes that is not there."""
        return 1 - sum(rows.nbytes for rows in self.pieces) / sum(self.sizes)

    def filled(self, filling: bytes) -> tiff_repair.Repaired:
        """The uncompressed file, with `filling` for each byte of rows that are not there."""
        body = [
            rows.tobytes() + filling * (size - rows.nbytes)
            for rows, size in zip(self.pieces, self.sizes, strict=True)
        ]
        data = tiff_repair.written(b"".join([self.head, *body]), self.directory, alone=True)
        return tiff_repair.Repaired(data, self.notes, True, self.lacking, self.lack)


class _Stored(NamedTuple):
    """A strip or tile in the file."""

    packed: bytes  # from its place to that of the next, or to the end of the file
    length: int  # bytes of these that it has, as the header says
    cut: bool  # whether they reach beyond the end of the file


class _Found(NamedTuple):
    """What is left of a strip or tile."""

    rows: np.ndarray  # [R, bytes] uint8
    as_said: bool  # whether that is all, in the bytes in which the header says it is


def unpacked(data: bytes, place: int | None) -> Unpacked | None:
    """The first picture of a file, or the one whose directory is at `place`.

    A piece that the end of the file cuts is used as far as it goes; another is used whole or not.
    None: where nothing can be decompressed, or nothing is found that is wrong, or it is not known
    how pieces are packed or where they are.

    Raises:
      PhotoError: for what is no photo but an attack on the memory.
    """
    directory, notes, _, sound = tiff_repair.ordered(data, place)
    stored = _stored(data, directory) if sound and _is_known(directory) else []
    if not 0 < len(stored) <= _MOST_PIECES:
        return None
    width, height = directory.number(_WIDTH), directory.number(_HEIGHT)
    across, down = directory.number(_TILE_WIDTH), directory.number(_TILE_HEIGHT)
    decoding.check_size(max(width, across), max(height, down), len(data))
    wrong = _with_rows(directory, stored)
    whole = tiff_repair.pieces(directory)
    counts = _row_counts(directory, whole)
    if len(counts) != len(stored):
        return None
    found = [_found(*pair, directory, whole.row) for pair in zip(stored, counts, strict=True)]
    if not wrong and all(piece.as_said for piece in found):
        found = [
            _unless_longer(*pair, directory, whole) for pair in zip(found, stored, strict=True)
        ]
    rows = [_without_differences(piece.rows, directory, whole) for piece in found]
    sizes = [count * whole.row for count in counts]
    there = sum(map(len, rows))
    if not there or not (wrong or not all(piece.as_said for piece in found)):
        return None
    doubt = [DOUBT] if there == sum(counts) else []
    ended = any(piece.cut for piece in stored)
    lack = "the end of the file is missing" if ended else "a part of its data is damaged"
    head = data[: directory.form.pointer + directory.form.room]
    _with_plain_pixels(directory, len(head), sizes)
    notes = [*notes, *wrong, *doubt]
    return Unpacked(head, directory, rows, sizes, notes, lack)


def _is_known(directory: Directory) -> bool:
    """Whether it is known what the bytes of a decompressed piece are."""
    jpeg = directory.number(_COMPRESSION) == _JPEG
    in_blocks = (
        directory.number(_COLOUR) == _YCBCR
        and directory.numbers(_SUBSAMPLING) != _WITHOUT_SUBSAMPLING
    )
    predictor, bits = directory.number(_PREDICTOR, _NONE), set(directory.numbers(_BITS))
    whole_bytes = bits in ({8}, {16}, {32}, {64})
    return (
        tiff_codecs.known(directory)
        and directory.number(_FILL_ORDER, 1) == 1
        and (predictor == _NONE or (predictor in (_FROM_THE_LEFT, _OF_FLOATS) and whole_bytes))
        and (tiff_repair.pieces(directory).planes == 1 if jpeg else not in_blocks)
    )


def _stored(data: bytes, directory: Directory) -> list[_Stored]:
    """The pieces; none where one is said to be nowhere."""
    tag = _place_tag(directory)
    places, lengths = directory.numbers(tag), directory.numbers(_LENGTHS[tag])
    if 0 in places or 0 in lengths or len(places) != len(lengths):
        return []
    end = len(data)
    after = dict(itertools.pairwise([*sorted(set(places)), max(end, *places)]))
    return [
        _Stored(data[place : after[place]], length, place + length > end)
        for place, length in zip(places, lengths, strict=True)
    ]


def _place_tag(directory: Directory) -> int:
    return _TILES if directory.numbers(_TILES) else _STRIPS


def _with_rows(directory: Directory, stored: list[_Stored]) -> list[str]:
    """Sets how many rows a strip has, where the first strip and the number of them tell."""
    said, height = tiff_repair.pieces(directory), directory.number(_HEIGHT)
    amount = len(stored) // said.planes
    if _place_tag(directory) == _TILES or (stored[0].cut and amount > 1):
        return []
    rows = height
    if amount > 1:
        rows = len(tiff_codecs.rows(stored[0].packed, directory, said.row, height))
    if rows in (0, said.rows) or math.ceil(height / rows) != amount:
        return []
    directory.put(_ROWS, rows)
    return [f"its header is wrong about the rows of a strip; {rows} are taken"]


def _row_counts(directory: Directory, whole: tiff_repair.Pieces) -> list[int]:
    """Rows of each piece: of a plane's last strip those that are left, of tiles all."""
    counts = [whole.rows] * whole.amount
    if _place_tag(directory) == _STRIPS:
        counts[-1] = directory.number(_HEIGHT) - whole.rows * (whole.amount - 1)
    return counts * whole.planes


def _found(piece: _Stored, count: int, directory: Directory, row: int) -> _Found:
    """What can be trusted of the `count` rows of a piece."""
    found = tiff_codecs.rows(piece.packed[: piece.length], directory, row, count)
    if len(found) == count:
        return _Found(found, not piece.cut)
    if piece.cut:
        return _Found(found, False)
    longer = tiff_codecs.rows(piece.packed, directory, row, count)
    return _Found(longer if len(longer) == count else longer[:0], False)


def _unless_longer(
    found: _Found, piece: _Stored, directory: Directory, whole: tiff_repair.Pieces
) -> _Found:
    """Nothing of a piece that holds more than its rows: somewhere in it something is damaged."""
    longer = tiff_codecs.is_longer(piece.packed[: piece.length], directory, whole.size)
    return _Found(found.rows[:0], False) if longer else found


def _without_differences(
    rows: np.ndarray, directory: Directory, whole: tiff_repair.Pieces
) -> np.ndarray:
    """Rows of samples, where differences from the pixel to the left were stored, if they were."""
    predictor, size = directory.number(_PREDICTOR, _NONE), directory.number(_BITS) // 8
    if predictor == _NONE or directory.number(_COMPRESSION) == _JPEG:
        return rows
    order = directory.form.order
    channels = 1 if whole.planes > 1 else directory.number(_CHANNELS, 1)
    kind = np.dtype(f"{order}u{size}" if predictor == _FROM_THE_LEFT else "u1")
    across = rows.shape[1] // (kind.itemsize * channels)
    values = rows.view(kind).reshape(len(rows), across, channels)
    samples = np.cumsum(values, axis=1, dtype=kind).view(np.uint8)
    if predictor == _OF_FLOATS:  # their highest bytes come first, then the next
        samples = samples.reshape(len(rows), size, rows.shape[1] // size)
        samples = samples[:, :: 1 if order == ">" else -1].swapaxes(1, 2)
    return samples.reshape(rows.shape)


def _with_plain_pixels(directory: Directory, begin: int, sizes: list[int]) -> None:
    """Sets that the picture is uncompressed and its pieces lie one behind the other."""
    tag, jpeg = _place_tag(directory), directory.number(_COMPRESSION) == _JPEG
    directory.put(tag, *itertools.accumulate(sizes[:-1], initial=begin))
    directory.put(_LENGTHS[tag], *sizes)
    directory.put(_COMPRESSION, _UNCOMPRESSED)
    directory.drop(_PREDICTOR, _TABLES)
    if jpeg and directory.number(_COLOUR) == _YCBCR:
        directory.put(_COLOUR, _RGB)
        directory.drop(_SUBSAMPLING)
