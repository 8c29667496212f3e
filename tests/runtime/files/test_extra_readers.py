"""HEIC, JPEG XL and raw files, where the packages that read them are installed."""

import io
import json

import numpy as np
import odd_files
import pytest
import tifffile
from fake_solver import FAKE, make_options
from odd_files import PIXELS, SRGB, raw_dng
from PIL import ExifTags, Image

from dem_jax.runtime import driver, progress
from dem_jax.runtime.files import colour, headers, images, inputs, writing


def heic(pixels=PIXELS, **options):
    pytest.importorskip("pillow_heif")
    return odd_files.heic(pixels, **options)


def smooth(dtype=np.uint8):
    rows, cols = np.mgrid[:48, :64]
    picture = np.stack([rows / 47, cols / 63, (rows + cols) / 110], axis=-1)
    return (picture * np.iinfo(dtype).max).astype(dtype)


@pytest.mark.parametrize("name", ["IMG_1.HEIC", "IMG_1.jpg"])
def test_heic_is_read_under_any_name(tmp_path, name):
    (tmp_path / name).write_bytes(heic(smooth()))
    photo = images.read_photo(tmp_path / name)
    assert photo.bit_depth == 8
    np.testing.assert_allclose(photo.pixels, smooth() / 255, atol=0.03)
    assert headers.shape_of(tmp_path / name) == (48, 64, 3)


def test_heic_of_ten_bits_fills_16(tmp_path):
    (tmp_path / "x.heic").write_bytes(heic(smooth(np.uint16)))
    photo = images.read_photo(tmp_path / "x.heic")
    assert photo.bit_depth == 16
    np.testing.assert_allclose(photo.pixels, smooth(np.uint16) / 65535, atol=0.02)
    assert any("bits" in note for note in photo.notes)


def test_heic_keeps_profile_and_exif(tmp_path):
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "a phone"
    (tmp_path / "x.heic").write_bytes(heic(exif=exif.tobytes(), icc_profile=SRGB))
    photo = images.read_photo(tmp_path / "x.heic")
    writing.write_photo(tmp_path / "out.png", photo.pixels, photo)
    with Image.open(tmp_path / "out.png") as image:
        assert image.getexif()[ExifTags.Base.Make] == "a phone"
    assert photo.exif is not None


def test_a_damaged_heic_is_called_heic(tmp_path):
    (tmp_path / "x.png").write_bytes(heic()[:200])
    with pytest.raises(images.PhotoError, match="HEIC file that is damaged"):
        images.read_photo(tmp_path / "x.png")


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_jpeg_xl(tmp_path, dtype):
    imagecodecs = pytest.importorskip("imagecodecs")
    samples = PIXELS if dtype == np.uint8 else PIXELS.astype(np.uint16) * 257
    (tmp_path / "x.jxl").write_bytes(imagecodecs.jpegxl_encode(samples, lossless=True))
    photo = images.read_photo(tmp_path / "x.jxl")
    np.testing.assert_allclose(photo.pixels, PIXELS / 255, atol=1e-6)
    assert photo.bit_depth == 8 * np.dtype(dtype).itemsize


def test_raw_data_is_light(tmp_path):
    pytest.importorskip("rawpy")
    sensor = np.full((64, 80), 20_000, np.uint16)
    sensor[:, 40:] = 5_000
    (tmp_path / "x.dng").write_bytes(raw_dng(sensor))
    photo = images.read_photo(tmp_path / "x.dng")
    assert photo.linear
    assert photo.bit_depth == 16
    light = colour.to_light(photo.pixels) * 65535
    np.testing.assert_allclose(light[20, 10], 20_000, rtol=1e-3)
    np.testing.assert_allclose(light[20, 70], 5_000, rtol=1e-3)
    assert headers.shape_of(tmp_path / "x.dng") == (64, 80, 3)


def test_raw_data_is_deblurred_as_light_and_written_as_tiff(tmp_path):
    pytest.importorskip("rawpy")
    rng = np.random.default_rng(0)
    sensor = rng.integers(1000, 30_000, (64, 80)).astype(np.uint16)
    (tmp_path / "x.dng").write_bytes(raw_dng(sensor))
    options = make_options(tmp_path)
    options.output_dir.mkdir()
    sources = inputs.select([str(tmp_path / "x.dng")]).sources
    quiet = progress.Progress(io.StringIO())
    assert driver.run(options, sources, solver=FAKE, progress=quiet) == 0
    record = json.loads((tmp_path / "out" / "x" / "run.json").read_text())
    assert record["linear_light"] is True
    written = tifffile.imread(tmp_path / "out" / "x" / "deblurred.tiff")
    assert written.dtype == np.uint16
    assert written.shape == (64, 80, 3)
    png = images.read_photo(tmp_path / "out" / "x" / "deblurred.png")
    np.testing.assert_array_equal(np.rint(png.pixels * 65535), written)
