"""A trace of one EM iteration, to be looked at with XProf or Perfetto."""

import contextlib
import pathlib
from collections.abc import Iterator

import jax


class Profiler:
    """Traces the first EM iteration of a run, and none after it."""

    def __init__(self, directory: pathlib.Path | None) -> None:
        """`directory` takes the trace; None traces nothing."""
        self._directory = directory

    @contextlib.contextmanager
    def once(self) -> Iterator[None]:
        """Traces what is done within, the first time it is entered."""
        directory, self._directory = self._directory, None
        if directory is None:
            yield
            return
        with jax.profiler.trace(str(directory)):
            yield
