"""What a JPEG's steps tell of its pixels' errors."""

import numpy as np
import pytest
from odd_files import saved
from PIL import Image
from scipy import fft, ndimage

from dem_jax.runtime.files import colour, images


def blurred(shape, seed=0):
    """A picture [H, W, S] uint8, as rough as a blurred photo."""
    rough = np.random.default_rng(seed).normal(0, 400, shape)
    return np.clip(128 + ndimage.gaussian_filter(rough, (2, 2, 0)), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("quality", [60, 75, 90])
def test_the_error_is_that_of_the_coefficients_that_are_kept(tmp_path, quality):
    samples = blurred((160, 240, 1))
    (tmp_path / "a.jpg").write_bytes(saved("JPEG", samples[..., 0], quality=quality))
    photo = images.read_photo(tmp_path / "a.jpg")

    def blocks(plane):
        return fft.dctn(plane.reshape(20, 8, 30, 8), axes=(1, 3), norm="ortho")

    read = blocks(255 * photo.pixels[..., 0])
    with Image.open(tmp_path / "a.jpg") as opened:
        step = np.reshape(opened.quantization[0], (8, 8))[:, None]
    kept = np.abs(read) > step / 2
    kept[:, 0, :, 0] = False
    error = (read - blocks(samples[..., 0].astype(float)))[kept] / 255
    np.testing.assert_allclose(photo.coding_std, np.sqrt(np.mean(error**2)), rtol=0.1)


def test_it_belongs_to_the_file_and_not_to_how_it_is_looked_at(tmp_path):
    """Colour, a crop and EXIF's rotation change nothing; a PNG has no such error."""
    grey = blurred((160, 240, 1))
    image = Image.fromarray(np.repeat(grey, 3, axis=2))
    exif = image.getexif()
    exif[274] = 6
    image.save(tmp_path / "plain.jpg", quality=75)
    image.save(tmp_path / "turned.jpg", quality=75, exif=exif)
    Image.fromarray(grey[..., 0]).save(tmp_path / "grey.jpg", quality=75)
    image.save(tmp_path / "a.png")
    found = {p.name: images.read_photo(p).coding_std for p in tmp_path.iterdir()}
    part = images.read_photo(tmp_path / "plain.jpg", crop=colour.Crop(3, 5, 60, 50))
    assert found["a.png"] == 0
    assert 0.004 < found["plain.jpg"] == found["turned.jpg"] == part.coding_std
    np.testing.assert_allclose(found["grey.jpg"], found["plain.jpg"], rtol=0.02)


def test_a_flat_picture_has_none(tmp_path):
    Image.new("RGB", (20, 13), (90, 100, 110)).save(tmp_path / "a.jpg")
    Image.new("L", (5, 3), 90).save(tmp_path / "b.jpg")
    for name in ("a.jpg", "b.jpg"):
        assert images.read_photo(tmp_path / name).coding_std == 0
