"""Ctrl-C: once for an orderly stop, twice for one at once. SIGTERM: to be saved and gone."""

import signal
import threading
from collections.abc import Callable
from typing import Any


class Preempted(BaseException):
    """SIGTERM has come: the machine is taken away; not an error, so no `except Exception`."""


class Interrupt:
    """Ctrl-C once asks for an orderly stop (`requested`); twice stops at once.

    SIGTERM, which batch systems send seconds before they kill, sets `preempted`; it is acted upon
    where `check` is called, so that no file is left half done.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self.requested = False
        self.preempted = False
        self._say = say
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "Interrupt":
        if threading.current_thread() is threading.main_thread():
            for number, handle in (
                (signal.SIGINT, self._on_ctrl_c),
                (signal.SIGTERM, self._on_sigterm),
            ):
                self._before[number] = signal.signal(number, handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handle in self._before.items():
            signal.signal(number, handle)

    def check(self) -> None:
        """Raises Preempted after SIGTERM."""
        if self.preempted:
            raise Preempted

    def _on_ctrl_c(self, *_: object) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
        self._say(
            "Stopping after the step under way, keeping its result; Ctrl-C again stops at once."
        )

    def _on_sigterm(self, *_: object) -> None:
        self.preempted = True
