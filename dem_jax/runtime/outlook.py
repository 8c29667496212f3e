"""How far a photo is and how long it will still take: estimates, corrected by what stages took."""

import time
from collections.abc import Mapping

COMPILING = "compiling"  # names of stages that begin so are waits for compilers
_OVERDUE = 0.1  # of the time spent: what is left of a stage that takes longer than expected
_DOUBT = 2.0  # seconds of work that must be seen before its pace counts as much as the estimate


class Outlook:
    """Stages of one photo: seconds expected, seconds spent, and the parts of the present one.

    Compilers and all other work have a pace each, seconds spent over seconds expected, that the
    stages ahead are expected to have too: a filled compile cache and a busy machine soon show.
    """

    def __init__(self) -> None:
        self._expected: dict[str, float] = {}
        self._spent: dict[str, float] = {}
        self._stage = ""
        self._since = time.monotonic()
        self._parts: dict[str, tuple[int, int, int]] = {}  # done before this run, done, of how many
        self._at_part: dict[str, float] = {}  # seconds spent on a stage when its last part ended
        self._shown = 0.0  # the largest fraction so far

    def expect(self, seconds: Mapping[str, float]) -> None:
        """Seconds by stage, in their order; what was expected before is forgotten."""
        self._expected = dict(seconds)

    def enter(self, stage: str) -> None:
        """The stage before is left, for now at least."""
        self._spent[self._stage] = self.spent(self._stage)
        self._stage, self._since = stage, time.monotonic()
        self._spent.setdefault(stage, 0.0)

    def parts(self, stage: str, done: int, total: int, *, before: int = 0) -> None:
        """`done` equal parts of a stage are finished, `before` of them by an earlier run."""
        self._parts[stage] = before, done, total
        self._at_part[stage] = self.spent(stage)

    def spent(self, stage: str) -> float:
        """Seconds spent on a stage."""
        running = time.monotonic() - self._since if stage == self._stage else 0.0
        return self._spent.get(stage, 0.0) + running

    @property
    def known(self) -> bool:
        """Whether anything can be said of the time left."""
        return bool(self._expected) or self._is_measured(self._stage)

    @property
    def seconds_left(self) -> float:
        """Seconds until the photo is done, as far as `known`."""
        stages = list(self._expected)
        at = stages.index(self._stage) if self._stage in stages else -1
        ahead = [name for name in stages[at + 1 :] if name not in self._spent]
        again = [name for name in self._spent if name != self._stage and self._has_more(name)]
        return sum(map(self._left, [self._stage, *ahead, *again]))

    @property
    def fraction(self) -> float:
        """Of the whole photo, 0 to 1; it never goes back."""
        gone = sum(map(self.spent, self._spent))
        left = self.seconds_left
        self._shown = max(self._shown, gone / max(gone + left, 1e-9)) if self.known else 0.0
        return self._shown

    def _left(self, stage: str) -> float:
        """Seconds left of a stage."""
        spent = self.spent(stage)
        if self._is_measured(stage):
            before, done, total = self._parts[stage]
            each = self._at_part[stage] / (done - before)
            return max(0.0, each * (total - done) - (spent - self._at_part[stage]))
        expected = self._expected.get(stage, 0.0) * self._pace(stage.startswith(COMPILING))
        if not expected:
            return 0.0
        return max(expected - spent, _OVERDUE * spent)

    def _is_measured(self, stage: str) -> bool:
        before, done, _ = self._parts.get(stage, (0, 0, 0))
        return done > before

    def _has_more(self, stage: str) -> bool:
        """Whether parts of a stage are still to be done."""
        _, done, total = self._parts.get(stage, (0, 0, 0))
        return done < total

    def _pace(self, compiling: bool) -> float:
        """Seconds spent over seconds expected of the stages that are finished."""
        done = [
            name
            for name in self._expected
            if name in self._spent
            and name != self._stage
            and not self._has_more(name)
            and name.startswith(COMPILING) == compiling
        ]
        expected = sum(self._expected[name] for name in done)
        return (sum(map(self.spent, done)) + _DOUBT) / (expected + _DOUBT)
