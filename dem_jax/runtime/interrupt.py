"""Ctrl-C: once for an orderly stop, twice for one at once."""

import signal
import threading
from collections.abc import Callable
from typing import Any


class Interrupt:
    """Ctrl-C once asks for an orderly stop (`requested`); twice stops at once."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.requested = False
        self._say = say
        self._before: Any = None

    def __enter__(self) -> "Interrupt":
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def _handle(self, *_: object) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
        self._say(
            "Stopping after the step under way, keeping its result; Ctrl-C again stops at once."
        )
