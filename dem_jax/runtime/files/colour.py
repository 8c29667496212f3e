"""What happens to a photo between its file and the solver, and back: a part of it, and its light.

A gamma-encoded photo holds numbers that are no amounts of light, while blur adds amounts of light.
With `linear_light` the sRGB curve is undone before deblurring and applied again after it.

Source of the curve: IEC 61966-2-1.
"""

from typing import NamedTuple

import numpy as np

_LINEAR_UP_TO = 0.0031308  # of the light; below, the curve is a straight line
_SLOPE, _OFFSET, _EXPONENT = 12.92, 0.055, 2.4


class Crop(NamedTuple):
    """A part of a photo, in pixels of the upright photo."""

    left: int
    top: int
    width: int
    height: int


def parse_crop(text: str | None) -> Crop | None:
    """Reads `X,Y,W,H`.

    Raises:
      ValueError: for anything else.
    """
    if not text:
        return None
    words = text.split(",")
    if len(words) != 4 or not all(word.strip().isdigit() for word in words):
        raise ValueError(
            f"--crop={text} must be X,Y,W,H in whole pixels, such as 200,100,512,512: left edge, "
            "top edge, width, height."
        )
    crop = Crop(*map(int, words))
    if not crop.width or not crop.height:
        raise ValueError(f"--crop={text} is empty; width and height must be at least 1.")
    return crop


def cut(picture: np.ndarray, crop: Crop | None) -> np.ndarray:
    """The part of a picture [H, W, C].

    Raises:
      ValueError: when it does not lie inside the picture.
    """
    if crop is None:
        return picture
    rows, cols = picture.shape[:2]
    if crop.left + crop.width > cols or crop.top + crop.height > rows:
        raise ValueError(
            f"--crop={','.join(map(str, crop))} does not lie inside the photo, which is {cols} "
            f"pixels wide and {rows} high."
        )
    part = picture[crop.top : crop.top + crop.height, crop.left : crop.left + crop.width]
    return np.ascontiguousarray(part)


def to_light(values: np.ndarray) -> np.ndarray:
    """Amounts of light in [0, 1] of gamma-encoded values in [0, 1]."""
    low = values / _SLOPE
    high = ((np.maximum(values, 0) + _OFFSET) / (1 + _OFFSET)) ** _EXPONENT
    return np.where(values <= _SLOPE * _LINEAR_UP_TO, low, high).astype(values.dtype)


def from_light(light: np.ndarray) -> np.ndarray:
    """Gamma-encoded values of amounts of light: the inverse of `to_light`."""
    high = (1 + _OFFSET) * np.maximum(light, _LINEAR_UP_TO) ** (1 / _EXPONENT) - _OFFSET
    return np.where(light <= _LINEAR_UP_TO, light * _SLOPE, high).astype(light.dtype)


def spread_from_light(std: np.ndarray, light: np.ndarray) -> np.ndarray:
    """Standard deviation of the encoded values, to first order: that of the light times the slope.

    In the dark, where the curve is steep, a deviation is larger in encoded values than in light.
    """
    power = np.maximum(light, _LINEAR_UP_TO) ** (1 / _EXPONENT - 1)
    slope = np.where(light <= _LINEAR_UP_TO, _SLOPE, (1 + _OFFSET) / _EXPONENT * power)
    return (std * slope).astype(std.dtype)
