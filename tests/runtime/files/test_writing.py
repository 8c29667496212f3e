"""Writing: files are whole or not there; test_images.py has that what is read comes back."""

import numpy as np
import pytest

from dem_jax.runtime.files import images, writing


def test_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "out.png"
    photo = images.Photo(np.zeros((4, 4, 1), np.float32))
    writing.write_photo(path, photo.pixels, photo)
    before = path.read_bytes()

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OSError, match=r"No space.*out\.png"):
        writing.write_photo(path, photo.pixels + 1, photo)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["out.png"]
