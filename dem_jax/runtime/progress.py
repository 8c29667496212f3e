"""What is seen while a photo is deblurred: a bar, plain lines, lines of JSON, or only messages."""

import json
import os
import pathlib
import shutil
import sys
import time
import unicodedata
from collections.abc import Mapping
from typing import TextIO

from dem_jax.runtime import streams
from dem_jax.runtime.estimate import STAGES
from dem_jax.runtime.outlook import Outlook

EM = STAGES["step"]  # the stage whose iterations are counted
BAR, JSON, NONE = "bar", "json", "none"
STYLES = (BAR, JSON, NONE)
_BAR = 24  # characters, fewer on narrow terminals
_NAME = 24  # columns of the photo's name, likewise
_EVERY = 1.0  # seconds between two lines of JSON within a stage


class Progress:
    """Reports one photo after the other: `begin`, `stage`, `part`; `tick` redraws the bar.

    A stream that is no terminal gets a line for every stage. Pictures' paths go to standard output.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._live = _is_terminal(self._stream)
        self._quiet = False  # whether nothing but messages is shown
        self._heard = True  # until the other end of a pipe is closed
        self._drawn = 0  # columns of the bar that is shown
        self.begin("", 0)

    def begin(self, label: str, total: int) -> None:
        """A new photo with `total` EM iterations ahead."""
        self._label, self._total = label, total
        self._stage = self._detail = ""
        self._counts: dict[str, str] = {}  # parts done, by stage
        self._before = 0  # EM iterations that an earlier run has done
        self._outlook = Outlook()

    def expect(self, seconds: Mapping[str, float], em_iterations: int) -> None:
        """How long the photo's stages will take, by their names and in their order."""
        self._outlook.expect(seconds)
        self._outlook.parts(EM, 0, em_iterations)
        self._total = em_iterations

    def go_on(self, done: int) -> None:
        """`done` EM iterations were finished by an earlier run."""
        self._before = done
        self._outlook.parts(EM, done, self._total, before=done)
        self.say(f"{self._label}: going on after EM iteration {done} of {self._total}")

    def stage(self, name: str) -> None:
        """Names what is being done now."""
        if name == self._stage:
            return
        self._outlook.enter(name)
        self._stage = name
        if name == EM:
            self._counts.setdefault(EM, f" {self._before}/{self._total}")
        self._changed(name)

    def part(self, done: int, total: int) -> None:
        """`done` of `total` equal parts of the present stage are finished."""
        self._outlook.parts(self._stage, done, total)
        self._counts[self._stage] = f" {done}/{total}"
        self._changed(f"{self._stage}{self._count()}")

    def iteration(self, done: int, negative_log_likelihood: float) -> None:
        """`done` EM iterations are finished."""
        self._outlook.parts(EM, done, self._total, before=self._before)
        self._counts[EM] = f" {done}/{self._total}"
        self._detail = f"-log p {negative_log_likelihood:.4f}"
        self._changed(f"{EM}{self._counts[EM]}", self._detail)

    def tick(self) -> None:
        """Redraws the bar; on anything but a terminal nothing happens."""
        if not self._live or self._quiet:
            return
        width = max(10, shutil.get_terminal_size().columns - 1)
        size = min(_BAR, width // 4)
        full = int(size * self._outlook.fraction)
        bar = "#" * full + "." * (size - full)
        name = fitted(os.path.basename(self._label), min(_NAME, width // 3))
        parts = [f"{name} [{bar}] {self._stage}{self._count()}", self._left(), self._detail]
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
        streams.put_path(sys.stdout, str(picture))

    def companion(self) -> "Progress":
        """For a photo that is deblurred beside this one: its lines, without a bar of its own."""
        return _Companion(self)

    def _count(self) -> str:
        return self._counts.get(self._stage, "")

    def _changed(self, what: str, detail: str = "") -> None:
        """Shows that a stage or a part of it came to an end."""
        if not self._live and not self._quiet:
            parts = [f"{self._label}: {what}", detail, self._left()]
            self.say(", ".join(part for part in parts if part))
        self.tick()

    def _clear(self) -> None:
        """Blanks take the bar away; no colours and no codes, which not every terminal knows."""
        if self._drawn:
            self._put("\r" + " " * self._drawn + "\r")
            self._drawn = 0

    def _put(self, text: str) -> None:
        """Writes; a stream that takes no more is no reason to fail."""
        self._heard = self._heard and streams.put(self._stream, text)

    def _left(self) -> str:
        if not self._outlook.known or not (self._outlook.fraction < 1):
            return ""
        left = int(self._outlook.seconds_left)
        return f"{left // 60}:{left % 60:02d} left"


class JsonLines(Progress):
    """Every line is one JSON object, for programs; docs/operations.md names the fields."""

    def begin(self, label: str, total: int) -> None:
        super().begin(label, total)
        self._told = 0.0  # when the last line was written

    def tick(self) -> None:
        if self._stage and time.monotonic() - self._told >= _EVERY:
            self._tell()

    def say(self, text: str) -> None:
        self._line({"photo": self._label, "message": text})

    def companion(self) -> Progress:
        return JsonLines(self._stream)

    def _changed(self, what: str, detail: str = "") -> None:
        self._tell()

    def _tell(self) -> None:
        self._told = time.monotonic()
        known = self._outlook.known
        self._line(
            {
                "photo": self._label,
                "stage": f"{self._stage}{self._count()}",
                "fraction": round(self._outlook.fraction, 4),
                "seconds_left": round(self._outlook.seconds_left, 1) if known else None,
            }
        )

    def _line(self, content: Mapping[str, object]) -> None:
        self._put(json.dumps(content) + "\n")


class Messages(Progress):
    """Only what `say` says: warnings, failures, and that a photo is done."""

    def __init__(self, stream: TextIO | None = None) -> None:
        super().__init__(stream)
        self._live, self._quiet = False, True

    def companion(self) -> Progress:
        return Messages(self._stream)


def make(style: str) -> Progress:
    """Progress of one of STYLES, on standard error."""
    return {BAR: Progress, JSON: JsonLines, NONE: Messages}[style]()


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

    def say(self, text: str) -> None:
        self._shown.say(text)

    def deliver(self, picture: pathlib.Path) -> None:
        self._shown.deliver(picture)
