"""Where results go that no --output_dir is given for: beside each photo, as NAME_deblurred."""

import itertools
import os
import pathlib
from collections.abc import Iterator, Sequence

from dem_jax.runtime.files import names, run_folder, samples
from dem_jax.runtime.files.inputs import Source


def beside(sources: Sequence[Source]) -> dict[str, pathlib.Path]:
    """The folder of each photo's results, by the source's name; none is made.

    A folder that holds anything but this photo's own results is left alone: then the photo's ending
    is kept, and a number follows where that is not enough. So every photo finds its folder again,
    whatever it is named together with.

    Raises:
      ValueError: for a sample where the current folder has been removed.
    """
    found: dict[str, pathlib.Path] = {}
    taken: set[tuple[pathlib.Path, str]] = set()
    for source in sources:
        for folder in _candidates(source):
            key = folder.parent, names.key(folder.name)
            if key not in taken and _is_free(folder, source):
                taken.add(key)
                found[source.name] = folder
                break
    return found


def require_writable(folder: pathlib.Path, what: str) -> None:
    """Raises ValueError, a sentence that begins with `what`, where no file can be made."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".{os.getpid()}.tmp"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise ValueError(f"{what} cannot be written: {error.strerror}.") from error


def require_writable_beside(folders: Sequence[pathlib.Path]) -> None:
    """Raises ValueError where one of the places that `folders` will be made in is closed."""
    for parent in dict.fromkeys(folder.parent for folder in folders):
        shown = names.printable(str(parent))
        try:
            require_writable(parent, f"Results go beside the photo, but {shown}")
        except ValueError as error:
            raise ValueError(f"{error} Give --output_dir=FOLDER.") from error


def _candidates(source: Source) -> Iterator[pathlib.Path]:
    """Folders for a photo, the best first; a sample's are in the current one."""
    is_sample = source.label.startswith(samples.PREFIX)
    parent = _current_folder() if is_sample else source.path.parent
    stem = (
        source.label.removeprefix(samples.PREFIX) if is_sample else names.folder_name(source.path)
    )
    whole = f"{stem}{source.path.suffix}"
    for name in itertools.chain((stem, whole), (f"{whole}-{n}" for n in itertools.count(2))):
        yield parent / f"{name}{names.RESULTS_ENDING}"


def _current_folder() -> pathlib.Path:
    try:
        return pathlib.Path.cwd()
    except OSError as error:
        raise ValueError(
            "The current folder, where a sample's results go, does not exist any more; go to "
            "another one, or give --output_dir=FOLDER."
        ) from error


def _is_free(folder: pathlib.Path, source: Source) -> bool:
    """Whether a folder is still to be made, empty, or of this photo."""
    if not folder.exists():
        return not folder.is_symlink()
    if not folder.is_dir():
        return False
    record = run_folder.RunFolder(folder).read()
    return record.get("input") == source.label or not any(folder.iterdir())
