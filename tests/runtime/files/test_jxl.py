"""What a JPEG XL file says of itself is what its decoder finds."""

import numpy as np
import pytest

from dem_jax.runtime.files import decoding, images, jxl
from dem_jax.runtime.files.photo import Damaged

SHAPES = [(8, 8), (1, 1), (256, 256), (257, 3), (3, 257), (120, 100), (720, 1280), (300, 600)]


def encoded(samples, **options):
    imagecodecs = pytest.importorskip("imagecodecs")
    return imagecodecs.jpegxl_encode(samples, **options)


@pytest.mark.parametrize("boxes", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_sizes(shape, boxes):
    data = encoded(np.zeros((*shape, 3), np.uint8), usecontainer=boxes)
    assert jxl.header(data) == (shape[1], shape[0], False)


def huge(side):
    """A codestream's header of a square of that many pixels, and nothing behind it."""
    bits = 0 | 3 << 1 | (side - 1) << 3 | 1 << 33
    return b"\xff\n" + bits.to_bytes(40, "little")


def box(kind, data):
    return (8 + len(data)).to_bytes(4, "big") + kind + data


BOXES = box(b"JXL ", b"\r\n\x87\n") + box(b"ftyp", b"jxl \0\0\0\0jxl ")


@pytest.mark.parametrize(
    "wrapped",
    [
        lambda data: data,
        lambda data: BOXES + box(b"jxlc", data),
        lambda data: BOXES + box(b"jxlp", bytes(4) + data[:5]) + box(b"jxlp", bytes(4) + data[5:]),
        lambda data: BOXES + bytes(4) + b"jxlc" + data,
    ],
)
def test_a_huge_one_is_refused_before_it_is_decoded(tmp_path, monkeypatch, wrapped):
    imagecodecs = pytest.importorskip("imagecodecs")
    monkeypatch.setattr(imagecodecs, "jpegxl_decode", lambda *_, **__: pytest.fail("it is decoded"))
    side = int(decoding.MAX_PIXELS**0.5) + 1
    data = wrapped(huge(side))
    assert jxl.header(data)[:2] == (side, side)
    (tmp_path / "x.jxl").write_bytes(data)
    with pytest.raises(images.PhotoError, match="million pixels"):
        images.read_photo(tmp_path / "x.jxl")


def test_without_a_codestream_its_header_is_wrong():
    with pytest.raises(Damaged, match="header"):
        jxl.header(BOXES)


def test_of_an_animation_the_first_frame_is_used_and_said(tmp_path):
    frames = np.random.default_rng(0).integers(0, 256, (3, 32, 48, 3), dtype=np.uint8)
    (tmp_path / "x.jxl").write_bytes(encoded(frames, lossless=True))
    photo = images.read_photo(tmp_path / "x.jxl")
    np.testing.assert_allclose(photo.pixels, frames[0] / 255, atol=1e-6)
    assert "only the first of its frames is used" in photo.notes
