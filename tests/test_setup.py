"""The command line as a process: set-up that fails is a sentence, and streams may be closed."""

import os
import subprocess
import sys

import jax
import numpy as np
import pytest
from odd_files import saved

from dem_jax.runtime.scale import devices

COMMAND = [sys.executable, "-m", "dem_jax.main"]


def run(*argv, shell="", **environment):
    """Status, output and errors of the command, in a shell's redirection where one is given."""
    command = [*COMMAND, *argv]
    if shell:
        command = ["bash", "-c", f'set -o pipefail; "$@" {shell}', "bash", *command]
    inherited = {k: v for k, v in os.environ.items() if k not in environment}
    given = {k: v for k, v in environment.items() if v is not None}
    ended = subprocess.run(
        command, capture_output=True, text=True, env=inherited | given, timeout=120
    )
    return ended.returncode, ended.stdout, ended.stderr


@pytest.fixture
def photo(tmp_path):
    (tmp_path / "photo.png").write_bytes(saved("PNG"))
    return [f"--input={tmp_path}/photo.png", f"--output_dir={tmp_path}/out"]


@pytest.mark.parametrize("platform", ["nonsense", "cuda", "tpu"])
def test_a_device_that_is_not_there_is_one_sentence(photo, tmp_path, platform):
    if any(device.platform in ("gpu", "tpu") for device in jax.devices()):
        pytest.skip("this machine has one")
    status, out, err = run(*photo, JAX_PLATFORMS=platform)
    assert status == 2
    assert out == ""
    last = err.splitlines()[-1]  # JAX's own log may come first
    assert last.startswith(f"dem_jax: JAX_PLATFORMS={platform} finds no device")
    assert "Traceback" not in err
    assert not (tmp_path / "out").exists()


def test_how_strictly_types_are_promoted_elsewhere_is_no_obstacle(photo):
    kernel = np.zeros((9, 9))
    kernel[4, 3:6] = 1 / 3
    given = f"{photo[1].removeprefix('--output_dir=')}.npy"
    np.save(given, kernel)
    flags = [f"--init_kernels={given}", "--kernels=fixed", "--blur=uniform", "--kernel_size=9"]
    status, _, err = run(
        *photo, *flags, "--effort=quick", JAX_NUMPY_DTYPE_PROMOTION="strict", JAX_DEBUG_NANS="1"
    )
    assert status == 0, err


def test_help_goes_into_head_quietly():
    status, out, err = run("--help", shell="| head -1")
    assert (status, err) == (0, "")
    assert out.count("\n") == 1


def test_bad_flags_have_their_status_without_anybody_to_hear():
    for closed in ("2>&-", ">&- 2>&-", "2>/dev/full", "<&-"):
        status, _, err = run("--input=absent.png", "--output_dir=x", shell=closed)
        assert status == 2
        assert "Traceback" not in err


_FOLDERS = "HOME", "XDG_CACHE_HOME", "JAX_COMPILATION_CACHE_DIR"


def test_a_compile_cache_that_jax_was_told_of_is_used(monkeypatch, tmp_path):
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path))
    assert devices.default_cache_dir() == str(tmp_path)


def test_no_home_is_no_obstacle():
    code = "from dem_jax.runtime.scale import devices; print(repr(devices.default_cache_dir()))"
    code = f"import pwd; pwd.getpwuid = lambda _: {{}}[0]; {code}"
    ended = subprocess.run(
        [sys.executable, "-c", code],
        env={k: v for k, v in os.environ.items() if k not in _FOLDERS},
        capture_output=True,
        text=True,
    )
    assert ended.stdout == "''\n", ended.stderr


def test_threads_that_still_compute_do_not_outlive_python():
    """The interpreter waits for them; who cannot wait leaves with the status all the same."""
    code = """
import time
from dem_jax.runtime import programs, streams
programs.in_background(lambda: (time.sleep(0.4), print("ended", flush=True)))
assert programs.is_busy()
"""
    left = "streams.leave(1, at_once=programs.is_busy())"
    for ending, status, out in (("", 0, "ended\n"), (left, 1, "")):
        ended = subprocess.run(
            [sys.executable, "-c", code + ending], capture_output=True, text=True
        )
        assert (ended.returncode, ended.stdout) == (status, out), ended.stderr


def test_a_photo_is_done_with_standard_error_closed_and_a_cache_that_cannot_be_written(
    tmp_path,
):
    """The whole of it, with nothing to compute: the fake solver stands in."""
    code = f"""
import sys
sys.path.insert(0, {os.path.join(os.path.dirname(__file__), "helpers")!r})
from dem_jax import main
from dem_jax.runtime import streams
from fake_solver import FAKE
streams.ensure()
argv = ["--input={tmp_path}/photo.png", "--output_dir={tmp_path}/out", "--kernel_size=9"]
argv += ["--blur=uniform", "--compilation_cache_dir=/dev/null/cache"]
sys.exit(main.run(argv, solver=FAKE))
"""
    (tmp_path / "photo.png").write_bytes(saved("PNG"))
    command = ["bash", "-c", '"$@" 2>&-', "bash", sys.executable, "-c", code]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0
    assert (tmp_path / "out" / "photo" / "deblurred.png").exists()
