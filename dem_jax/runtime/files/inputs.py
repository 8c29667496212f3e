"""From what the user names (files, folders, globs, samples) to photos and names of results."""

import collections
import glob
import pathlib
from collections.abc import Sequence
from typing import NamedTuple

from dem_jax.runtime.files import images, samples

_RESERVED = ("summary.json",)  # files that lie beside the folders of results


class Source(NamedTuple):
    """One photo to deblur."""

    path: pathlib.Path
    name: str  # of its folder of results
    label: str  # how messages and run.json call it


def find_sources(inputs: Sequence[str]) -> list[Source]:
    """The photos that `inputs` name, each once, in order.

    Raises:
      ValueError: for a missing file, a folder or glob without pictures, or an unknown sample.
    """
    found: dict[pathlib.Path, Source] = {}
    for text in inputs:
        for source in _expand(text):
            found.setdefault(source.path, source)
    sources = list(found.values())
    return [
        source._replace(name=name) for source, name in zip(sources, _names(sources), strict=True)
    ]


def _expand(text: str) -> list[Source]:
    """Every picture that one --input names, called by its stem."""
    if text.startswith(samples.PREFIX):
        name = text.removeprefix(samples.PREFIX)
        return [Source(samples.sample_path(name), name, text)]
    path = pathlib.Path(text).expanduser()
    endings = ", ".join(images.EXTENSIONS)
    if path.is_dir():
        paths = sorted(p for p in path.iterdir() if _is_picture(p))
        if not paths:
            raise ValueError(f"Folder {text} holds no pictures; files ending in {endings} are.")
    elif path.is_file():
        paths = [path]
    elif glob.has_magic(text):
        paths = [p for p in map(pathlib.Path, sorted(glob.glob(str(path)))) if _is_picture(p)]
        if not paths:
            raise ValueError(f"{text} matches no pictures; files ending in {endings} are.")
    else:
        raise ValueError(
            f"Input {text} does not exist; give a photo, a folder, a glob or sample:NAME."
        )
    return [Source(p.resolve(), p.stem, str(p.resolve())) for p in paths]


def _is_picture(path: pathlib.Path) -> bool:
    hidden = path.name.startswith(".")
    return path.suffix.lower() in images.EXTENSIONS and path.is_file() and not hidden


def _names(sources: Sequence[Source]) -> list[str]:
    """Stems; where several share one, their full file names, then these with a number."""
    count = collections.Counter(source.name.casefold() for source in sources)
    taken = set(_RESERVED)
    names = []
    for path, stem, _ in sources:
        name = base = stem if count[stem.casefold()] == 1 else f"{stem}{path.suffix}"
        number = 2
        while name.casefold() in taken:
            name, number = f"{base}-{number}", number + 1
        taken.add(name.casefold())
        names.append(name)
    return names
