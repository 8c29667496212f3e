"""The bar: short names, every width, every stream."""

import io
import json

import pytest

from dem_jax.runtime import outlook, progress, streams


class Terminal(io.StringIO):
    def isatty(self):
        return True


def bar_of(label, monkeypatch, columns=80):
    monkeypatch.setenv("COLUMNS", str(columns))
    stream = Terminal()
    bar = progress.Progress(stream)
    bar.begin(label, 4)
    bar.stage("EM")
    bar.iteration(2, 1.25)
    return stream.getvalue().split("\r")[-1]


@pytest.mark.parametrize("columns", [20, 40, 80, 200])
def test_the_bar_is_seen_at_every_width(monkeypatch, columns):
    label = "/home/somebody/pictures/2024/a long holiday/" + "x" * 60 + ".jpg"
    line = bar_of(label, monkeypatch, columns)
    assert progress.columns(line) < columns
    assert "/home" not in line
    assert "[##" in line
    if columns >= 80:
        assert "EM 2/4" in line


def test_wide_signs_take_two_columns(monkeypatch):
    assert progress.columns("写真e\u0301") == 5
    assert progress.fitted("写真写真", 5) == "写真…"
    line = bar_of("写" * 60 + ".jpg", monkeypatch)
    assert progress.columns(line) < 80
    assert "[####" in line


def test_no_codes_are_written(monkeypatch):
    stream = Terminal()
    bar = progress.Progress(stream)
    bar.begin("a.png", 4)
    bar.stage("EM")
    bar.say("done")
    assert "\x1b" not in stream.getvalue()
    assert stream.getvalue().endswith("\rdone\n")


def test_a_dumb_terminal_gets_plain_lines(monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    stream = Terminal()
    bar = progress.Progress(stream)
    bar.begin("a.png", 4)
    bar.stage("EM")
    assert stream.getvalue() == "a.png: EM\n"


class Broken(io.StringIO):
    def write(self, _):
        raise BrokenPipeError(32, "Broken pipe")


class Ascii(io.StringIO):
    def write(self, text):
        text.encode("ascii")
        return super().write(text)


def test_no_stream_fails_a_photo(monkeypatch):
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr("sys.stderr", None)
    for stream in (Broken(), closed, None):
        bar = progress.Progress(stream)
        bar.begin("a.png", 4)
        bar.stage("EM")
        bar.iteration(1, 0.5)
        bar.companion().say("also")
    stream = Ascii()
    assert streams.put(stream, "caf\u00e9\n")
    assert stream.getvalue() == "caf\\xe9\n"
    assert not streams.put(Broken(), "x")


class Clock:
    """Time that passes only where a test says so."""

    def __init__(self, monkeypatch):
        self.now = 0.0
        monkeypatch.setattr(progress.time, "monotonic", lambda: self.now)


EXPECTED = {"compiling a": 10.0, "a": 20.0, "compiling EM": 10.0, "EM": 60.0, "writing": 5.0}


def lines_of(stream):
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_json_lines_tell_stage_fraction_and_time_left(monkeypatch):
    clock, stream = Clock(monkeypatch), io.StringIO()
    shown = progress.JsonLines(stream)
    shown.begin("a.png", 3)
    shown.expect(EXPECTED, 3)
    for stage in ("compiling a", "a", "compiling EM", "EM"):
        shown.stage(stage)
        for _ in range(round(EXPECTED[stage] / 0.25)):  # as `Desk.in_thread` ticks
            clock.now += 0.25
            shown.tick()
            if stage == "EM" and clock.now in (60.0, 80.0, 100.0):
                shown.iteration(round(clock.now - 40) // 20, 1.5)
    shown.say("done")
    lines = lines_of(stream)
    assert lines.pop() == {"photo": "a.png", "message": "done"}
    assert all(list(line) == ["photo", "stage", "fraction", "seconds_left"] for line in lines)
    fractions = [line["fraction"] for line in lines]
    assert fractions == sorted(fractions)
    assert 90 < len(lines) < 120  # one a second
    for line in lines[10:]:  # all went as was expected
        assert line["fraction"] + line["seconds_left"] / 105 == pytest.approx(1, abs=0.05)
    assert lines[-1]["stage"] == "EM 3/3"


def test_the_outlook_learns_from_a_slow_machine_and_a_filled_cache(monkeypatch):
    """Everything takes three times as long, and compilers nothing: known after a tenth."""
    clock, seen = Clock(monkeypatch), outlook.Outlook()
    seen.expect(EXPECTED)
    seen.enter("compiling a")
    seen.enter("a")
    clock.now = 60.0
    seen.enter("compiling EM")
    assert seen.seconds_left == pytest.approx(195, rel=0.15)
    seen.enter("EM")
    clock.now = 150.0  # half of it
    assert seen.seconds_left == pytest.approx(105, rel=0.3)
    seen.parts("EM", 1, 3)
    assert seen.seconds_left == pytest.approx(2 * 90 + 15, rel=0.1)
    clock.now = 1000.0  # overdue: it says so little that it is not known any more, but never 0
    assert seen.seconds_left > 0
    assert 0 < seen.fraction < 1


def test_parts_of_an_earlier_run_do_not_count(monkeypatch):
    clock, seen = Clock(monkeypatch), outlook.Outlook()
    assert not seen.known
    seen.parts("EM", 5, 10, before=5)
    seen.enter("EM")
    assert not seen.known
    clock.now = 8.0
    seen.parts("EM", 7, 10, before=5)
    assert seen.known
    assert seen.seconds_left == pytest.approx(12)


def test_a_stage_that_is_gone_back_to_is_still_ahead(monkeypatch):
    """As EM is, of the second crop of a large photo."""
    clock, seen = Clock(monkeypatch), outlook.Outlook()
    seen.expect({"start": 2.0, "EM": 10.0, "writing": 1.0})
    seen.enter("EM")
    clock.now = 5.0
    seen.parts("EM", 1, 2)
    seen.enter("start")
    assert seen.seconds_left == pytest.approx(2 + 5 + 1, rel=0.1)


def test_messages_alone():
    stream = io.StringIO()
    shown = progress.Messages(stream)
    shown.begin("a.png", 3)
    shown.stage("EM")
    shown.iteration(1, 0.5)
    shown.companion().stage("EM")
    shown.say("done")
    assert stream.getvalue() == "done\n"


@pytest.mark.parametrize("style", progress.STYLES)
def test_every_style_is_quiet_on_standard_output(style, capsys, tmp_path):
    shown = progress.make(style)
    shown.begin("a.png", 3)
    shown.stage("EM")
    shown.tick()
    shown.companion().deliver(tmp_path / "deblurred.png")
    assert capsys.readouterr().out == f"{tmp_path / 'deblurred.png'}\n"


def test_terminal_shows_one_line_with_stage_and_time_left(monkeypatch):
    now = 0.0
    monkeypatch.setattr(outlook.time, "monotonic", lambda: now)
    stream = Terminal()
    bar = progress.Progress(stream)
    bar.begin("a.png", 4)
    bar.stage("warm start")
    bar.stage("EM")
    now = 7.0
    bar.iteration(2, 1.25)
    bar.say("done")
    text = stream.getvalue()
    assert "warm start" in text
    assert "EM 2/4" in text
    assert "0:07 left" in text
    assert "-log p 1.2500" in text
    assert text.count("\n") == 1


def test_time_left_does_not_count_compiling(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    stream = io.StringIO()
    lines = progress.Progress(stream)
    lines.begin("a.png", 5)
    for stage, seconds in (("compiling EM", 100), ("EM", 60)):
        lines.stage(stage)
        now[0] += seconds
    lines.iteration(2, 1.0)
    assert "EM 2/5, -log p 1.0000, 1:30 left" in stream.getvalue()
