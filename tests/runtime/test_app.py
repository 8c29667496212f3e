"""The page: what it shows, and what it says where it cannot be served."""

import importlib.util
import os
import pathlib
import re
import signal
import subprocess
import sys

import fake_run
import numpy as np
import pytest
from PIL import Image

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


SERVES = """
import sys
from dem_jax.runtime import app, worker
worker.command = lambda *given: [sys.executable, "-c", sys.argv[1], given[3], "2"]
app.serve()
"""


@pytest.fixture
def address(tmp_path):
    """Of a page whose work is done at once; it leaves nothing behind."""
    if importlib.util.find_spec("gradio") is None:
        pytest.skip("no test of the page: gradio is missing, run bin/browser")
    left = tmp_path / "left"
    left.mkdir()
    paths = {"PYTHONPATH": os.pathsep.join(sys.path), "TMPDIR": str(left)}
    words = [sys.executable, "-c", SERVES, fake_run.WRITES]
    with subprocess.Popen(
        words, stderr=subprocess.PIPE, text=True, env={**os.environ, **paths}
    ) as process:
        said = next(line for line in process.stderr if "Open http" in line)
        yield re.search(r"http://127\.0\.0\.1:\d+", said)[0]
        process.send_signal(signal.SIGTERM)
        process.stderr.read()
    assert list(left.iterdir()) == []


@pytest.mark.filterwarnings("ignore")  # of playwright's event loop
def test_the_page_in_a_browser(browser, address, tmp_path):
    """Drop, mark a part, watch it sharpen, compare, download."""
    Image.fromarray(np.full((200, 240, 3), 128, np.uint8)).save(tmp_path / "a.png")
    view = browser.new_page(viewport={"width": 1200, "height": 900})
    asked = []
    view.on("request", lambda request: asked.append(request.url))
    view.goto(address)
    view.locator("input[type=file]").first.set_input_files(tmp_path / "a.png")
    picture = view.locator("img").first
    picture.wait_for()
    for x, y in ((20, 30), (120, 130)):
        box = picture.bounding_box()
        view.mouse.click(
            box["x"] + x * box["width"] / 240 + 0.5, box["y"] + y * box["height"] / 200 + 0.5
        )
        view.wait_for_timeout(1000)
    crop = [int(number) for number in view.get_by_label("Only a part").input_value().split(",")]
    np.testing.assert_allclose(crop, [20, 30, 100, 100], atol=1)
    view.get_by_role("button", name="Sharpen").click()
    for name in ("preview.png", "deblurred.png", "kernels.png"):
        view.wait_for_selector(f"img[src*='{name}']")
    assert view.get_by_label("Progress").input_value() == "Done in 12 s."
    view.get_by_text("confidence 93%").wait_for()
    with view.expect_download() as download:
        view.locator("a[download='run.json']").click()
    assert pathlib.Path(download.value.path()).stat().st_size > 0
    assert all(url.startswith((address, "data:", "blob:")) for url in asked), asked
