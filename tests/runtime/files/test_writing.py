"""Photos survive reading and writing, and files are whole or not there."""

import cv2
import numpy as np
import pytest
import tifffile
from odd_files import random_samples
from PIL import Image, ImageCms, ImageOps

from dem_jax.runtime.files import images, writing

RNG = np.random.default_rng(0)
SHAPES = {"grey": (13, 17, 1), "rgb": (13, 17, 3)}


def loaded(path):
    with Image.open(path) as image:
        image.load()
        return image


def squeeze(samples):
    return samples[..., 0] if samples.shape[-1] == 1 else samples


@pytest.mark.parametrize("kind", SHAPES)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("ending", [".png", ".tiff"])
def test_every_bit_survives(tmp_path, kind, dtype, ending):
    samples = random_samples(SHAPES[kind], dtype)
    bgr = squeeze(samples[..., ::-1])
    assert cv2.imwrite(str(tmp_path / f"in{ending}"), bgr)
    photo = images.read_photo(tmp_path / f"in{ending}")
    assert photo.pixels.dtype == np.float32
    assert photo.bit_depth == 8 * samples.itemsize
    writing.write_photo(tmp_path / "out.png", photo.pixels, photo)
    written = cv2.imread(str(tmp_path / "out.png"), cv2.IMREAD_UNCHANGED)
    assert written.dtype == dtype
    np.testing.assert_array_equal(written, bgr)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [2, 4])
def test_alpha_is_kept_beside(tmp_path, dtype, channels):
    samples = random_samples((9, 11, channels), dtype)
    tifffile.imwrite(
        tmp_path / "in.tiff",
        samples,
        photometric="rgb" if channels == 4 else "minisblack",
        extrasamples=["unassalpha"],
    )
    photo = images.read_photo(tmp_path / "in.tiff")
    np.testing.assert_array_equal(photo.alpha, samples[..., -1])
    assert photo.pixels.shape == (9, 11, channels - 1)
    writing.write_photo(tmp_path / "out.png", 1 - photo.pixels, photo)
    again = images.read_photo(tmp_path / "out.png")
    np.testing.assert_array_equal(again.alpha, samples[..., -1])
    np.testing.assert_allclose(again.pixels, 1 - photo.pixels, atol=1e-6)
    assert again.bit_depth == photo.bit_depth


def test_our_16_bit_png_is_one_for_other_readers(tmp_path):
    samples = random_samples((7, 5, 4), np.uint16)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif = Image.Exif()
    exif[0x010F] = "a camera"
    photo = images.Photo(samples[..., :3] / np.float32(65535), samples[..., 3], 16, profile, None)
    photo = images.Photo(photo.pixels, photo.alpha, 16, profile, exif.tobytes())
    writing.write_photo(tmp_path / "out.png", photo.pixels, photo)
    read = cv2.imread(str(tmp_path / "out.png"), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(read[..., [2, 1, 0, 3]], samples)
    image = loaded(tmp_path / "out.png")
    assert image.info["icc_profile"] == profile
    assert image.getexif()[0x010F] == "a camera"


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation_is_applied_once(tmp_path, orientation):
    samples = random_samples((8, 16, 3), np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010F] = "a camera"
    Image.fromarray(samples).save(tmp_path / "in.png", exif=exif)
    photo = images.read_photo(tmp_path / "in.png")
    expected = np.asarray(ImageOps.exif_transpose(loaded(tmp_path / "in.png")))
    np.testing.assert_array_equal(np.rint(photo.pixels * 255), expected)
    writing.write_photo(tmp_path / "out.png", photo.pixels, photo)
    written = loaded(tmp_path / "out.png").getexif()
    assert written[0x010F] == "a camera"
    assert written.get(0x0112, 1) == 1


def test_icc_profile_and_webp(tmp_path):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    samples = random_samples((8, 9, 3), np.uint8)
    Image.fromarray(samples).save(tmp_path / "in.webp", lossless=True, icc_profile=profile)
    photo = images.read_photo(tmp_path / "in.webp")
    np.testing.assert_array_equal(np.rint(photo.pixels * 255), samples)
    writing.write_photo(tmp_path / "out.png", photo.pixels, photo)
    assert loaded(tmp_path / "out.png").info["icc_profile"] == profile


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_float_tiff_round_trip(tmp_path, channels, dtype):
    samples = RNG.random((6, 7, channels)).astype(dtype)
    tifffile.imwrite(
        tmp_path / "in.tiff",
        squeeze(samples),
        photometric="rgb" if channels > 2 else "minisblack",
        extrasamples=["unassalpha"] if channels in (2, 4) else [],
    )
    photo = images.read_photo(tmp_path / "in.tiff")
    assert photo.bit_depth == 32
    writing.write_photo(tmp_path / "out.tiff", photo.pixels, photo)
    written = tifffile.imread(tmp_path / "out.tiff")
    assert written.dtype == np.float32
    np.testing.assert_array_equal(written, squeeze(samples.astype(np.float32)))
    writing.write_photo(tmp_path / "out.png", photo.pixels, photo)
    assert images.read_photo(tmp_path / "out.png").bit_depth == 16


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
