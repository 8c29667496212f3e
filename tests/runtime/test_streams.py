"""Standard error is Python's and the user's; what libraries print there is kept from both."""

import os
import subprocess
import sys
import time

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
