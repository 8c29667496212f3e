"""What a person sees while a photo is deblurred: a bar on a terminal, plain lines elsewhere."""

import shutil
import sys
import time
from typing import TextIO

_BAR = 24  # characters


class Progress:
    """Reports one photo after the other: `begin`, `stage`, `iteration`; `tick` redraws the bar."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._live = self._stream.isatty()
        self._label = self._stage = self._detail = ""
        self._done = self._total = 0
        self._em_started: float | None = None
        self._drawn = False

    def begin(self, label: str, total: int) -> None:
        """A new photo with `total` EM iterations ahead."""
        self._label, self._total, self._done = label, total, 0
        self._em_started, self._detail = None, ""

    def stage(self, name: str) -> None:
        """Names what is being done now."""
        if name == self._stage and self._live:
            return
        self._stage = name
        if self._live:
            self.tick()
        else:
            self.say(f"{self._label}: {name}")

    def em_starts(self) -> None:
        """Starts the clock that the time left is told from."""
        self._stage = "EM"
        self._em_started = time.monotonic()
        self.tick()

    def iteration(self, done: int, negative_log_likelihood: float, *, log: bool) -> None:
        """`done` EM iterations are finished; `log` says whether a plain line is due."""
        self._done = done
        self._detail = f"-log p {negative_log_likelihood:.4f}"
        if self._live:
            self.tick()
        elif log:
            left = self._left()
            self.say(f"{self._label}: EM {done}/{self._total}, {self._detail}, {left}")

    def tick(self) -> None:
        """Redraws the bar; on anything but a terminal nothing happens."""
        if not self._live:
            return
        full = round(_BAR * self._done / max(1, self._total))
        bar = "#" * full + "." * (_BAR - full)
        parts = [f"{self._label} [{bar}] {self._stage}"]
        if self._em_started is not None:
            parts = [f"{parts[0]} {self._done}/{self._total}", self._left(), self._detail]
        line = "  ".join(part for part in parts if part)
        width = shutil.get_terminal_size().columns - 1
        self._stream.write(f"\r\x1b[K{line[:width]}")
        self._stream.flush()
        self._drawn = True

    def say(self, text: str) -> None:
        """A line that stays."""
        if self._drawn:
            self._stream.write("\r\x1b[K")
            self._drawn = False
        self._stream.write(text + "\n")
        self._stream.flush()

    def _left(self) -> str:
        if self._em_started is None or not self._done:
            return ""
        elapsed = time.monotonic() - self._em_started
        left = max(0.0, elapsed * (self._total - self._done) / self._done)
        return f"{int(left) // 60}:{int(left) % 60:02d} left"
