"""Palettes and inks become colours."""

import numpy as np
import pytest
from odd_files import SRGB, random_samples, saved
from PIL import Image

from dem_jax.runtime.files import images


def test_palette_becomes_rgb(tmp_path):
    image = Image.fromarray(random_samples((8, 8, 3), np.uint8)).quantize(16)
    image.save(tmp_path / "in.png")
    photo = images.read_photo(tmp_path / "in.png")
    np.testing.assert_array_equal(np.rint(photo.pixels * 255), np.asarray(image.convert("RGB")))


def test_transparent_palette_keeps_its_alpha(tmp_path):
    image = Image.fromarray(random_samples((8, 8, 3), np.uint8)).quantize(16)
    image.save(tmp_path / "in.png", transparency=3)
    photo = images.read_photo(tmp_path / "in.png")
    np.testing.assert_array_equal(photo.alpha == 0, np.asarray(image) == 3)


def test_cmyk_becomes_rgb_and_says_so(tmp_path):
    Image.new("CMYK", (16, 16), (0, 0, 0, 0)).save(tmp_path / "in.jpg", quality=95)
    photo = images.read_photo(tmp_path / "in.jpg")
    assert photo.pixels.shape == (16, 16, 3)
    np.testing.assert_allclose(photo.pixels, 1.0, atol=0.02)
    assert any("CMYK" in note for note in photo.notes)


@pytest.mark.parametrize("part", [0.6, 0.75, 0.9])
@pytest.mark.parametrize("subsampling", [0, 1, 2, None])
def test_what_is_filled_in_a_jpeg_whose_end_is_missing_does_not_count(tmp_path, subsampling, part):
    """Where colours are stored for fewer pixels, the filling is mixed with what is there."""
    samples = random_samples((83, 101, 3), np.uint8)
    options = {} if subsampling is None else {"subsampling": subsampling}
    data = saved("JPEG", samples if options else samples[..., 0], quality=90, **options)
    (tmp_path / "whole.jpg").write_bytes(data)
    (tmp_path / "cut.jpg").write_bytes(data[: int(part * len(data))])
    whole, photo = (images.read_photo(tmp_path / f"{name}.jpg") for name in ("whole", "cut"))
    known = photo.weight == 1
    np.testing.assert_array_equal(photo.pixels[known], whole.pixels[known])
    assert part - 0.25 < known.mean() < part + 0.1


@pytest.mark.parametrize("profile", [None, SRGB])
def test_what_is_filled_in_a_jpeg_of_inks_does_not_count(tmp_path, profile):
    """A profile that cannot be used, as one of RGB, leaves the inks to the usual rule."""
    inks = Image.fromarray(random_samples((83, 101, 3), np.uint8)).convert("CMYK")
    data = saved("JPEG", inks, quality=90, icc_profile=profile)
    (tmp_path / "whole.jpg").write_bytes(data)
    (tmp_path / "cut.jpg").write_bytes(data[: int(0.75 * len(data))])
    whole, photo = (images.read_photo(tmp_path / f"{name}.jpg") for name in ("whole", "cut"))
    known = photo.weight == 1
    np.testing.assert_array_equal(photo.pixels[known], whole.pixels[known])
    assert 0.5 < known.mean() < 0.85
    assert any("of the picture" in note for note in photo.notes)
