"""Damage beside a PNG's pixels costs no picture, and what was there survives."""

import struct
import zlib

import numpy as np
import pytest
from odd_files import PIXELS, SRGB, by_opencv, chunk, saved, with_chunk

from dem_jax.runtime.files import images, png, writing

LONGER = b"\0\1\0\0" + SRGB[4:]
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><r tiff:Orientation="6"/></x:xmpmeta>'


def read(tmp_path, data):
    (tmp_path / "x.png").write_bytes(data)
    return images.read_photo(tmp_path / "x.png")


HARMLESS = {
    "text whose checksum is wrong": (b"tEXt", b"Comment\0hello", False, "tEXt"),
    "text that unpacks to 80 MB": (
        b"zTXt",
        b"Comment\0\0" + zlib.compress(bytes(80_000_000)),
        True,
        "text",
    ),
    "text that does not unpack": (b"zTXt", b"Comment\0\0nonsense", True, "text"),
    "a profile that does not unpack": (b"iCCP", b"p\0\0nonsense", True, "profile"),
    "a profile whose checksum is wrong": (b"iCCP", b"p\0\0" + zlib.compress(SRGB), False, "iCCP"),
    "a profile that is none": (b"iCCP", b"p\0\0" + zlib.compress(bytes(999)), True, "profile"),
    "chunks nobody knows": (b"zzZz", b"?" * 99, True, None),
    "colour data of a wrong length": (b"cHRM", b"?" * 5, True, None),
    "a profile that says it is longer": (b"iCCP", b"p\0\0" + zlib.compress(LONGER), True, None),
    "a way of rendering that is none": (b"sRGB", b"\x09", True, None),
    "EXIF that is none": (b"eXIf", b"nonsense", True, None),
}


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("case", HARMLESS)
def test_harmless_damage(tmp_path, case, depth):
    kind, data, sound, noted = HARMLESS[case]
    whole = saved("PNG") if depth == 8 else by_opencv(".png", PIXELS.astype(np.uint16) * 257)
    photo = read(tmp_path, with_chunk(kind, data, sound=sound, png=whole))
    assert photo.bit_depth == depth
    np.testing.assert_array_equal(np.rint(photo.pixels * 255), PIXELS)
    assert [noted in note for note in photo.notes] == ([True] if noted else [])


@pytest.mark.parametrize("depth", [8, 16])
def test_a_missing_end_costs_only_its_rows(tmp_path, depth):
    pixels = PIXELS if depth == 8 else PIXELS.astype(np.uint16) * 257
    data = by_opencv(".png", pixels)
    photo = read(tmp_path, data[: int(0.8 * len(data))])
    missing = photo.weight.min(axis=1) == 0
    there = int(np.argmax(missing))
    assert 0.7 * 48 < there < 0.85 * 48
    assert missing[there:].all()
    np.testing.assert_allclose(photo.pixels[:there], PIXELS[:there] / 255, atol=1e-6)
    assert "end of the file is missing" in photo.notes[0]


def test_only_the_last_bytes_missing_costs_nothing(tmp_path):
    photo = read(tmp_path, saved("PNG")[:-13])
    np.testing.assert_array_equal(np.rint(photo.pixels * 255), PIXELS)
    assert photo.weight is None or photo.weight.all()


@pytest.mark.parametrize("tail", [b"hello" * 99, chunk(b"IDAT", b"?"), b"\0"])
def test_what_follows_the_end_is_nothing(tmp_path, tail):
    """Phones and archivers put bytes of their own there."""
    photo = read(tmp_path, saved("PNG") + tail)
    np.testing.assert_array_equal(np.rint(photo.pixels * 255), PIXELS)
    assert photo.notes == ()
    assert photo.weight is None


@pytest.mark.parametrize("depth", [8, 16])
def test_colour_resolution_and_xmp_survive(tmp_path, depth):
    data = saved("PNG") if depth == 8 else by_opencv(".png", PIXELS.astype(np.uint16) * 257)
    gamma, white = struct.pack(">I", 100_000), struct.pack(">8I", *range(31000, 31008))
    for kind, body in (
        (b"gAMA", gamma),
        (b"cHRM", white),
        (b"pHYs", struct.pack(">IIB", 11811, 11811, 1)),
        (b"iTXt", png.XMP + b"\0\0\0\0\0" + XMP),
    ):
        data = with_chunk(kind, body, png=data)
    photo = read(tmp_path, data)
    writing.write_photo(tmp_path / "out.png", photo.pixels, photo)
    found = {c.kind: c.data for c in png.chunks((tmp_path / "out.png").read_bytes())}
    assert found[b"gAMA"] == gamma
    assert found[b"cHRM"] == white
    assert found[b"pHYs"] == struct.pack(">IIB", 11811, 11811, 1)
    assert XMP.replace(b'"6"', b'"1"') in found[b"iTXt"]  # it is upright now
    kinds = [c.kind for c in png.chunks((tmp_path / "out.png").read_bytes())]
    assert kinds.index(b"gAMA") < kinds.index(b"IDAT")


def test_damage_to_the_pixels_is_told(tmp_path):
    data = bytearray(saved("PNG"))
    data[data.index(b"IDAT") + 500] ^= 255
    with pytest.raises(images.PhotoError, match="PNG file that is damaged"):
        read(tmp_path, bytes(data))


def test_chunks_end_where_the_file_does():
    data = png.SIGNATURE + chunk(b"IHDR", bytes(13)) + chunk(b"IDAT", b"abc")[:-2]
    assert [(c.kind, c.sound) for c in png.chunks(data)] == [(b"IHDR", True), (b"IDAT", False)]


@pytest.mark.parametrize("samples", [PIXELS, PIXELS.astype(np.uint16) * 257], ids=["8", "16"])
@pytest.mark.parametrize("cut", [1, 4])
def test_an_end_whose_checksum_is_cut_needs_no_word(tmp_path, samples, cut):
    photo = read(tmp_path, by_opencv(".png", samples)[:-cut])
    assert photo.notes == ()
    np.testing.assert_allclose(photo.pixels, PIXELS / 255, atol=1e-6)
