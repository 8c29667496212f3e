"""Profiles, XMP and resolution go from photo to result, or are left out with a note."""

import numpy as np
import pytest
import tifffile
from odd_files import PIXELS, SRGB, saved, tiff
from PIL import Image

from dem_jax.runtime.files import images, metadata, writing

XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><tiff:Orientation>8</tiff:Orientation></x:xmpmeta>'


def written(tmp_path, data):
    (tmp_path / "in").write_bytes(data)
    photo = images.read_photo(tmp_path / "in")
    writing.write_photo(tmp_path / "out.png", photo.pixels, photo)
    with Image.open(tmp_path / "out.png") as image:
        image.load()
        return photo, image.info


@pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF", "TIFF16"])
def test_resolution_survives(tmp_path, form):
    if form == "TIFF16":
        data = tiff(
            PIXELS.astype(np.uint16), photometric="rgb", resolution=(300, 300), resolutionunit=2
        )
    else:
        data = saved(form, dpi=(300, 300))
    _, info = written(tmp_path, data)
    np.testing.assert_allclose(info["dpi"], (300, 300), rtol=1e-3)


@pytest.mark.parametrize("form", ["JPEG", "WEBP", "TIFF16"])
def test_xmp_survives_upright(tmp_path, form):
    if form == "TIFF16":
        tag = (700, 1, len(XMP), XMP, True)
        data = tiff(PIXELS.astype(np.uint16), photometric="rgb", extratags=[tag])
    else:
        data = saved(form, xmp=XMP)
    _, info = written(tmp_path, data)
    assert info["xmp"] == XMP.replace(b">8<", b">1<")


def test_a_profile_too_large_for_png_is_left_out_and_said(tmp_path):
    photo, info = written(tmp_path, saved("JPEG", icc_profile=SRGB + bytes(1_500_000)))
    assert "icc_profile" not in info
    assert any("1.5 MB is too large" in note for note in photo.notes)


def test_a_profile_for_other_pixels_is_left_out_and_said(tmp_path):
    photo, info = written(tmp_path, saved("JPEG", PIXELS[..., 0], icc_profile=SRGB))
    assert "icc_profile" not in info
    assert any("for RGB and the picture is grey" in note for note in photo.notes)


def test_resolutions_that_are_none():
    for info in ({}, {"dpi": (0, 0)}, {"dpi": (1, 1)}, {"dpi": "many"}, {"dpi": (1e9, 1e9)}):
        assert metadata.resolution(info) is None


def test_inks_are_converted_by_their_profile(tmp_path):
    """Where the profile cannot be used, the plain formula is."""
    image = Image.new("CMYK", (16, 16), (255, 0, 0, 0))
    image.save(tmp_path / "in.jpg", quality=95, icc_profile=SRGB)  # RGB's, so it does not fit
    photo = images.read_photo(tmp_path / "in.jpg")
    assert photo.icc_profile is None
    np.testing.assert_allclose(photo.pixels[8, 8], (0, 1, 1), atol=0.02)


def test_raw_data_written_as_tiff_carries_everything(tmp_path):
    photo = images.Photo(
        PIXELS / np.float32(255), None, 16, SRGB, xmp=XMP, dpi=(240.0, 240.0), linear=True
    )
    writing.write_photo(tmp_path / "out.tiff", photo.pixels, photo)
    with tifffile.TiffFile(tmp_path / "out.tiff") as file:
        page = file.pages.first
        assert page.dtype == np.uint16
        assert page.tags.valueof(34675) == SRGB
        assert page.tags.valueof(700) == XMP
        assert page.tags.valueof(282) == (240, 1)
        np.testing.assert_array_equal(page.asarray(), PIXELS.astype(np.uint16) * 257)
