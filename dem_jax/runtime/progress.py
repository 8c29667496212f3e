"""What a person sees while a photo is deblurred: a bar on a terminal, plain lines elsewhere."""

import os
import pathlib
import shutil
import sys
import time
import unicodedata
from typing import TextIO

from dem_jax.runtime import streams
from dem_jax.runtime.files import names

EM = "EM"  # the stage whose iterations are counted
_BAR = 24  # characters, fewer on narrow terminals
_NAME = 24  # columns of the photo's name, likewise


class Progress:
    """Reports one photo after the other: `begin`, `stage`, `iteration`; `tick` redraws the bar."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._live = _is_terminal(self._stream)
        self._quiet = False  # for companions, see there
        self._heard = True  # until the other end of a pipe is closed
        self._drawn = 0  # columns of the bar that is shown
        self.begin("", 0)

    def begin(self, label: str, total: int) -> None:
        """A new photo with `total` EM iterations ahead."""
        self._label, self._total = label, total
        self._stage = self._detail = ""
        self._done = self._before = 0  # of which `_before` by an earlier run
        self._em_seconds = 0.0  # spent in EM before the present stage; compiling is not counted
        self._last_iteration = 0.0  # value of the EM clock when the last iteration ended
        self._since = time.monotonic()

    def go_on(self, done: int) -> None:
        """`done` EM iterations were finished by an earlier run."""
        self._done = self._before = done
        self.say(f"{self._label}: going on after EM iteration {done} of {self._total}")

    def stage(self, name: str) -> None:
        """Names what is being done now."""
        if name == self._stage:
            return
        self._em_seconds, self._since = self._em_clock(), time.monotonic()
        self._stage = name
        if not self._live:
            self.say(f"{self._label}: {name}")
        self.tick()

    def iteration(self, done: int, negative_log_likelihood: float) -> None:
        """`done` EM iterations are finished."""
        self._done, self._last_iteration = done, self._em_clock()
        self._detail = f"-log p {negative_log_likelihood:.4f}"
        if not self._live and not self._quiet:
            parts = [f"{self._label}: EM {done}/{self._total}", self._detail, self._left()]
            self.say(", ".join(part for part in parts if part))
        self.tick()

    def tick(self) -> None:
        """Redraws the bar; on anything but a terminal nothing happens."""
        if not self._live:
            return
        width = max(10, shutil.get_terminal_size().columns - 1)
        size = min(_BAR, width // 4)
        full = round(size * self._done / max(1, self._total))
        bar = "#" * full + "." * (size - full)
        count = f" {self._done}/{self._total}" if self._stage == EM else ""
        name = fitted(os.path.basename(self._label), min(_NAME, width // 3))
        parts = [f"{name} [{bar}] {self._stage}{count}", self._left(), self._detail]
        line = fitted("  ".join(part for part in parts if part), width)
        self._clear()
        self._put(line)
        self._drawn = columns(line)

    def say(self, text: str) -> None:
        """A line that stays."""
        self._clear()
        self._put(text + "\n")

    def deliver(self, picture: pathlib.Path) -> None:
        """Where a finished picture is, on standard output, which holds nothing else."""
        self._clear()
        streams.put(sys.stdout, f"{names.printable(str(picture))}\n")

    def companion(self) -> "Progress":
        """For a photo that is deblurred beside this one: its lines, without a bar of its own."""
        return _Companion(self)

    def _clear(self) -> None:
        """Blanks take the bar away; no colours and no codes, which not every terminal knows."""
        if self._drawn:
            self._put("\r" + " " * self._drawn + "\r")
            self._drawn = 0

    def _put(self, text: str) -> None:
        """Writes; a stream that takes no more is no reason to fail."""
        self._heard = self._heard and streams.put(self._stream, text)

    def _em_clock(self) -> float:
        running = time.monotonic() - self._since if self._stage == EM else 0.0
        return self._em_seconds + running

    def _left(self) -> str:
        if self._stage != EM or not self._before < self._done < self._total:
            return ""
        each = self._last_iteration / (self._done - self._before)
        gone = self._em_clock() - self._last_iteration
        left = int(max(0.0, each * (self._total - self._done) - gone))
        return f"{left // 60}:{left % 60:02d} left"


def columns(text: str) -> int:
    """Columns that `text` takes on a terminal: Chinese, Japanese and Korean signs take two."""
    return sum(
        0 if unicodedata.combining(c) else 1 + (unicodedata.east_asian_width(c) in "WF")
        for c in text
    )


def fitted(text: str, width: int) -> str:
    """`text` in at most `width` columns, its end replaced by a sign that it goes on."""
    if columns(text) <= width:
        return text
    while columns(text) > width - 1:
        text = text[:-1]
    return f"{text}…"


def _is_terminal(stream: TextIO) -> bool:
    """Whether a line can be drawn over."""
    try:
        return stream.isatty() and os.environ.get("TERM") != "dumb"
    except (AttributeError, ValueError):  # no stream, or a closed one
        return False


class _Companion(Progress):
    """On a terminal, whose bar is another photo's, only `say` is seen; elsewhere all lines."""

    def __init__(self, shown: Progress) -> None:
        super().__init__(shown._stream)
        self._shown, self._quiet, self._live = shown, self._live, False

    def stage(self, name: str) -> None:
        if not self._quiet:
            super().stage(name)

    def say(self, text: str) -> None:
        self._shown.say(text)

    def deliver(self, picture: pathlib.Path) -> None:
        self._shown.deliver(picture)
