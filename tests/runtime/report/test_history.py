"""EM's entries in memory, in metrics.jsonl and for TensorBoard."""

import json

import numpy as np
import pytest

from dem_jax import main
from dem_jax.runtime.files import run_folder
from dem_jax.runtime.report import history


def make(tmp_path, **changes):
    folder = run_folder.RunFolder(tmp_path / "a")
    folder.start({})
    return history.History(folder, **changes)


def logged(tmp_path):
    lines = (tmp_path / "a" / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line)["iteration"] for line in lines]


def entry(iteration):
    return {"iteration": iteration, "seconds": 0.5 * iteration, "noise_std": 0.01, "psnr": None}


def test_every_iteration_is_kept_and_logged(tmp_path):
    kept = make(tmp_path)
    assert kept.seconds == 0
    for iteration in range(1, 8):
        kept.add(entry(iteration))
    assert len(kept) == 7
    assert kept.seconds == 3.5
    assert logged(tmp_path) == [1, 2, 3, 4, 5, 6, 7]


def test_earlier_entries_are_logged_once(tmp_path):
    kept = make(tmp_path, earlier=[entry(t) for t in range(1, 5)])
    assert len(kept) == 4
    kept.add(entry(5))
    kept.add(entry(6))
    assert logged(tmp_path) == [1, 2, 3, 4, 5, 6]


def scalars(folder):
    """{iteration: {name: value}} that TensorBoard would show."""
    event_pb2 = pytest.importorskip("tensorboardX.proto.event_pb2")
    found = {}
    for path in sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime_ns):
        data, at = path.read_bytes(), 0
        while at < len(data):  # records: length, its checksum, content, its checksum
            length = int(np.frombuffer(data[at : at + 8], "<u8")[0])
            event = event_pb2.Event.FromString(data[at + 12 : at + 12 + length])
            at += 12 + length + 4
            if event.HasField("session_log") and event.session_log.status == 1:  # START
                found = {t: values for t, values in found.items() if t < event.step}
            for value in event.summary.value:
                found.setdefault(event.step, {})[value.tag] = value.simple_value
    return found


def test_tensorboard_gets_the_logged_entries_once(tmp_path):
    pytest.importorskip("tensorboardX")
    first = make(tmp_path, tensorboard=tmp_path / "events")
    for iteration in (1, 2, 3):
        first.add(entry(iteration))
    first.close()
    # Killed, and gone on from a checkpoint after iteration 2.
    second = make(tmp_path, tensorboard=tmp_path / "events", earlier=[entry(1), entry(2)])
    second.add({**entry(3), "noise_std": 0.25})
    second.close()
    found = scalars(tmp_path / "events")
    assert sorted(found) == [1, 2, 3]
    assert found[3]["noise_std"] == 0.25
    assert found[2] == pytest.approx({"seconds": 1.0, "noise_std": 0.01})


def test_missing_tensorboard_is_told_before_anything_is_written(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(history.importlib.util, "find_spec", lambda name: None)
    argv = ["--input=sample:clock", f"--output_dir={tmp_path / 'out'}", "--tensorboard_dir=x"]
    assert main.run(argv) == 2
    assert "pip install 'dem_jax[tensorboard]'" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
