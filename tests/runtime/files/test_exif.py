"""What the camera wrote survives, but for what is no longer true."""

import io

import numpy as np
import pytest
import tifffile
from PIL import ExifTags, Image, ImageCms

from dem_jax.runtime.files import exif, images, writing

PIXELS = np.random.default_rng(0).integers(0, 256, (12, 16, 3), dtype=np.uint8)


def camera_exif():
    block = Image.Exif()
    block[ExifTags.Base.Make] = "a camera"
    block[ExifTags.Base.Software] = "the camera's"
    block[ExifTags.Base.Orientation] = 6
    camera = block.get_ifd(ExifTags.IFD.Exif)
    camera[ExifTags.Base.ExposureTime] = 1 / 8
    camera[ExifTags.Base.ExifImageWidth] = 16
    block.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitudeRef] = "N"
    return block


@pytest.mark.parametrize("ending", ["jpg", "png", "webp"])
def test_exif_goes_from_photo_to_result(tmp_path, ending):
    Image.fromarray(PIXELS).save(tmp_path / f"in.{ending}", exif=camera_exif())
    photo = images.read_photo(tmp_path / f"in.{ending}")
    assert photo.pixels.shape == (16, 12, 3)  # turned
    writing.write_photo(tmp_path / "out.png", photo.pixels, photo)
    with Image.open(tmp_path / "out.png") as image:
        found = image.getexif()
    assert found[ExifTags.Base.Make] == "a camera"
    assert found[ExifTags.Base.Software] == exif.SOFTWARE
    assert ExifTags.Base.Orientation not in found
    camera = found.get_ifd(ExifTags.IFD.Exif)
    assert float(camera[ExifTags.Base.ExposureTime]) == 1 / 8
    assert ExifTags.Base.ExifImageWidth not in camera
    assert found.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitudeRef] == "N"


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_tiff_keeps_what_describes_the_photo(tmp_path, dtype):
    pixels = (PIXELS / 255).astype(dtype) if dtype == np.float32 else PIXELS.astype(dtype)
    make = (271, 2, 0, "a camera", True)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    tifffile.imwrite(
        tmp_path / "in.tiff", pixels, photometric="rgb", extratags=[make], iccprofile=profile
    )
    photo = images.read_photo(tmp_path / "in.tiff")
    writing.write_photo(tmp_path / "out.png", photo.pixels, photo)
    with Image.open(tmp_path / "out.png") as image:
        found = dict(image.getexif())
        assert image.info["icc_profile"] == profile
    expected = {ExifTags.Base.Software: exif.SOFTWARE, ExifTags.Base.Make: "a camera"}
    if dtype == np.float32:
        writing.write_photo(tmp_path / "out.tiff", photo.pixels, photo)
        with tifffile.TiffFile(tmp_path / "out.tiff") as tiff:
            assert tiff.pages.first.tags.valueof(305) == exif.SOFTWARE
            assert tiff.pages.first.tags.valueof(34675) == profile
    assert found == expected


def test_a_photo_without_exif_says_what_wrote_the_result(tmp_path):
    Image.fromarray(PIXELS).save(tmp_path / "in.png")
    photo = images.read_photo(tmp_path / "in.png")
    assert photo.exif is None
    writing.write_photo(tmp_path / "out.png", photo.pixels, photo)
    with Image.open(tmp_path / "out.png") as image:
        assert dict(image.getexif()) == {ExifTags.Base.Software: exif.SOFTWARE}


def test_a_damaged_block_costs_no_photo(tmp_path):
    buffer = io.BytesIO()
    Image.fromarray(PIXELS).save(buffer, "JPEG", exif=camera_exif())
    data = bytearray(buffer.getvalue())
    start = data.index(b"Exif") + 6
    rng = np.random.default_rng(0)
    for _ in range(40):
        broken = data.copy()
        for place in rng.integers(start, start + 120, 6):
            broken[place] = rng.integers(256)
        (tmp_path / "in.jpg").write_bytes(broken)
        photo = images.read_photo(tmp_path / "in.jpg")
        writing.write_photo(tmp_path / "out.png", photo.pixels, photo)
        assert images.read_photo(tmp_path / "out.png").pixels.size == PIXELS.size
