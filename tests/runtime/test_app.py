"""The page: what it shows, and what it says where it cannot be served."""

import importlib.util
import os
import subprocess
import sys

import pytest

from dem_jax import main
from dem_jax.runtime import app


def test_what_is_missing_or_too_much_is_one_sentence(monkeypatch, capsys):
    assert main.run(["serve", "--effort=quick"]) == 2
    assert "takes nothing" in capsys.readouterr().err
    monkeypatch.setattr(app.importlib.util, "find_spec", lambda name: None)
    assert main.run(["serve"]) == 2
    said = capsys.readouterr().err
    assert "pip install 'dem_jax[app]'" in said
    assert said.count("\n") == 1


def test_the_page_can_be_made(tmp_path):
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
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, env=environment
    )
    for label in ("Photo", "Effort", "Only a part", "Before and after"):
        assert label in made.stdout, made.stderr
