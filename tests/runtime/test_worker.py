"""The work behind the page: what is shown of a run, what it survives, what it leaves behind."""

import os
import sys

import fake_run
import numpy as np
import pytest
from PIL import Image

from dem_jax.runtime import worker
from dem_jax.runtime.command.flags import define_flags
from dem_jax.runtime.command.options import make_options


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(np.zeros((20, 24), np.uint8)).save(path)
    return str(path)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "work").mkdir()
    return tmp_path / "work"


def test_a_run_is_followed_to_its_result(photo, folder, monkeypatch):
    monkeypatch.setattr(
        worker, "command", lambda *given: [sys.executable, "-c", fake_run.WRITES, given[3]]
    )
    before = []
    for last in worker.Worker(folder).run(photo, "quick", "1, 2, 10, 12"):
        assert last.slider is None or all(os.path.exists(path) for path in last.slider)
        before.append(last)
    sharpened = [shown.slider for shown in before if shown.slider]
    assert [pair[1].rpartition("/")[2] for pair in sharpened] == ["preview.png", "deblurred.png"]
    said = [shown.status for shown in before]
    assert said[0].startswith("Starting")
    assert "50%  EM 1/3, 1:15 left" in said
    assert "a plain line" in said
    assert last.status == "Done in 12 s."
    assert "found**, confidence 93%" in last.notes
    assert "- Look twice." in last.notes
    assert last.slider[1].endswith("a/deblurred.png")
    assert [name.rpartition("/")[2] for name in last.downloads] == [
        "deblurred.png",
        "kernels.png",
        "run.json",
    ]
    assert list(folder.iterdir()) == []


def test_a_bad_file_is_said_and_survived(tmp_path, folder):
    bad = tmp_path / "bad.png"
    bad.write_text("not a picture")
    work = worker.Worker(folder)
    *_, last = work.run(str(bad), "quick", "")
    assert "not a picture" in last.status
    assert last.slider is None
    *_, last = work.run(str(bad), "quick", "1,2")
    assert "X,Y,W,H" in last.status
    assert [shown.status for shown in work.run(None, "quick", "")] == ["Drop a photo first."]
    assert list(folder.iterdir()) == []


def test_stop_ends_the_process(photo, folder, monkeypatch):
    waits = "import sys, time; print('{}', file=sys.stderr, flush=True); time.sleep(60)"
    monkeypatch.setattr(worker, "command", lambda *given: [sys.executable, "-c", waits])
    work = worker.Worker(folder)
    work.stop()  # nothing to stop
    shown = work.run(photo, "quick", "")
    assert next(shown).status.startswith("Starting")
    next(shown)
    work.stop()
    assert [last.status for last in shown] == ["Stopped."]
    assert list(folder.iterdir()) == []


def test_the_command_is_one_that_the_program_takes(photo, folder):
    words = worker.command(photo, "best", "1,2,10,12", str(folder))[3:]
    values = define_flags()
    assert values(["dem_jax", *words]) == ["dem_jax"]
    options = make_options(values)
    assert (options.crop, options.output_dir) == ((1, 2, 10, 12), folder)
    assert options.preview_every == 1
