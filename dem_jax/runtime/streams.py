"""Standard output and error as they come: closed, full, piped into `head`, or unable to say é."""

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import Any

from dem_jax.runtime.files import names

_ERROR = 2  # the number of standard error, which is all that libraries written in C know of it
_MOST_HEARD = 10_000  # bytes


def ensure() -> None:
    """Gives closed standard streams a place to write to, and Python a standard error of its own.

    Else the next files that are opened would get their numbers, and whatever libraries write to
    standard error would end in them. Python's own is a copy, which `libraries_heard` leaves alone.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is this one
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))
    sys.stderr = open(
        os.dup(_ERROR), "w", 1, encoding=sys.stderr.encoding, errors=sys.stderr.errors
    )


@contextlib.contextmanager
def libraries_heard() -> Iterator[list[str]]:
    """What libraries written in C print to standard error goes into the list, not to the user.

    The list is filled at the end. Whoever prints more than a pipe holds is not waited for, nor is
    a child process that still has its other end.
    """
    heard: list[str] = []
    kept, (out, into) = os.dup(_ERROR), os.pipe()
    for end in (out, into):
        os.set_blocking(end, False)
    os.dup2(into, _ERROR)
    os.close(into)
    try:
        yield heard
    finally:
        os.dup2(kept, _ERROR)
        os.close(kept)
        with open(out, "rb", 0) as file:
            heard += (file.read(_MOST_HEARD) or b"").decode(errors="replace").splitlines()


def put(stream: Any, text: str) -> bool:
    """Writes `text` at once; False where nobody reads any more. Never raises."""
    try:
        try:
            stream.write(text)
        except UnicodeEncodeError:
            stream.write(text.encode("ascii", "backslashreplace").decode())
        stream.flush()
    except (OSError, ValueError, AttributeError):  # a broken pipe, a closed stream, none at all
        return False
    return True


def put_path(stream: Any, path: str) -> bool:
    """Writes a line with a path in its own bytes, which programs open; to a terminal, printable."""
    try:
        if not stream.isatty():
            stream.flush()  # what was written as text comes first
            stream.buffer.write(os.fsencode(path) + b"\n")
            return put(stream, "")
    except (OSError, ValueError):
        return False
    except AttributeError:  # a stream of text alone, or none
        pass
    return put(stream, f"{names.printable(path)}\n")


def leave(status: int, *, at_once: bool) -> None:
    """Ends the process; `at_once` does not wait for threads that still compute."""
    for stream in (sys.stdout, sys.stderr):
        if not put(stream, ""):
            _silence(stream)
    if at_once:
        os._exit(status)
    sys.exit(status)


def _silence(stream: Any) -> None:
    """What is still in a broken stream must not fail when Python flushes it at its end."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
