"""What a run leaves behind stays readable whatever happens."""

import json

import numpy as np

from dem_jax.runtime.files import images, run_folder


def test_status_follows_the_run(tmp_path):
    folder = run_folder.RunFolder(tmp_path / "a")
    assert folder.read() == {}
    folder.start({"seed": 3})
    assert folder.read()["status"] == "running"
    folder.log_metrics({"iteration": 1})
    folder.finish("done", device="cpu")
    record = run_folder.RunFolder(tmp_path / "a").read()
    assert (record["status"], record["seed"], record["device"]) == ("done", 3, "cpu")


def test_damaged_record_counts_as_none(tmp_path):
    for text in ("", "{", "[1]", "\x00"):
        (tmp_path / "run.json").write_text(text)
        assert run_folder.RunFolder(tmp_path).read() == {}


def test_start_removes_what_an_earlier_run_left(tmp_path):
    folder = run_folder.RunFolder(tmp_path / "a")
    folder.start({})
    photo = images.Photo(np.zeros((8, 8, 1), np.float32))
    folder.write_results(
        photo,
        photo.pixels,
        np.ones((1, 3, 3)) / 9,
        photo.pixels,
        grid=(1, 1),
        history=[],
        caption="",
    )
    (folder.path / "mine.txt").write_text("the user's own file")
    folder.start({})
    assert {p.name for p in folder.path.iterdir()} == {"run.json", "mine.txt"}


def test_summary_is_made_from_the_folders(tmp_path):
    for name, status in (("b", "done"), ("a", "failed")):
        folder = run_folder.RunFolder(tmp_path / name)
        folder.start({"input": f"{name}.png"})
        folder.finish(status, "" if status == "done" else "too small.")
    (tmp_path / "unrelated").mkdir()
    run_folder.write_summary(tmp_path)
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["counts"] == {"done": 1, "failed": 1}
    assert [(p["name"], p["error"]) for p in summary["photos"]] == [
        ("a", "too small."),
        ("b", None),
    ]
