"""What decoders say, and that they lack memory, is told in our own words."""

import io

import cv2
import numpy as np
import odd_files
import pytest
import tifffile
from PIL import Image

from dem_jax.runtime.files import images, photo


def cut(data):
    return data[: len(data) // 2]


def overwritten(data):
    """Its middle bytes are others."""
    middle = len(data) // 2
    return data[: middle - 60] + b"\x55" * 120 + data[middle + 60 :]


DAMAGED = {
    "lzw.tif": lambda: overwritten(odd_files.saved("TIFF", compression="tiff_lzw")),
    "deflate.tif": lambda: overwritten(odd_files.saved("TIFF", compression="tiff_adobe_deflate")),
    "x.gif": lambda: cut(odd_files.saved("GIF")),
    "x.bmp": lambda: cut(odd_files.saved("BMP")),
    "x.qoi": lambda: cut(odd_files.saved("QOI")),
    "x.avif": lambda: cut(odd_files.saved("AVIF")),
    "x.jp2": lambda: cut(odd_files.saved("JPEG2000")),
    "x.webp": lambda: cut(odd_files.saved("WEBP")),
    "x.ppm": lambda: cut(odd_files.saved("PPM")),
    "float.tif": lambda: cut(odd_files.tiff(np.zeros((48, 64), np.float32), compression="zlib")),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_decoders_own_words_are_not_the_users(tmp_path, capfd, name):
    """They are the cause of the error, and nothing is printed beside it."""
    (tmp_path / name).write_bytes(DAMAGED[name]())
    with pytest.raises(images.PhotoError, match="damaged or incomplete: its ") as error:
        images.read_photo(tmp_path / name)
    article = "an" if name == "x.avif" else "a"
    assert str(error.value).startswith(f"{tmp_path / name} is {article} ")
    assert str(error.value).endswith("with a program that opens it.")
    cause = error.value.__cause__
    assert cause is not None
    assert str(cause) not in str(error.value)
    said = capfd.readouterr()
    assert (said.out, said.err) == ("", "")


def test_damage_that_a_decoder_only_prints_is_said(tmp_path, capfd):
    image = Image.fromarray(np.random.default_rng(0).random((48, 64)) > 0.5)
    buffer = io.BytesIO()
    image.save(buffer, "TIFF", compression="group4")
    (tmp_path / "fax.tif").write_bytes(buffer.getvalue())
    assert images.read_photo(tmp_path / "fax.tif").notes == ()
    (tmp_path / "fax.tif").write_bytes(overwritten(buffer.getvalue()))
    (note,) = images.read_photo(tmp_path / "fax.tif").notes
    assert "look whether the picture is whole" in note
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("where", ["decoding", "making"])
def test_too_small_a_memory_is_no_damage(tmp_path, monkeypatch, where):
    def exhausted(*_):
        raise MemoryError

    cv2.imwrite(str(tmp_path / "in.tiff"), odd_files.random_samples((13, 17, 3), np.uint16))
    owner, name = {"decoding": (tifffile.TiffPage, "asarray"), "making": (photo, "turn")}[where]
    monkeypatch.setattr(owner, name, exhausted)
    with pytest.raises(MemoryError):
        images.read_photo(tmp_path / "in.tiff")


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("Pixel allocation failed: Out of memory"),
        RuntimeError("Memory allocation error: Unspecified: Allocating 48000015 bytes failed"),
    ],
)
def test_a_decoder_that_lacks_memory_tells_of_no_damage(tmp_path, monkeypatch, error):
    def exhausted(_):
        raise error

    (tmp_path / "x.avif").write_bytes(odd_files.saved("AVIF"))
    monkeypatch.setattr("dem_jax.runtime.files.pillow_reader._plain_mode", exhausted)
    with pytest.raises(MemoryError):
        images.read_photo(tmp_path / "x.avif")
