"""The directory of a TIFF picture: what is used of it and sound, as it is read and written anew.

The format: TIFF revision 6.0 (Adobe 1992), and BigTIFF, whose counts and places have eight bytes.
"""

import struct
from collections.abc import Sequence
from typing import NamedTuple

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
_CUT_KINDS = {3, 4, 13, 16}  # of lists that are of use where the end of the file cuts them
_FORMAT, _FORMATS = 339, (1, 2, 3, 5, 6)  # of numbers; one that is not defined is unsigned


class _Entry(NamedTuple):
    """A tag's type, number of values and values."""

    kind: int
    amount: int
    values: bytes
    cut: bool = False  # whether the end of the file cuts the values, of which these are left


class Form(NamedTuple):
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
    def pointer(self) -> int:
        """Where the first directory's place lies."""
        return 8 if self.wide else 4

    @property
    def entry_count(self) -> str:
        """The number of a directory's entries."""
        return self.order + ("Q" if self.wide else "H")

    @property
    def entry(self) -> struct.Struct:
        """Tag, type, number of values, and values or their place."""
        return struct.Struct(f"{self.order}HH{self.place[1:]}{self.room}s")


class Directory:
    """What is used and sound of a directory."""

    def __init__(self, data: bytes, form: Form, start: int) -> None:
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
        self.cut = any(entry.cut for entry in self.entries.values())

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

    def drop(self, *tags: int) -> None:
        """Leaves tags out."""
        for tag in tags:
            self.entries.pop(tag, None)

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


def _entry(data: bytes, form: Form, tag: int, found: _Entry) -> _Entry | None:
    """A tag that is used, where it is sound.

    A number without which there is no picture is one number, whatever its count says.
    """
    kind, count, field, _ = found
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
    if len(values) < length:
        entry = _cut(entry, form, size)
    if not entry.amount or (tag == _FORMAT and not set(_numbers(entry, form)) <= {*_FORMATS}):
        return None
    return entry


def _cut(entry: _Entry, form: Form, size: int) -> _Entry:
    """A tag with the values that are left of it; of texts and bytes none.

    Of the last number the bytes beyond the end are taken as 0 where they are its highest ones.
    """
    left = len(entry.values) if entry.kind in _CUT_KINDS else 0
    amount = left // size if form.order == ">" else -(-left // size)
    values = entry.values.ljust(amount * size, b"\0")[: amount * size]
    return _Entry(entry.kind, amount, values, cut=True)


def _numbers(entry: _Entry, form: Form) -> tuple[int, ...]:
    if entry.kind not in _INTEGERS:
        return ()
    return struct.unpack(f"{form.order}{entry.amount}{_INTEGERS[entry.kind]}", entry.values)
