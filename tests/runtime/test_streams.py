"""Standard error is Python's and the user's; what libraries print there is kept from both."""

import io
import os
import subprocess
import sys
import time

import pytest

from dem_jax.runtime import streams


def test_what_libraries_print_is_heard_and_not_seen(capfd):
    os.write(2, b"before\n")
    with streams.libraries_heard() as heard:
        os.write(2, b"TIFFReadDirectory: nonsense\n")
        os.system("echo from a child >&2")
        assert heard == []
    os.write(2, b"after\n")
    assert heard == ["TIFFReadDirectory: nonsense", "from a child"]
    assert capfd.readouterr().err == "before\nafter\n"


def test_who_prints_without_end_is_not_waited_for(capfd):
    with streams.libraries_heard() as heard:
        os.system("yes complaint 2>/dev/null | head -c 300000 >&2")
    assert heard[0] == "complaint"
    assert capfd.readouterr().err == ""


def test_a_child_that_lives_on_is_not_waited_for(capfd):
    begun = time.monotonic()
    with streams.libraries_heard() as heard:
        child = subprocess.Popen(["sleep", "20"])
        os.write(2, b"complaint\n")
    try:
        assert time.monotonic() - begun < 10
        assert heard == ["complaint"]
    finally:
        child.kill()
        child.wait()


TALK = """
import os, sys
from dem_jax.runtime import streams
streams.ensure()
with streams.libraries_heard() as heard:
    print("Python says", file=sys.stderr)
    os.write(2, b"a library says")
    assert sys.stderr.encoding == "utf-8"
print("nothing else")
"""


def test_a_message_of_another_thread_is_seen_meanwhile():
    words = [sys.executable, "-X", "utf8", "-c", TALK]
    ran = subprocess.run(words, capture_output=True, text=True, check=True)
    assert (ran.stdout, ran.stderr) == ("nothing else\n", "Python says\n")


ODD = os.fsdecode(b"/photos/b\xff\xfe\xc3\xa9/deblurred.png")


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_a_path_is_written_in_its_own_bytes(encoding):
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    stream.write("before\n")
    assert streams.put_path(stream, ODD)
    assert stream.buffer.getvalue() == b"before\n" + os.fsencode(ODD) + b"\n"


def test_a_path_on_a_terminal_or_as_text_is_printable(monkeypatch):
    terminal = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    monkeypatch.setattr(terminal, "isatty", lambda: True, raising=False)
    text = io.StringIO()
    assert streams.put_path(terminal, ODD)
    assert streams.put_path(text, ODD)
    shown = "/photos/b%FF%FE\u00e9/deblurred.png\n"
    assert terminal.buffer.getvalue().decode() == text.getvalue() == shown


def test_a_path_that_nobody_reads_is_no_failure():
    closed = io.TextIOWrapper(io.BytesIO())
    closed.close()
    assert not streams.put_path(closed, ODD)
    assert not streams.put_path(None, ODD)
