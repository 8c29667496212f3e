"""Photos that hold nothing as fine as their pixels are deblurred in fewer of them."""

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from dem_jax.runtime.files import completion, fineness, framing, images

SIDES = 800, 1000


def scene(shape=SIDES, seed=0):
    """Sharp rectangles, as fine as pixels."""
    rng, (rows, cols) = np.random.default_rng(seed), shape
    picture = np.full((rows, cols, 3), 0.5, np.float32)
    for _ in range(300):
        row, col, size = rng.integers(rows), rng.integers(cols), rng.integers(5, 80, 2)
        picture[row : row + size[0], col : col + size[1]] = rng.random(3)
    return picture


def photo_of(times):
    """A scene that a camera saw, enlarged."""
    return resized(ndimage.gaussian_filter(scene((320, 400)), (1.0, 1.0, 0)), times)


def resized(picture, times):
    planes = [
        Image.fromarray(plane).resize(
            (round(times * plane.shape[1]), round(times * plane.shape[0])), Image.Resampling.BICUBIC
        )
        for plane in np.moveaxis(picture, -1, 0)
    ]
    return np.clip(np.stack([np.asarray(p) for p in planes], -1), 0, 1)


def noisy(picture, std):
    noise = np.random.default_rng(1).normal(scale=std, size=picture.shape)
    return np.clip(picture + noise, 0, 1).astype(np.float32)


@pytest.mark.parametrize("noise", [0.0, 0.003, 0.01])
def test_a_sharp_photo_needs_its_pixels_and_an_enlarged_one_does_not(noise):
    assert fineness.reductions(noisy(scene(), noise)) == 0
    assert 1 <= fineness.reductions(noisy(photo_of(5), noise)) <= 2  # noise hides detail
    assert fineness.reductions(noisy(photo_of(10), noise)) == 2


def test_small_photos_keep_their_pixels():
    assert fineness.reductions(resized(scene((90, 100)), 8)) == 0


@pytest.mark.parametrize("shape", [(8, 12), (7, 9), (5, 5)])
def test_what_is_halved_and_enlarged_keeps_shape_and_mean(shape):
    plane = np.full((*shape, 2), 0.3, np.float32)
    for times in (1, 2):
        back = fineness.enlarged(fineness.halved(plane, times), times, plane.shape)
        np.testing.assert_allclose(back, plane, atol=1e-6)


def test_enlarging_does_not_move_the_picture():
    ramp = np.linspace(0, 1, 64, dtype=np.float32)[None, :, None].repeat(64, axis=0)
    back = fineness.enlarged(fineness.halved(ramp, 1), 1, ramp.shape)
    np.testing.assert_allclose(back[8:-8, 8:-8], ramp[8:-8, 8:-8], atol=1e-5)


def test_what_does_not_change_stays_as_it_is_and_a_change_is_enlarged():
    photo = images.Photo(noisy(photo_of(5), 0.003))
    framed = framing.frame(photo)
    assert framed.pixels.shape == (800, 1000, 3)
    assert framed.shape == photo.shape
    assert "deblurred in 1000x800" in framed.notes[-1]
    np.testing.assert_array_equal(completion.complete(framed.pixels, framed), photo.pixels)
    brighter = completion.complete(0.5 * framed.pixels, framed)
    expected = photo.pixels - 0.5 * resized(framed.pixels, 2)
    np.testing.assert_allclose(brighter, np.clip(expected, 0, 1), atol=3e-3)
    std = completion.complete_spread(np.full_like(framed.pixels, 0.1), framed)
    np.testing.assert_allclose(std, 0.1, atol=1e-6)
    assert framing.inside(photo.pixels, framed).shape == framed.pixels.shape


def test_kernels_that_are_given_keep_every_pixel():
    photo = images.Photo(photo_of(5))
    assert framing.frame(photo, every_pixel=True).behind is None
