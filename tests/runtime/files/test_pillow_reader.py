"""Palettes and inks become colours."""

import numpy as np
from odd_files import random_samples
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
