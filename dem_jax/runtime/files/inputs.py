"""From what the user names (files, folders, globs, samples) to photos and names of results.

Everything that is a picture becomes a photo to deblur, also where it turns out that it cannot be
read; everything else is named among what was left out, with the reason.
"""

import collections
import glob
import itertools
import os
import pathlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from dem_jax.runtime.files import formats, names, samples

_INSIDE, _HIDDEN = "folder inside, not searched", "hidden folder"
_RESERVED = ("summary.json",)  # files that lie beside the folders of results


class Source(NamedTuple):
    """One photo to deblur."""

    path: pathlib.Path
    name: str  # of its folder of results
    label: str  # how messages and run.json call it


class LeftOut(NamedTuple):
    """A file that is no picture, or a folder that was not searched."""

    label: str
    why: str  # what it is, or why not


class Selection(NamedTuple):
    """What the user's inputs come to."""

    sources: list[Source]
    left_out: list[LeftOut]
    remarks: list[str]  # sentences about what is not done
    unsearched: Sequence[LeftOut] = ()  # folders


def select(inputs: Sequence[str]) -> Selection:
    """The photos that `inputs` name, each once, in order, and what is left out.

    Raises:
      ValueError: for a missing file, a folder or glob without pictures, or an unknown sample.
    """
    found: dict[pathlib.Path, Source] = {}
    left_out: dict[str, LeftOut] = {}
    unsearched: dict[str, LeftOut] = {}
    remarks: list[str] = []
    for text in inputs:
        part = _expand(text)
        for source in part.sources:
            found.setdefault(source.path, source)
        left_out |= {file.label: file for file in part.left_out}
        unsearched |= {folder.label: folder for folder in part.unsearched}
        remarks += part.remarks
    sources = list(found.values())
    pairs = [(source.name, source.path.suffix) for source in sources]
    own = names.distinct(pairs, _RESERVED)
    sources = [source._replace(name=name) for source, name in zip(sources, own, strict=True)]
    if left_out:
        remarks.insert(0, _counted(list(left_out.values())))
    remarks = list(dict.fromkeys(remarks))
    return Selection(sources, list(left_out.values()), remarks, list(unsearched.values()))


def _expand(text: str) -> Selection:
    """What one --input names; photos are called by their stems."""
    shown = names.printable(text)
    if text.startswith(samples.PREFIX):
        name = text.removeprefix(samples.PREFIX)
        return Selection([Source(samples.sample_path(name), name, text)], [], [])
    path = os.path.expanduser(text)
    if os.path.isdir(path):
        try:
            paths = sorted(os.path.join(path, name) for name in os.listdir(path))
        except OSError as error:
            raise ValueError(f"Folder {shown} cannot be read: {error.strerror}.") from error
        return _sorted_out(paths, f"Folder {shown} holds")
    if os.path.isfile(path):
        return Selection([_source(pathlib.Path(path))], [], [])
    if glob.has_magic(path):
        paths, not_entered = _matches(path)
        return _sorted_out(paths, f"{shown} matches", not_entered)
    if os.path.exists(path):
        raise ValueError(f"Input {shown} is no file but a device or a pipe; save it to a file.")
    raise ValueError(
        f"Input {shown} does not exist; give a photo, a folder, a glob or sample:NAME."
    )


def _matches(pattern: str) -> tuple[list[str], list[LeftOut] | None]:
    """Paths that a glob matches, and the folders that its `**` did not enter; None without `**`.

    Brackets of folders that exist, and of names, may be meant so.
    """
    literal, parts = "", pathlib.Path(pattern).parts
    for count in range(len(parts) - 1, 0, -1):
        if os.path.isdir(os.path.join(*parts[:count])):
            literal = os.path.join(*parts[:count])
            break
    rest = os.path.join(*parts[len(pathlib.Path(literal).parts) :])
    not_entered: dict[str, LeftOut] = {}
    found: list[str] = []
    for tried in (rest, rest.replace("[", "[[]")):
        whole = os.path.join(glob.escape(literal), tried) if literal else tried
        if found := sorted(_glob(whole, not_entered)):
            break
    found = list(dict.fromkeys(map(os.path.normpath, found)))
    return found, list(not_entered.values()) if "**" in parts else None


def _glob(pattern: str, not_entered: dict[str, LeftOut]) -> Iterator[str]:
    """Paths that a glob matches; folders that its `**` does not enter are noted."""
    parts = pathlib.Path(pattern).parts
    if "**" not in parts:
        yield from glob.iglob(pattern)
        return
    at = parts.index("**")
    rest = tuple(itertools.dropwhile("**".__eq__, parts[at:])) or ("*",)
    for top in glob.iglob(os.path.join(*parts[:at])) if at else [os.curdir]:
        for folder in _folders(top, not_entered):
            yield from _glob(os.path.join(glob.escape(folder), *rest), not_entered)


def _folders(top: str, not_entered: dict[str, LeftOut]) -> Iterator[str]:
    """`top` and all folders in it, each once, also where links lead round; no hidden ones.

    Those that are hidden and those that cannot be read are noted.
    """

    def note(path: str, why: str) -> None:
        not_entered.setdefault(path, _folder(path, why))

    def refused(error: OSError) -> None:
        note(error.filename, f"folder that cannot be read: {error.strerror}")

    whole = os.path.realpath(top)
    known = {whole}
    for path, inner, _ in os.walk(top, onerror=refused, followlinks=True):
        yield path
        entered = []
        for name in inner:
            found = os.path.join(path, name)
            real = os.path.realpath(found)
            if name.startswith("."):
                note(found, _HIDDEN)
            elif real not in known and not (os.path.islink(found) and _lies_in(real, whole)):
                known.add(real)
                entered.append(name)
        inner[:] = entered


def _lies_in(path: str, folder: str) -> bool:
    return os.path.commonpath([path, folder]) == folder


def _folder(path: str, why: str) -> LeftOut:
    return LeftOut(names.printable(os.path.abspath(path)), why)


def _sorted_out(
    paths: Sequence[str], what: str, not_entered: list[LeftOut] | None = None
) -> Selection:
    """Photos, other files and folders among `paths`.

    `not_entered` is given where folders were searched below: these were not.
    """
    sources, left_out, folders = [], [], []
    for text in paths:
        path = pathlib.Path(text)
        if _holds_results(path):
            continue
        if path.is_dir():
            folders.append(text)
        elif (other := _other_than_picture(path)) is None:
            sources.append(_source(path))
        else:
            left_out.append(LeftOut(names.printable(os.path.abspath(text)), other))
    unsearched = not_entered
    if unsearched is None:
        unsearched = [_folder(path, _HIDDEN if _is_hidden(path) else _INSIDE) for path in folders]
    remarks = _on_folders(unsearched)
    if not sources:
        held = f" ({_kinds(left_out)})" if left_out else ""
        raise ValueError(
            f"{what} no pictures{held}; give {formats.READABLE}."
            + (f" {remarks[0]}" if remarks else "")
        )
    return Selection(sources, left_out, remarks, unsearched)


def _on_folders(unsearched: Sequence[LeftOut]) -> list[str]:
    """What is said of folders that were not searched: of those that a glob enters, how."""
    inside = [folder for folder in unsearched if folder.why == _INSIDE]
    others = [folder for folder in unsearched if folder.why != _INSIDE]
    remarks = []
    if inside:
        advice = f"--input='{os.path.dirname(inside[0].label)}/**' does so"
        remarks.append(f"{_not_searched(inside)}; {advice}.")
    if others:
        remarks.append(f"{_not_searched(others)}, a {others[0].why}.")
    return remarks


def _not_searched(folders: Sequence[LeftOut]) -> str:
    count = len(folders)
    said = "1 folder inside was" if count == 1 else f"{count} folders inside were"
    return f"{said} not searched, such as {folders[0].label}"


def _holds_results(folder: pathlib.Path) -> bool:
    return folder.name.endswith(names.RESULTS_ENDING) and (folder / "run.json").is_file()


def _is_hidden(path: str) -> bool:
    return os.path.basename(path).startswith(".")


def _other_than_picture(path: pathlib.Path) -> str | None:
    """What a file is that is no picture; None for pictures, also for those that are damaged.

    The content tells, and where it does not, the name: what is called a picture is meant as one.
    """
    if path.name.startswith("."):
        return "hidden"
    if path.exists() and not path.is_file():
        return "device or pipe"
    if _holds_results(path.parent):
        return "result"
    if path.suffix.lower() in formats.ENDINGS:
        return None
    kind = formats.identify_file(path) if path.is_file() else None
    if kind and kind.picture:
        return None
    if path.suffix:
        return names.printable(path.suffix.lower().removeprefix("."))
    return kind.name if kind else "unknown"


def _source(path: pathlib.Path) -> Source:
    """A photo by its own name, also where that is a link to another."""
    whole = pathlib.Path(os.path.abspath(path))
    return Source(whole, names.folder_name(whole), names.printable(str(whole)))


def _kinds(files: Sequence[LeftOut]) -> str:
    counts = collections.Counter(file.why for file in files)
    return ", ".join(f"{kind} {count}" for kind, count in sorted(counts.items()))


def _counted(files: list[LeftOut]) -> str:
    hidden = "hidden or " if any(file.why == "hidden" for file in files) else ""
    if len(files) == 1:
        return f"1 file skipped, as it is {hidden}no picture: {_kinds(files)}."
    return f"{len(files)} files skipped, as they are {hidden}no pictures: {_kinds(files)}."
