"""A photo as it lies in memory, whatever file it came from."""

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from dem_jax.runtime.files import colour, metadata

DOUBT = "the file is odd or damaged in places, so look whether the picture is whole"


class PhotoError(ValueError):
    """A picture that cannot be used; the message is one sentence for the user."""


class Damaged(Exception):
    """A file that is damaged or incomplete; the message says in plain words what is wrong."""


@dataclasses.dataclass(frozen=True)
class Behind:
    """What a result is put back into where a part of it, or it in fewer pixels, was deblurred."""

    pixels: np.ndarray  # [H0, W0, C] float32, the whole picture in the file's own scale
    rows: slice  # of the part
    cols: slice
    gain: float  # the part's values are the file's times this
    halvings: int = 0  # of the part's sides, see `fineness`


@dataclasses.dataclass(frozen=True, eq=False)
class Photo:
    """A photo and what is needed to write a result just like it."""

    pixels: np.ndarray  # [H, W, C] float32 in [0, 1], C = 1 grey or 3 RGB, EXIF rotation applied
    alpha: np.ndarray | None = None  # [H, W] uint8, uint16 or float32: kept, not deblurred
    bit_depth: int = 8  # 8, 16, or 32 for floating point
    icc_profile: bytes | None = None
    exif: bytes | None = None  # without the orientation, which was applied
    notes: tuple[str, ...] = ()  # what was changed in reading, for the user
    xmp: bytes | None = None  # likewise without the orientation
    dpi: tuple[float, float] | None = None  # pixels per inch, across and down
    colour: tuple[tuple[bytes, bytes], ...] = ()  # PNG chunks that say what the values mean
    linear: bool = False  # deblurred in linear light, and written as TIFF too: it is raw data
    weight: np.ndarray | None = None  # [H, W] in [0, 1], 0 where a pixel tells nothing; None: 1
    coding_std: float = 0.0  # error of the file's coding in image units, see `jpeg_error`
    behind: Behind | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        """Rows, columns and channels of the whole picture, which is what is written."""
        height, width, channels = (self.behind or self).pixels.shape
        return height, width, channels


class Decoded(NamedTuple):
    """What a reader makes of a file."""

    samples: np.ndarray  # [H, W, S] as the file holds them, S = 1 to 4 with alpha last
    notes: Sequence[str] = ()
    orientation: int = 1  # EXIF's, 1 to 8, not applied yet
    icc_profile: Any = None
    exif: bytes | None = None
    xmp: Any = None
    dpi: tuple[float, float] | None = None
    colour: tuple[tuple[bytes, bytes], ...] = ()
    linear: bool = False
    missing: np.ndarray | None = None  # [H, W] bool, pixels that are not in the file
    coding_std: float = 0.0  # error of the file's coding in image units


def make(decoded: Decoded, crop: colour.Crop | None = None) -> Photo:
    """The photo, or the part of it that is asked for: the rest is never converted.

    Raises:
      PhotoError: for numbers that are none, and floats beyond 0 to 1.
      Damaged: for no pixels.
      ValueError: for a crop outside the picture.
    """
    orientation = decoded.orientation
    samples = colour.cut(turn(decoded.samples, orientation), crop)
    if not samples.size:
        raise Damaged("it has no pixels")
    channels = 3 if samples.shape[-1] >= 3 else 1
    pixels, alpha = samples[..., :channels], None
    if samples.shape[-1] > channels:
        alpha = samples[..., channels]
    if samples.dtype.kind == "f":
        _check_float(pixels)
        pixels = np.clip(pixels, 0, 1)
        alpha = None if alpha is None else alpha.astype(np.float32)
        bit_depth = 32
    else:
        pixels = pixels / np.float32(np.iinfo(samples.dtype).max)
        bit_depth = 8 * samples.dtype.itemsize
    profile, note = metadata.checked_profile(decoded.icc_profile, channels)
    weight = None
    if decoded.missing is not None:
        missing = colour.cut(turn(decoded.missing[..., None], orientation), crop)
        weight = 1 - missing[..., 0].astype(np.float32)
    return Photo(
        pixels.astype(np.float32),
        alpha,
        bit_depth,
        profile,
        decoded.exif,
        (*decoded.notes, *([f"{note}, and was left out"] if note else ())),
        metadata.upright_xmp(decoded.xmp),
        decoded.dpi if decoded.dpi is None or orientation < 5 else decoded.dpi[::-1],
        decoded.colour,
        decoded.linear,
        weight,
        decoded.coding_std,
    )


def turn(samples: np.ndarray, orientation: int) -> np.ndarray:
    """Turns and mirrors [H, W, S] as EXIF orientation 1 to 8 asks."""
    if orientation >= 5:
        samples = samples.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        samples = samples[::-1]
    if orientation in (2, 3, 6, 7):
        samples = samples[:, ::-1]
    return np.ascontiguousarray(samples)


def _check_float(pixels: np.ndarray) -> None:
    if not np.isfinite(pixels).all():
        raise PhotoError("has NaN or infinite pixels; replace them by numbers between 0 and 1.")
    low, high = pixels.min(), pixels.max()
    if low < -0.01 or high > 1.01:
        raise PhotoError(
            f"has values from {low:.4g} to {high:.4g}; floating-point pictures must lie between "
            "0 and 1, so divide by the white level."
        )
