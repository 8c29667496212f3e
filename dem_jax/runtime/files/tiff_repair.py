"""TIFF files put in order before a decoder sees them.

Decoders complain of tags that have nothing to do with pixels, and each assumes something else where
a tag of the pixels is missing. Here a file gets a directory of what is used and sound, and what is
missing of it as the standard or the rest has it. What decoders still complain of then concerns the
picture.
"""

import itertools
import math
import struct
from typing import NamedTuple

from dem_jax.runtime.files.photo import DOUBT, Damaged
from dem_jax.runtime.files.tiff_directory import Directory, Form

_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _COLOUR, _CHANNELS = 256, 257, 258, 259, 262, 277
_ROWS, _TILE_WIDTH, _TILE_HEIGHT, _PLANES, _PROFILE = 278, 322, 323, 284, 34675
_PLACES = {273: 279, 324: 325}  # of strips and of tiles, and how many bytes are there
_BLACK_IS_0, _RGB, _NEED_THREE, _KNOWN = 1, 2, (2, 6, 8), range(9)  # kinds of colour
_APART = 2  # planes
_UNCOMPRESSED, _OLD_JPEG = 1, 6
_OF_ONE_BIT = (2, 3, 4, 32773)  # compressions of pictures that need not say that they have one bit
_MOST_BITS, _MOST_CHANNELS = 64, 65535


class Repaired(NamedTuple):
    """A file whose first directory is in order."""

    data: bytes
    notes: list[str]  # what had to be assumed, or was left out
    sound: bool  # whether the directory says what a decoder has to know
    lacking: float  # part of the pixels' bytes that is not there, and was filled
    lack: str = "the end of the file is missing"  # why it is not
    odd: bool = False  # whether compressed pieces lie behind the end of the file, or are too many


class Pieces(NamedTuple):
    """Strips or tiles."""

    amount: int  # in each plane
    planes: int  # of which each has pieces of its own
    rows: int  # of one
    row: int  # bytes of a row of one where it is uncompressed
    all_: int  # bytes of all then, without such rows of the last strips as are none

    @property
    def size(self) -> int:
        """Bytes of one where it is uncompressed."""
        return self.rows * self.row

    @property
    def full(self) -> int:
        """Bytes of all where they are uncompressed, with rows of the last strips that are none."""
        return self.planes * self.amount * self.size


class Ordered(NamedTuple):
    """A directory in order, but for what lies beyond the end of the file."""

    directory: Directory
    notes: list[str]
    told: bool  # whether it says how pixels are packed, or need not
    sound: bool  # whether it says the picture's size


def repaired(data: bytes, place: int | None = None, *, filling: bytes = b"\0") -> Repaired:
    """The file with its first directory in order, or with the one at `place` as its only one.

    Args:
      data: of the file.
      place: of the directory's first byte; None: the first directory's.
      filling: the byte that stands for those of the pixels that lie behind the file's end.

    Raises:
      Damaged: where that is not in the file.
    """
    directory, notes, told, sound = ordered(data, place)
    lacking, all_, odd = 0, 1, False
    if sound:
        found = pieces(directory)
        plain, all_ = _is_plain(directory), found.full
        lacking = _with_end(directory, len(data), found.size if plain else None)
        sound = told or _is_plainly_stored(directory, found)
        if lacking and not plain:
            notes.append(DOUBT)
        stored = max(len(directory.numbers(tag)) for tag in _PLACES)
        odd = not plain and (lacking > 0 or stored > found.planes * found.amount)
        if not plain or lacking > all_ or directory.number(_COLOUR) not in _KNOWN:
            lacking = 0  # what cannot be filled, or is nowhere, or raw data
    part = lacking / min(all_, lacking + len(data))
    data += filling * min(lacking, len(data))  # of which more is not used
    whole = written(data, directory, alone=place is not None)
    return Repaired(whole, notes, sound, part, odd=odd)


def ordered(data: bytes, place: int | None) -> Ordered:
    """The first directory of a file, or the one at `place`.

    Raises:
      Damaged: where that is not in the file.
    """
    form = Form("<" if data[:2] == b"II" else ">", data[2:4] in (b"+\0", b"\0+"))
    try:
        start = struct.unpack_from(form.place, data, form.pointer)[0] if place is None else place
        directory = Directory(data, form, start)
    except (struct.error, OverflowError) as error:
        raise Damaged("its header is wrong") from error
    told = _is_told(directory)
    notes = ["the end of its header is missing; the rest of it tells what was there"]
    notes = [
        *(notes if directory.cut else []),
        *_with_channels(directory),
        *_with_colour(directory),
    ]
    if directory.lost(_PLANES):
        notes.append("its header does not say how its channels lie; pixel by pixel is taken")
    if directory.lost(_PROFILE):
        notes.append("its colour profile is odd or damaged, and was left out")
    sound = _has_size(directory)
    if sound:
        found = pieces(directory)
        _with_lengths(directory, len(data), found.planes * found.amount)
    return Ordered(directory, notes, told, sound)


def written(data: bytes, directory: Directory, *, alone: bool) -> bytes:
    """The file with this as its first directory, or as its only one, behind all else."""
    form = directory.form
    data += bytes(len(data) % 2)
    head = data[: form.pointer] + struct.pack(form.place, len(data))
    return head + data[len(head) :] + directory.written(len(data), alone=alone)


def _with_channels(directory: Directory) -> list[str]:
    """Sets how many samples a pixel has, where that is not said: as many as have numbers of bits.

    By default it is one, which colour cannot be. Bits of more samples than there are are left out,
    and those that the end of the file cuts off are as many as the first's.
    """
    said, bits = directory.number(_CHANNELS), directory.numbers(_BITS)
    channels = said or max(1, len(bits))
    if directory.number(_COLOUR) in _NEED_THREE and channels < 3 <= len(bits):
        channels = len(bits)
    directory.put(_CHANNELS, channels)
    if len(bits) > channels:
        directory.put(_BITS, *bits[:channels])
    elif directory.cut and 0 < len(bits) < channels <= _MOST_CHANNELS:
        directory.put(_BITS, *bits, *bits[:1] * (channels - len(bits)))
    if channels == (said or 1):
        return []
    return [f"its header does not say how many channels it has; {channels} are taken"]


def _with_colour(directory: Directory) -> list[str]:
    """Sets what the values mean, where it is not said."""
    if _COLOUR in directory.entries:
        return []
    colour = directory.number(_CHANNELS, 1) >= 3
    directory.put(_COLOUR, _RGB if colour else _BLACK_IS_0)
    meant = "that they are RGB" if colour else "that 0 is black"
    return [f"its header does not say what its values mean; it is taken {meant}"]


def _is_told(directory: Directory) -> bool:
    """Whether it is said how pixels are packed, or need not be."""
    packed = directory.number(_COMPRESSION, _UNCOMPRESSED)
    has_bits = _BITS in directory.entries or packed in _OF_ONE_BIT
    return _COMPRESSION in directory.entries and has_bits


def _has_size(directory: Directory) -> bool:
    """Whether width, height and bits are numbers that a picture can have, and it is somewhere."""
    packed = directory.number(_COMPRESSION, _UNCOMPRESSED)
    somewhere = packed == _OLD_JPEG or any(map(directory.numbers, _PLACES))
    bits = directory.numbers(_BITS) or (1,)
    sides = directory.number(_WIDTH), directory.number(_HEIGHT), directory.number(_CHANNELS, 1)
    return (
        not directory.lost(_BITS)
        and somewhere
        and min(*sides, *bits) > 0
        and max(bits) <= _MOST_BITS
    )


def pieces(directory: Directory) -> Pieces:
    """Strips or tiles as the rest of the directory has them."""
    width, height = directory.number(_WIDTH), directory.number(_HEIGHT)
    rows = min(directory.number(_ROWS) or height, height)
    across = directory.number(_TILE_WIDTH) or width
    down = directory.number(_TILE_HEIGHT) or rows
    channels, planes = directory.number(_CHANNELS, 1), 1
    if directory.number(_PLANES) == _APART:
        channels, planes = 1, channels
    row = math.ceil(across * channels * directory.number(_BITS, 1) / 8)
    in_row = math.ceil(width / across)
    amount = in_row * math.ceil(height / down)
    return Pieces(amount, planes, down, row, planes * in_row * height * row)


def _with_lengths(directory: Directory, end: int, count: int) -> None:
    """Sets how many bytes of strips or tiles there are, where that is not said of each.

    What is said of more than there are is left out.
    """
    for tag, lengths in _PLACES.items():
        places, said = directory.numbers(tag), directory.numbers(lengths)
        if len(places) > count == len(said):
            directory.put(tag, *places[:count])
        elif len(said) > count == len(places):
            directory.put(lengths, *said[:count])
        elif len(said) < len(places):
            after = dict(itertools.pairwise([*sorted(set(places)), end]))
            directory.put(lengths, *(max(0, after[place] - place) for place in places))


def _with_end(directory: Directory, end: int, size: int | None) -> int:
    """Sets shorter lengths of strips or tiles that lie beyond the end of the file.

    They are the `size` of an uncompressed one, or, where that is None, reach to the end. Gives the
    largest number of bytes beyond the end, as they were said or as they are.
    """
    most = 0
    for tag, lengths in _PLACES.items():
        set_ = []
        for place, length in zip(directory.numbers(tag), directory.numbers(lengths), strict=False):
            if 0 < place < end < place + length:
                most = max(most, place + min(length, size or length) - end)
                length = min(length, size or end - place)
            elif end <= place and length:
                most = max(most, place + length - end)
            set_.append(length)
        if set_:
            directory.put(lengths, *set_)
    return most


def _is_plainly_stored(directory: Directory, found: Pieces) -> bool:
    """Whether there are as many bytes as an uncompressed picture has."""
    stored = sum(itertools.chain(*map(directory.numbers, _PLACES.values())))
    return _is_plain(directory) and stored in (found.all_, found.full)


def _is_plain(directory: Directory) -> bool:
    return directory.number(_COMPRESSION, _UNCOMPRESSED) == _UNCOMPRESSED
