"""The bar: short names, every width, every stream."""

import io

import pytest

from dem_jax.runtime import progress, streams


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
