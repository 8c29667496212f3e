"""The directory of a TIFF picture, put in order before a decoder sees it.

Decoders complain of tags that have nothing to do with pixels, and each assumes something else where
a tag of the pixels is missing. Here the directory is written anew: what is used of it, as far as it
is sound, and what is missing as the standard or the rest of the directory has it. What decoders
still complain of then concerns the picture.

The format: TIFF revision 6.0 (Adobe 1992), and BigTIFF, whose counts and places have eight bytes.
"""

import itertools
import math
import struct
from collections.abc import Sequence
from typing import NamedTuple

from dem_jax.runtime.files.photo import Damaged

_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _COLOUR, _CHANNELS = 256, 257, 258, 259, 262, 277
_TILE_WIDTH, _TILE_HEIGHT, _PLANES, _FORMAT, _PROFILE = 322, 323, 284, 339, 34675
_LENGTHS = {273: 279, 324: 325}  # places of strips and of tiles, and how many bytes are there
# Tags that hold one number, with the numbers that mean something, where the others do no harm.
_NUMBERS: dict[int, Sequence[int]] = {266: (1, 2), 274: range(1, 9), 284: (1, 2), 296: (1, 2, 3)}
_NUMBERS |= dict.fromkeys((254, 255, 256, 257, 259, 262, 277, 278, 292, 293, 317, 322, 323), ())
_NUMBERS |= dict.fromkeys((332, 512, 513, 514, 515, 32995, 32997, 32998), ())
# Tags that hold more: of the pixels, and beside them what travels with a photo or names a stack.
_LISTS = {258, 273, 279, 320, 324, 325, 338, 339, 347, 519, 520, 521, 529, 530, 532, 50674}
_LISTS |= {270, 282, 283, 305, 330, 700, 34675, 50706, 50838, 50839}
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_SIZES |= {16: 8, 17: 8, 18: 8}  # of each type, in bytes
_INTEGERS = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q"}
_BLACK_IS_0, _RGB, _NEED_THREE = 1, 2, (2, 6, 8)  # kinds of colour
_FORMATS = (1, 2, 3, 5, 6)  # of numbers; one that is not defined is unsigned, as by default
_UNCOMPRESSED = 1
_OF_ONE_BIT = (2, 3, 4, 32773)  # compressions of pictures that need not say that they have one bit
_MOST_BITS = 64


class Repaired(NamedTuple):
    """A file whose first directory is in order."""

    data: bytes
    notes: list[str]  # what had to be assumed, or was left out
    sound: bool  # whether the directory says what a decoder has to know


class _Entry(NamedTuple):
    """A tag's type, number of values and values."""

    kind: int
    amount: int
    values: bytes


class _Form(NamedTuple):
    """How numbers of a file are written."""

    order: str  # as `struct` has it
    wide: bool  # BigTIFF

    @property
    def place(self) -> str:
        """A place in the file, or a number of values."""
        return self.order + ("Q" if self.wide else "I")

    @property
    def room(self) -> int:
        """Bytes of a place, where values lie that need no more."""
        return 8 if self.wide else 4

    @property
    def entry_count(self) -> str:
        """The number of a directory's entries."""
        return self.order + ("Q" if self.wide else "H")

    @property
    def entry(self) -> struct.Struct:
        """Tag, type, number of values, and values or their place."""
        return struct.Struct(f"{self.order}HH{self.place[1:]}{self.room}s")


class _Directory:
    """What is used and sound of a directory."""

    def __init__(self, data: bytes, form: _Form, start: int) -> None:
        (number,) = struct.unpack_from(form.entry_count, data, start)
        begin = start + struct.calcsize(form.entry_count)
        end = begin + number * form.entry.size
        rows = struct.unpack_from(f"{end - begin}s", data, begin)[0]
        self.form, self.tags = form, set[int]()
        self.following = 0
        if end + form.room <= len(data):
            (self.following,) = struct.unpack_from(form.place, data, end)
        self.entries: dict[int, _Entry] = {}
        for tag, kind, count, field in form.entry.iter_unpack(rows):
            entry = (
                None if tag in self.tags else _entry(data, form, tag, _Entry(kind, count, field))
            )
            if entry:
                self.entries[tag] = entry
            self.tags.add(tag)

    def lost(self, tag: int) -> bool:
        """Whether a tag is there that is not sound."""
        return tag in self.tags and tag not in self.entries

    def numbers(self, tag: int) -> tuple[int, ...]:
        """The integers of a tag."""
        return _numbers(self.entries[tag], self.form) if tag in self.entries else ()

    def number(self, tag: int, default: int = 0) -> int:
        """The first integer of a tag."""
        return (*self.numbers(tag), default)[0]

    def put(self, tag: int, *values: int) -> None:
        """Sets a tag."""
        values_ = struct.pack(f"{self.form.place[0]}{len(values)}{self.form.place[1:]}", *values)
        self.entries[tag] = _Entry(16 if self.form.wide else 4, len(values), values_)

    def written(self, start: int, *, alone: bool) -> bytes:
        """The directory as it begins at `start`, and behind it the values that need more room."""
        form, count = self.form, struct.pack(self.form.entry_count, len(self.entries))
        behind = start + len(count) + len(self.entries) * form.entry.size + form.room
        table, values = count, b""
        for tag, entry in sorted(self.entries.items()):
            field = entry.values.ljust(form.room, b"\0")
            if len(field) > form.room:
                field = struct.pack(form.place, behind + len(values))
                values += entry.values + bytes(len(entry.values) % 2)
            table += form.entry.pack(tag, entry.kind, entry.amount, field)
        return table + struct.pack(form.place, 0 if alone else self.following) + values


def repaired(data: bytes, place: int | None = None) -> Repaired:
    """The file with its first directory in order, or with the one at `place` as its only one.

    Raises:
      Damaged: where that is not in the file.
    """
    form = _Form("<" if data[:2] == b"II" else ">", data[2:4] in (b"+\0", b"\0+"))
    pointer = 8 if form.wide else 4
    try:
        start = struct.unpack_from(form.place, data, pointer)[0] if place is None else place
        directory = _Directory(data, form, start)
    except (struct.error, OverflowError) as error:
        raise Damaged("its header is wrong") from error
    told = _is_told(directory)
    notes = [*_with_channels(directory), *_with_colour(directory)]
    if directory.lost(_PLANES):
        notes.append("its header does not say how its channels lie; pixel by pixel is taken")
    if directory.lost(_PROFILE):
        notes.append("its colour profile is odd or damaged, and was left out")
    _with_lengths(directory, len(data))
    sound = told or _is_plainly_stored(directory)
    end = len(data) + len(data) % 2
    head = data[:pointer] + struct.pack(form.place, end)
    added = directory.written(end, alone=place is not None)
    return Repaired(
        head + data[len(head) :] + bytes(end - len(data)) + added,
        notes,
        sound and _has_size(directory),
    )


def _entry(data: bytes, form: _Form, tag: int, found: _Entry) -> _Entry | None:
    """A tag that is used, where it is sound.

    A number without which there is no picture is one number, whatever its count says.
    """
    kind, count, field = found
    size = _SIZES.get(kind, 0)
    if tag in _NUMBERS:
        if kind not in _INTEGERS or size > form.room:
            return None
        entry, meant = _Entry(kind, 1, field[:size]), _NUMBERS[tag]
        known = not meant or (count == 1 and _numbers(entry, form)[0] in meant)
        return entry if known else None
    length = count * size
    if tag not in _LISTS or not length:
        return None
    at = struct.unpack(form.place, field)[0]
    values = field[:length] if length <= form.room else data[at : at + length]
    entry = _Entry(kind, count, values)
    if len(values) < length or (tag == _FORMAT and not set(_numbers(entry, form)) <= {*_FORMATS}):
        return None
    return entry


def _numbers(entry: _Entry, form: _Form) -> tuple[int, ...]:
    if entry.kind not in _INTEGERS:
        return ()
    return struct.unpack(f"{form.order}{entry.amount}{_INTEGERS[entry.kind]}", entry.values)


def _with_channels(directory: _Directory) -> list[str]:
    """Sets how many samples a pixel has, where that is not said: as many as have numbers of bits.

    By default it is one, which colour cannot be.
    """
    said, counted = directory.number(_CHANNELS, 1), len(directory.numbers(_BITS))
    channels = said if _CHANNELS in directory.entries else max(said, counted)
    if directory.number(_COLOUR) in _NEED_THREE and channels < 3 <= counted:
        channels = counted
    if channels == said:
        return []
    directory.put(_CHANNELS, channels)
    return [f"its header does not say how many channels it has; {channels} are taken"]


def _with_colour(directory: _Directory) -> list[str]:
    """Sets what the values mean, where it is not said."""
    if _COLOUR in directory.entries:
        return []
    colour = directory.number(_CHANNELS, 1) >= 3
    directory.put(_COLOUR, _RGB if colour else _BLACK_IS_0)
    meant = "that they are RGB" if colour else "that 0 is black"
    return [f"its header does not say what its values mean; it is taken {meant}"]


def _with_lengths(directory: _Directory, end: int) -> None:
    """Sets the bytes of strips or tiles, where they are not said: up to the next in the file."""
    for tag, lengths in _LENGTHS.items():
        places = directory.numbers(tag)
        if places and lengths not in directory.entries:
            after = dict(itertools.pairwise([*sorted(set(places)), end]))
            directory.put(lengths, *(max(0, after[place] - place) for place in places))


def _is_told(directory: _Directory) -> bool:
    """Whether it is said how pixels are packed, or need not be."""
    packed = directory.number(_COMPRESSION, _UNCOMPRESSED)
    has_bits = _BITS in directory.entries or packed in _OF_ONE_BIT
    return _COMPRESSION in directory.entries and has_bits


def _is_plainly_stored(directory: _Directory) -> bool:
    """Whether there are as many bytes as an uncompressed picture has."""
    if directory.number(_COMPRESSION, _UNCOMPRESSED) != _UNCOMPRESSED:
        return False
    width, height = directory.number(_WIDTH), directory.number(_HEIGHT)
    across = directory.number(_TILE_WIDTH) or width or 1
    down = directory.number(_TILE_HEIGHT) or height or 1
    row = across * directory.number(_CHANNELS, 1) * directory.number(_BITS, 1)
    pieces = math.ceil(width / across) * math.ceil(height / down)
    stored = itertools.chain(*map(directory.numbers, _LENGTHS.values()))
    return sum(stored) == pieces * down * math.ceil(row / 8)


def _has_size(directory: _Directory) -> bool:
    """Whether width, height and bits are numbers that a picture can have."""
    if directory.lost(_BITS):
        return False
    bits = directory.numbers(_BITS) or (1,)
    sides = directory.number(_WIDTH), directory.number(_HEIGHT)
    return min(*sides, *bits) > 0 and max(bits) <= _MOST_BITS
