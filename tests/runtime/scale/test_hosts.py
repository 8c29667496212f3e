"""Several processes that share a folder of photos, for real: over gloo on this machine."""

import hashlib
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

import cv2
import numpy as np
import pytest
from scipy import ndimage

from dem_jax.runtime.scale import hosts


def make_photos(folder, count):
    folder.mkdir()
    for i in range(count):
        rng = np.random.default_rng(i)
        pixels = ndimage.gaussian_filter(rng.normal(size=(48, 56)), (1, 2))
        pixels = np.clip(128 + 60 * pixels / pixels.std(), 0, 255).astype(np.uint8)
        assert cv2.imwrite(str(folder / f"p{i}.png"), pixels)


def command(tmp_path, *more, em_iterations=2):
    return [
        *(sys.executable, "-m", "dem_jax.main", "--flagfile=smoke"),
        *(f"--input={tmp_path / 'photos'}", f"--output_dir={tmp_path / 'out'}"),
        *(f"--compilation_cache_dir={tmp_path / 'compiled'}", "--kernel_size=5"),
        *(f"--em_iterations={em_iterations}", *more),
    ]


def start(tmp_path, *more, **settings):
    environment = os.environ | {"JAX_PLATFORMS": "cpu"}
    return subprocess.Popen(
        command(tmp_path, *more, **settings),
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    )


def start_both(tmp_path, **settings):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    return [
        start(
            tmp_path,
            f"--distributed=127.0.0.1:{port}",
            f"--process={i}/2",
            **settings,
        )
        for i in range(2)
    ]


def finished(tmp_path):
    """Checksums of all files of the photos that are done, by the photo's name."""
    found = {}
    for path in (tmp_path / "out").glob("*/run.json"):
        if json.loads(path.read_text())["status"] == "done":
            files = sorted(p for p in path.parent.iterdir() if p.is_file())
            sums = {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in files}
            found[path.parent.name] = sums
    return found


def summary(tmp_path):
    return json.loads((tmp_path / "out" / "summary.json").read_text())["counts"]


@pytest.mark.slow
def test_two_processes_finish_a_folder_together(tmp_path):
    make_photos(tmp_path / "photos", 4)
    both = start_both(tmp_path)
    said = [process.communicate(timeout=600)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    for own, others in ((0, 1), (1, 0)):
        assert f"p{own}.png: done" in said[own]
        assert f"p{others}.png" not in said[own]
    assert summary(tmp_path) == {"done": 4}


@pytest.mark.slow
def test_a_killed_process_loses_no_finished_photo(tmp_path):
    make_photos(tmp_path / "photos", 4)
    both = start_both(tmp_path, em_iterations=40)
    deadline = time.monotonic() + 500
    while not finished(tmp_path):
        assert time.monotonic() < deadline
        assert both[0].poll() is None
        time.sleep(0.1)
    both[1].send_signal(signal.SIGKILL)
    time.sleep(1)
    both[0].kill()  # what JAX does to the others, once it has missed the dead one's heartbeats
    for process in both:
        process.communicate(timeout=60)
    before = finished(tmp_path)
    assert 1 <= len(before) < 4
    both = start_both(tmp_path, em_iterations=40)
    said = [process.communicate(timeout=600)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    after = finished(tmp_path)
    assert len(after) == 4
    assert {name: after[name] for name in before} == before
    assert summary(tmp_path) == {"done": 4}


@pytest.mark.slow
def test_job_array_without_a_coordinator(tmp_path):
    make_photos(tmp_path / "photos", 3)
    both = [start(tmp_path, f"--process={i}/2") for i in range(2)]
    said = [process.communicate(timeout=600)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert summary(tmp_path) == {"done": 3}


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (("none", "2"), "must be I/N"),
        (("none", "2/2"), "count from 0"),
        (("host", "1/2"), "must be none, auto or HOST:PORT"),
        (("a:1", None), "needs --process"),
    ],
)
def test_half_a_description_is_refused(given, reason):
    with pytest.raises(ValueError, match=reason):
        hosts.parse(*given)


def test_processes_without_a_cluster_only_divide():
    assert hosts.join(hosts.parse("none", None)) == (0, 1)
    assert hosts.join(hosts.parse("none", "3/4")) == (3, 4)


def test_no_cluster_is_one_sentence(tmp_path):
    make_photos(tmp_path / "photos", 1)
    ran = subprocess.run(
        command(tmp_path, "--distributed=auto"), capture_output=True, text=True, check=False
    )
    assert ran.returncode == 2
    assert "--distributed=HOST:PORT" in ran.stderr
    assert ran.stderr.count("\n") == 1
    assert not list(pathlib.Path(tmp_path / "out").iterdir())
