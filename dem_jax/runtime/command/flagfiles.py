"""Flagfiles by their names: those at hand, and those that come with the package."""

import pathlib
import re
from collections.abc import Sequence

_PACKAGE = pathlib.Path(__file__).parents[2]
_FOLDERS = (_PACKAGE / "configs", _PACKAGE.parent / "configs")  # as installed, and as checked out
_ENDING = ".flags"
_COMMENTS = ("#", "//")


def find_flagfiles(argv: Sequence[str]) -> list[str]:
    """`argv`, with flagfiles that are not at hand taken from those installed with the package.

    Raises:
      ValueError: for a flagfile that is not there, cannot be read, or is none.
    """
    found: list[str] = []
    words = iter(argv)
    for word in words:
        match = re.fullmatch(r"--?flagfile(?:=(.*))?", word)
        if match:
            word = f"--flagfile={_path_of(next(words, '') if match[1] is None else match[1])}"
        found.append(word)
        if word == "--":  # what follows are photos
            break
    return [*found, *words]


def _path_of(text: str) -> pathlib.Path:
    """The flagfile that is called `text`."""
    path = pathlib.Path(text).expanduser()
    name = path.name.removesuffix(_ENDING) + _ENDING
    files = [file for file in (path, *(folder / name for folder in _FOLDERS)) if file.is_file()]
    if files:
        wrong = _wrong_with(files[0])
    elif text and path.is_dir():
        wrong = "is a folder"
    else:
        wrong = "does not exist"
    if wrong:
        known = sorted({file.stem for folder in _FOLDERS for file in folder.glob(f"*{_ENDING}")})
        raise ValueError(
            f"--flagfile={text} {wrong}; give a file with a flag on each line, or one of "
            f"{', '.join(known)}."
        )
    return files[0]


def _wrong_with(path: pathlib.Path) -> str:
    """Why a file is no flagfile; "" where it is one."""
    try:
        lines = [line.strip() for line in path.read_text().splitlines()]
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    except UnicodeDecodeError:
        return "is no text"
    first = next((line for line in lines if line and not line.startswith(_COMMENTS)), "-")
    return "" if first.startswith("-") else "does not begin with a flag"
