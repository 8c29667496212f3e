"""The page: what it shows of a run, what it survives, and that it leaves nothing behind."""

import importlib.util
import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from dem_jax import main
from dem_jax.runtime import app

WRITES = """
import json, pathlib, sys
import numpy as np
from PIL import Image
folder = pathlib.Path(sys.argv[1], "a")
folder.mkdir()
for line in ({"photo": "a.png", "stage": "EM 1/3", "fraction": 0.5, "seconds_left": 75.0},
             {"photo": "a.png", "message": "a.png: done"}):
    print(json.dumps(line), file=sys.stderr, flush=True)
print("a plain line", file=sys.stderr)
for name in ("deblurred", "kernels"):
    Image.fromarray(np.zeros((20, 24), np.uint8)).save(folder / f"{name}.png")
record = {"status": "done", "kernel": "found", "warnings": ["Look twice."],
          "evidence": {"kernel_confidence": 0.93}, "timings_seconds": {"total": 12.2}}
(folder / "run.json").write_text(json.dumps(record))
"""


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
    monkeypatch.setattr(app, "command", lambda *given: [sys.executable, "-c", WRITES, given[3]])
    *before, last = app.Worker(folder).run(photo, "quick", "1, 2, 10, 12")
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
    worker = app.Worker(folder)
    *_, last = worker.run(str(bad), "quick", "")
    assert "not a picture" in last.status
    assert last.slider is None
    *_, last = worker.run(str(bad), "quick", "1,2")
    assert "X,Y,W,H" in last.status
    assert [shown.status for shown in worker.run(None, "quick", "")] == ["Drop a photo first."]
    assert list(folder.iterdir()) == []


def test_stop_ends_the_process(photo, folder, monkeypatch):
    waits = "import sys, time; print('{}', file=sys.stderr, flush=True); time.sleep(60)"
    monkeypatch.setattr(app, "command", lambda *given: [sys.executable, "-c", waits])
    worker = app.Worker(folder)
    worker.stop()  # nothing to stop
    shown = worker.run(photo, "quick", "")
    assert next(shown).status.startswith("Starting")
    next(shown)
    worker.stop()
    assert [last.status for last in shown] == ["Stopped."]
    assert list(folder.iterdir()) == []


def test_the_command_is_one_that_the_program_takes(photo, folder):
    words = app.command(photo, "best", "1,2,10,12", str(folder))[3:]
    values = main.define_flags()
    assert values(["dem_jax", *words]) == ["dem_jax"]
    options = main.make_options(values)
    assert (options.crop, options.output_dir) == ((1, 2, 10, 12), folder)


def test_what_is_missing_or_too_much_is_one_sentence(monkeypatch, capsys):
    assert main.run(["serve", "--effort=quick"]) == 2
    assert "takes nothing" in capsys.readouterr().err
    monkeypatch.setattr(app.importlib.util, "find_spec", lambda name: None)
    assert main.run(["serve"]) == 2
    said = capsys.readouterr().err
    assert "pip install 'dem_jax[app]'" in said
    assert said.count("\n") == 1


def test_the_page_can_be_made(folder):
    """In a process of its own, since Gradio leaves warnings behind."""
    if importlib.util.find_spec("gradio") is None:
        pytest.skip("gradio is not installed")
    code = (
        "import pathlib, sys; from dem_jax.runtime import app; "
        "page = app.make_page(app.Worker(pathlib.Path(sys.argv[1]))); "
        "print(page.get_config_file())"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    made = subprocess.run(
        [sys.executable, "-c", code, str(folder)], capture_output=True, text=True, env=environment
    )
    for label in ("Photo", "Effort", "Only a part", "Before and after"):
        assert label in made.stdout, made.stderr
