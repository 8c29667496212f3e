"""Parts of photos, and the sRGB curve against its published values."""

import numpy as np
import pytest

from dem_jax.runtime.files import colour


def test_curve_has_the_published_values_and_its_inverse():
    # sRGB: mid grey 0.5 is 0.21404 of the light, 18 % of the light is 0.46136; black and white stay
    values = np.array([0.0, 0.04045, 0.5, 0.46135613, 1.0])
    light = colour.to_light(values)
    np.testing.assert_allclose(light, [0, 0.0031308, 0.21404114, 0.18, 1], atol=1e-6)
    every = np.linspace(0, 1, 1001, dtype=np.float32)
    assert colour.to_light(every).dtype == np.float32
    np.testing.assert_allclose(colour.from_light(colour.to_light(every)), every, atol=1e-6)


def test_spread_is_the_curves_slope():
    light = np.linspace(0.001, 0.99, 200)
    step = 1e-6
    slope = (colour.from_light(light + step) - colour.from_light(light - step)) / (2 * step)
    away = np.abs(light - 0.0031308) > 1e-4  # where the two pieces of the curve meet
    spread = colour.spread_from_light(np.full_like(light, 0.01), light)
    np.testing.assert_allclose(spread[away], 0.01 * slope[away], rtol=1e-4)


def test_crop_takes_a_part():
    pixels = np.arange(6 * 8, dtype=np.float32).reshape(6, 8, 1)
    part = colour.cut(pixels, colour.parse_crop("2,1,4,3"))
    np.testing.assert_array_equal(part, pixels[1:4, 2:6])
    assert colour.cut(pixels, colour.parse_crop(None)) is pixels


@pytest.mark.parametrize("text", ["1,2,3", "1,2,3,4,5", "a,b,c,d", "-1,0,5,5", "1.5,0,5,5"])
def test_crops_that_are_none(text):
    with pytest.raises(ValueError, match="must be X,Y,W,H"):
        colour.parse_crop(text)


def test_crops_without_pixels_and_outside():
    with pytest.raises(ValueError, match="empty"):
        colour.parse_crop("1,1,0,5")
    for crop in ((5, 0, 4, 3), (0, 4, 4, 3)):
        with pytest.raises(ValueError, match="8 pixels wide and 6 high"):
            colour.cut(np.zeros((6, 8, 1)), colour.Crop(*crop))
