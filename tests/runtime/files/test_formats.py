"""Files are told by their content, and what cannot be read is called by its name."""

import sys

import numpy as np
import pytest
from odd_files import PIXELS, saved, tiff

from dem_jax.runtime.files import formats, headers, images

READ = {
    "jfif": ("JPEG", lambda: saved("JPEG", quality=95)),
    "bmp": ("BMP", lambda: saved("BMP")),
    "gif": ("GIF", lambda: saved("GIF")),
    "ppm": ("PNM", lambda: saved("PPM")),
    "webp": ("WebP", lambda: saved("WEBP", lossless=True)),
    "jp2": ("JPEG 2000", lambda: saved("JPEG2000", irreversible=False)),
    "avif": ("AVIF", lambda: saved("AVIF", quality=100)),
    "tif": ("TIFF", lambda: tiff(PIXELS, photometric="rgb")),
}


@pytest.mark.parametrize("ending", READ)
def test_pictures_are_read_under_any_name(tmp_path, ending):
    name, make = READ[ending]
    path = tmp_path / "photo.png"  # a wrong name
    path.write_bytes(make())
    assert formats.identify_file(path).name == name
    photo = images.read_photo(path)
    assert photo.pixels.shape == PIXELS.shape
    assert photo.bit_depth == 8
    assert headers.shape_of(path) == PIXELS.shape
    if ending in ("bmp", "ppm", "webp", "jp2", "tif"):
        np.testing.assert_array_equal(np.rint(photo.pixels * 255), PIXELS)


@pytest.mark.parametrize("ending", [".ppm", ".jp2"])
def test_16_bits_are_read_in_full(tmp_path, ending):
    wide = PIXELS.astype(np.uint16) * 256 + 77
    path = tmp_path / f"x{ending}"
    if ending == ".ppm":
        path.write_bytes(b"P6 64 48 65535\n" + wide.astype(">u2").tobytes())
    else:
        imagecodecs = pytest.importorskip("imagecodecs")
        path.write_bytes(imagecodecs.jpeg2k_encode(wide, level=0))
    photo = images.read_photo(path)
    assert photo.bit_depth == 16
    np.testing.assert_array_equal(np.rint(photo.pixels * 65535), wide)


def test_12_bits_of_a_pnm_fill_16(tmp_path):
    samples = (PIXELS.astype(np.uint16) * 16).astype(">u2")
    (tmp_path / "x.ppm").write_bytes(b"P6 64 48 4095\n" + samples.tobytes())
    photo = images.read_photo(tmp_path / "x.ppm")
    np.testing.assert_allclose(photo.pixels, PIXELS / np.float64(4095 / 16), atol=1e-5)
    assert "12 bits" in photo.notes[0]


def test_comments_of_a_pnm_are_no_numbers(tmp_path):
    wide = PIXELS.astype(np.uint16) * 257
    for comment in (b"\n# made by 3000 gimps\n", b"\n", b" # P6 1 1 9\n#\n"):
        head = b"P6" + comment + b"64 48 65535\n"
        (tmp_path / "x.ppm").write_bytes(head + wide.astype(">u2").tobytes())
        photo = images.read_photo(tmp_path / "x.ppm")
        assert photo.bit_depth == 16
        np.testing.assert_allclose(photo.pixels, PIXELS / 255, atol=1e-6)
        head = b"P5" + comment + b"64 48 255\n"
        (tmp_path / "x.pgm").write_bytes(head + PIXELS[..., 0].tobytes())
        pixels = images.read_photo(tmp_path / "x.pgm").pixels
        np.testing.assert_allclose(pixels[..., 0], PIXELS[..., 0] / 255, atol=1e-6)


def jpeg_of(marker, bits):
    """A JPEG as far as its frame."""
    return (
        b"\xff\xd8\xff\xe0\0\4ab" + bytes((0xFF, marker, 0, 11, bits)) + b"\0\x30\0\x40\1\1\x11\0"
    )


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (jpeg_of(0xC1, 12), "is a JPEG of 12 bits, which cannot be read"),
        (jpeg_of(0xC3, 14), "is a lossless JPEG, which cannot be read"),
        (jpeg_of(0xF7, 8), "is a lossless JPEG, which cannot be read"),
        (jpeg_of(0xC0, 8), "JPEG file that is damaged"),
        (b"\xff\xd8\xff", "JPEG file that is damaged"),
    ],
)
def test_a_jpeg_that_few_can_read_is_not_called_damaged(tmp_path, data, said):
    (tmp_path / "x.jpg").write_bytes(data)
    with pytest.raises(images.PhotoError, match=said):
        images.read_photo(tmp_path / "x.jpg")


def test_a_png_sent_as_text_is_a_damaged_png(tmp_path):
    (tmp_path / "x.png").write_bytes(saved("PNG").replace(b"\r\n", b"\n"))
    with pytest.raises(images.PhotoError, match="PNG file that is damaged"):
        images.read_photo(tmp_path / "x.png")


NOT_READ = {
    "photoshop": (b"8BPS\0\1" + bytes(40), "is a Photoshop .PSD. file, which cannot be read; save"),
    "exr": (b"v/1\x01" + bytes(40), "OpenEXR"),
    "pdf": (b"%PDF-1.7\n", "is not a picture but a PDF document; give PNG, JPEG"),
    "zip": (
        b"PK\3\4" + bytes(40),
        "is not a picture but a ZIP archive or office document; give PNG",
    ),
    "web page": (b"<!DOCTYPE html><html>Not found</html>", "web page"),
    "svg": (b'<?xml version="1.0"?><svg width="3"/>', "but an SVG drawing; give PNG"),
    "video": (b"\0\0\0\x18ftypisom\0\0\0\0isommp42", "video"),
    "lfs": (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS"),
    "text": (b"Dear Sir,\n", "is not a picture but a text file; give PNG"),
    "empty": (b"", r"is an empty file \(0 bytes\), not a picture; copy it once more"),
    "zeros": (bytes(100), "is not a picture that can be read; give PNG"),
}


@pytest.mark.parametrize("kind", NOT_READ)
def test_what_is_no_picture_is_called_by_its_name(tmp_path, kind):
    data, said = NOT_READ[kind]
    (tmp_path / "x.jpg").write_bytes(data)
    with pytest.raises(images.PhotoError, match=said) as error:
        images.read_photo(tmp_path / "x.jpg")
    assert "damaged" not in str(error.value)
    assert str(error.value).endswith(".")


NEED_EXTRAS = {
    "heif": ("pillow_heif", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(60)),
    "raw": ("rawpy", b"FUJIFILMCCD-RAW 0201" + bytes(60)),
    "codecs": ("imagecodecs", b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(60)),
}


@pytest.mark.parametrize("extra", NEED_EXTRAS)
def test_a_missing_extra_is_named(tmp_path, extra, monkeypatch):
    package, data = NEED_EXTRAS[extra]
    monkeypatch.setitem(sys.modules, package, None)
    (tmp_path / "IMG_1.jpg").write_bytes(data)
    with pytest.raises(images.PhotoError, match=rf'pip install "dem_jax\[{extra}\]"'):
        images.read_photo(tmp_path / "IMG_1.jpg")


def test_brands_tell_avif_heic_raw_and_video():
    def head(major, *others):
        body = b"ftyp" + major + bytes(4) + b"".join(others)
        return (len(body) + 4).to_bytes(4, "big") + body

    for boxes, name in (
        (head(b"heic", b"mif1", b"heic"), "HEIC"),
        (head(b"mif1", b"mif1", b"heic"), "HEIC"),
        (head(b"mif1", b"mif1", b"avif"), "AVIF"),
        (head(b"avif", b"avif", b"mif1"), "AVIF"),
        (head(b"crx ", b"crx ", b"isom"), "CR3 raw"),
        (head(b"qt  ", b"qt  "), "video"),
    ):
        assert formats.identify(boxes).name == name


def test_large_photos_are_no_bombs():
    """A limit is for files that claim what they cannot hold."""
    from dem_jax.runtime.files import decoding

    decoding.check_size(12_000, 9_000, 2_000_000)
    decoding.check_size(16_320, 12_240, 30_000_000)
    for size, file_bytes, said in (
        ((11_000, 11_000), 500, "no photo"),
        ((60_000, 60_000), 10**9, "at most 500 million"),
    ):
        with pytest.raises(images.PhotoError, match=said):
            decoding.check_size(*size, file_bytes)


def test_a_crop_of_a_photo_too_large_to_convert(tmp_path):
    """108 million pixels, of which a corner is asked for: only that becomes floats."""
    from PIL import Image

    from dem_jax.runtime.files import colour

    image = Image.new("L", (12_000, 9_000), 40)
    image.paste(Image.fromarray(PIXELS[..., 0]), (11_900, 8_900))
    image.save(tmp_path / "phone.jpg", quality=95)
    assert headers.shape_of(tmp_path / "phone.jpg") == (9_000, 12_000, 1)
    photo = images.read_photo(tmp_path / "phone.jpg", crop=colour.Crop(11_900, 8_900, 64, 48))
    assert photo.pixels.shape == (48, 64, 1)
    assert np.abs(photo.pixels[..., 0] * 255 - PIXELS[..., 0]).mean() < 3
    with pytest.raises(ValueError, match="12000 pixels wide and 9000 high"):
        images.read_photo(tmp_path / "phone.jpg", crop=colour.Crop(11_990, 0, 64, 48))
