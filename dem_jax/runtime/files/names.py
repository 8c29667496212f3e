"""Names that a file system, a terminal, JSON and a web page all take, made from any file's name."""

import os
import pathlib
import unicodedata
from collections.abc import Iterable

RESULTS_ENDING = "_deblurred"  # of a folder of results that lies beside its photo
_LONGEST = 180  # bytes of a result's name: file systems take 255, and things are appended to it
_UNNAMED = "photo"  # for names of nothing but dots


def printable(text: str) -> str:
    """`text` with control characters and bytes that are no UTF-8 as %XX."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else _escaped(c) for c in text)


def folder_name(path: pathlib.Path) -> str:
    """What the results of `path` are called: its stem, as far as it is a name for a folder."""
    stem = printable(path.stem)
    return shortened(stem) if stem.strip(".") else _UNNAMED


def shortened(name: str) -> str:
    """The beginning of a name that is too long for a folder."""
    while len(os.fsencode(name)) > _LONGEST:
        name = name[:-1]
    return name


def key(name: str) -> str:
    """Equal for names that some file system takes to be the same."""
    return unicodedata.normalize("NFC", name).casefold()


def distinct(pairs: Iterable[tuple[str, str]], taken: Iterable[str]) -> list[str]:
    """A name for each (name, ending), none of them `taken` or equal to another.

    Names that several have get their ending; where that is not enough, a number.
    """
    wanted = list(pairs)
    keys = [key(name) for name, _ in wanted]
    used = {key(name) for name in taken}
    names = []
    for (name, ending), own in zip(wanted, keys, strict=True):
        base = name if keys.count(own) == 1 else f"{name}{ending}"
        found, number = base, 2
        while key(found) in used:
            found, number = f"{base}-{number}", number + 1
        used.add(key(found))
        names.append(found)
    return names


def _escaped(character: str) -> str:
    return "".join(f"%{byte:02X}" for byte in character.encode("utf-8", "surrogateescape"))
