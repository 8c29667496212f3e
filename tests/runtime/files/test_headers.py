"""What a header tells is what the photo is, and no pixels are decoded for it."""

import struct

import numpy as np
import pytest
from odd_files import PIXELS, saved, tiff, with_tag
from PIL import Image, PngImagePlugin

from dem_jax.runtime.files import decoding, headers, images, png


def exif(orientation):
    block = Image.Exif()
    block[0x0112] = orientation
    return block.tobytes()


def chunk(kind, data):
    return png.with_chunks(b"", [(kind, data)])


def png_whose_exif_comes_last():
    data = saved("PNG")
    return data[:-12] + chunk(b"eXIf", exif(6).removeprefix(b"Exif\0\0")) + data[-12:]


def turned_tiff(dtype, orientation):
    tag = (274, 3, 1, orientation, True)
    return tiff(PIXELS.astype(dtype), photometric="rgb", extratags=[tag])


FILES = {
    "PNG": lambda: saved("PNG", exif=exif(6)),
    "PNG, EXIF last": png_whose_exif_comes_last,
    "PNG without EXIF": lambda: saved("PNG"),
    "PNG, EXIF that is none": lambda: saved("PNG", exif=b"nonsense"),
    "WebP, EXIF that is none": lambda: saved("WEBP", exif=b"nonsense"),
    "JPEG": lambda: saved("JPEG", exif=exif(8)),
    "JPEG, orientation 9": lambda: saved("JPEG", exif=exif(9)),
    "TIFF": lambda: turned_tiff(np.uint8, 6),
    "TIFF, 16 bits": lambda: turned_tiff(np.uint16, 6),
    "TIFF, orientation 9": lambda: turned_tiff(np.uint16, 9),
    "TIFF, floats": lambda: tiff((PIXELS / 255).astype(np.float32), photometric="rgb"),
    "TIFF, grey floats": lambda: tiff((PIXELS[..., 0] / 255).astype(np.float32)),
    "TIFF, palette": lambda: saved("TIFF", Image.fromarray(PIXELS).quantize(16)),
    "TIFF, one bit": lambda: saved("TIFF", PIXELS[..., 0] > 127),
    "TIFF, no channels": lambda: with_tag(turned_tiff(np.uint8, 6), 277, at=0, value=60277),
    "TIFF, no colour": lambda: with_tag(turned_tiff(np.uint16, 6), 262, at=2, value=77),
    "TIFF, odd count": lambda: with_tag(turned_tiff(np.uint8, 8), 256, at=4, value=9),
    "TIFF, no end": lambda: turned_tiff(np.uint8, 6)[:-500],
}


@pytest.mark.parametrize("name", FILES)
def test_a_header_tells_the_photos_shape(tmp_path, name):
    (tmp_path / "photo").write_bytes(FILES[name]())
    assert headers.shape_of(tmp_path / "photo") == images.read_photo(tmp_path / "photo").shape


def test_no_pixels_of_a_png_are_decoded(tmp_path, monkeypatch):
    """Of a huge one they take gigabytes, before reading refuses it."""
    monkeypatch.setattr(
        PngImagePlugin.PngImageFile, "load", lambda self: pytest.fail("pixels are decoded")
    )
    path = tmp_path / "photo.png"
    path.write_bytes(saved("PNG"))
    assert headers.shape_of(path) == PIXELS.shape
    side = int(decoding.MAX_PIXELS**0.5) + 1
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    path.write_bytes(png.SIGNATURE + chunk(b"IHDR", header) + saved("PNG")[33:])
    assert headers.shape_of(path) is None
