"""What cannot be read is refused in one sentence."""

import struct
import zlib

import cv2
import numpy as np
import pytest
from odd_files import chunk, random_samples, saved, tiff

from dem_jax.runtime.files import images


def truncated(suffix, **options):
    data = saved(suffix, random_samples((64, 64, 3), np.uint8), **options)
    return data[: len(data) // 2]


def truncated_16():
    data = cv2.imencode(".png", random_samples((64, 64, 3), np.uint16))[1].tobytes()
    return data[: len(data) // 2]


def png_bomb(side, depth):
    header = struct.pack(">IIBBBBB", side, side, depth, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(10_000)))
    return b"\x89PNG\r\n\x1a\n" + body + chunk(b"IEND", b"")


BAD = {
    "text.png": (b"This is not a picture.\n", "not a picture"),
    "empty.png": (b"", "not a picture"),
    "gif.png": (b"GIF89a" + bytes(30), "GIF file that is damaged"),
    "cut.png": (truncated("PNG"), "damaged"),
    "cut.jpg": (truncated("JPEG", quality=95)[:1500], "% of it is missing"),
    "cut.webp": (truncated("WEBP", lossless=True), "damaged"),
    "cut.tiff": (truncated("TIFF"), "damaged"),
    "cut16.png": (truncated_16(), "damaged"),
    "bomb.png": (png_bomb(60_000, 8), "million pixels"),
    "smaller_bomb.png": (png_bomb(11_000, 8), "million pixels"),
    "bomb16.png": (png_bomb(60_000, 16), "million pixels"),
    "nan.tiff": (tiff(np.array([[0.5, np.nan]], np.float32)), "NaN or infinite"),
    "inf.tiff": (tiff(np.array([[0.5, np.inf]], np.float32)), "NaN or infinite"),
    "range.tiff": (tiff(np.array([[0.5, 255.0]], np.float32)), "between 0 and 1"),
    "int32.tiff": (tiff(np.zeros((4, 4), np.int32)), "int32"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_pictures_get_one_sentence(tmp_path, name):
    data, reason = BAD[name]
    (tmp_path / name).write_bytes(data)
    with pytest.raises(images.PhotoError, match=reason) as error:
        images.read_photo(tmp_path / name)
    message = str(error.value)
    assert name in message
    assert "\n" not in message
    assert message.endswith(".")


def test_missing_file_and_folder(tmp_path):
    for path in (tmp_path / "absent.png", tmp_path):
        with pytest.raises(images.PhotoError, match="cannot be read"):
            images.read_photo(path)
