"""Reading photos into [H, W, C] float32 in [0, 1] and writing results as the photo was.

What the file held besides the pixels (alpha, bit depth, ICC profile, EXIF) travels in `Photo`, so
that `write_photo` can put it back. Pillow reads everything with 8 bits a channel; 16-bit and float
pictures go through OpenCV and tifffile, because Pillow silently truncates 16-bit colour.
"""

import contextlib
import dataclasses
import io
import logging
import os
import pathlib
import warnings
from collections.abc import Callable, Iterator

import numpy as np
from PIL import ExifTags, Image

from dem_jax.runtime.files import atomic, exif, png

EXTENSIONS = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp")
MAX_PIXELS = 100_000_000  # more is taken for a decompression bomb
_BOMB = f"has more than {MAX_PIXELS // 1_000_000} million pixels, the most that is read; crop it."


class PhotoError(ValueError):
    """A picture that cannot be used; the message is one sentence for the user."""


@dataclasses.dataclass(frozen=True, eq=False)
class Photo:
    """A photo and what is needed to write a result just like it."""

    pixels: np.ndarray  # [H, W, C] float32 in [0, 1], C = 1 grey or 3 RGB, EXIF rotation applied
    alpha: np.ndarray | None = None  # [H, W] uint8, uint16 or float32: kept, not deblurred
    bit_depth: int = 8  # 8, 16, or 32 for floating point
    icc_profile: bytes | None = None
    exif: bytes | None = None  # without the orientation, which was applied
    notes: tuple[str, ...] = ()  # what was changed in reading, for the user


def read_photo(path: str | os.PathLike) -> Photo:
    """Reads a PNG, JPEG, TIFF or WebP picture of 8, 16 or (TIFF) floating-point channels.

    Palettes become RGB; CMYK becomes RGB with a note; EXIF rotation is applied.

    Raises:
      PhotoError: naming the file, what is wrong with it and what is allowed.
    """
    path = pathlib.Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise PhotoError(f"{path} cannot be read: {error.strerror or error}.") from error
    reader = _reader(data)
    if reader is None:
        raise PhotoError(
            f"{path} is not a picture that can be read; PNG, JPEG, TIFF and WebP files can."
        )
    try:
        with _quiet_decoders():
            photo = reader(data)
    except PhotoError as error:
        raise PhotoError(f"{path} {error}") from error
    except Image.DecompressionBombError as error:
        raise PhotoError(f"{path} {_BOMB}") from error
    except Image.UnidentifiedImageError as error:
        raise PhotoError(f"{path} is damaged or incomplete: its header is wrong.") from error
    except Exception as error:  # decoders raise whatever they like on damaged files
        reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
        raise PhotoError(f"{path} is damaged or incomplete: {reason}.") from error
    return photo


def write_photo(path: str | os.PathLike, pixels: np.ndarray, like: Photo) -> None:
    """Writes `pixels` [H, W, C] in [0, 1] with the bit depth, alpha, profile and EXIF of `like`.

    The ending of `path` chooses the format: `.png` (8 or 16 bits; 16 for floating-point photos) or
    `.tiff` (float32). The file is written whole or not at all.
    """
    path = pathlib.Path(path)
    if path.suffix == ".tiff":
        data = _encode_float_tiff(_with_alpha(pixels.astype(np.float32), like.alpha, 1.0), like)
    elif like.bit_depth == 8:
        data = _encode_png8(_with_alpha(_quantize(pixels, np.uint8), like.alpha, 255), like)
    else:
        samples = _with_alpha(_quantize(pixels, np.uint16), like.alpha, 65535)
        data = png.encode_png16(samples, icc_profile=like.icc_profile, exif=exif.stamped(like.exif))
    atomic.write_bytes(path, data)


def encode_png(picture: np.ndarray) -> bytes:
    """PNG file of `picture` [H, W] or [H, W, 3] uint8."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG")
    return buffer.getvalue()


@contextlib.contextmanager
def _quiet_decoders() -> Iterator[None]:
    """Keeps what decoders say of odd metadata from the user, who gets one sentence or a photo."""
    logger = logging.getLogger("tifffile")
    before = logger.disabled
    logger.disabled = True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.disabled = before


def _reader(data: bytes) -> Callable[[bytes], Photo] | None:
    """The function that reads this kind of file, told by its first bytes and not its name."""
    if data.startswith(png.SIGNATURE):
        return _read_png16 if data[24:25] == b"\x10" else _read_with_pillow
    if data.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")):
        return _read_tiff
    if data.startswith(b"\xff\xd8\xff") or (data[:4] == b"RIFF" and data[8:12] == b"WEBP"):
        return _read_with_pillow
    return None


def _open(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data), formats=("PNG", "JPEG", "TIFF", "WEBP"))
    _check_size(*image.size)
    return image


def _check_size(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise PhotoError(_BOMB)


def _read_with_pillow(data: bytes) -> Photo:
    image = _open(data)
    notes = []
    frames = getattr(image, "n_frames", 1)
    if frames > 1 and image.format != "MPO":
        notes.append(f"only the first of {frames} frames is used")
    image.load()
    block, orientation = exif.read(image)
    icc_profile = image.info.get("icc_profile")
    if image.mode == "CMYK":
        notes.append("CMYK was converted to RGB, so colours may shift a little")
        icc_profile = None  # it described the CMYK inks
    samples = np.asarray(image.convert(_plain_mode(image)))
    samples = samples[..., None] if samples.ndim == 2 else samples
    return _photo(_orient(samples, orientation), icc_profile, block, tuple(notes))


def _plain_mode(image: Image.Image) -> str:
    """The mode among L, LA, RGB, RGBA that holds the picture of an 8-bit image."""
    if image.mode in ("L", "LA", "RGB", "RGBA"):
        return f"{image.mode}A" if "transparency" in image.info else image.mode
    if image.mode in ("P", "PA"):
        return "RGBA" if image.mode == "PA" or "transparency" in image.info else "RGB"
    known = {"1": "L", "La": "LA", "RGBa": "RGBA", "RGBX": "RGB", "CMYK": "RGB", "YCbCr": "RGB"}
    if image.mode not in known:
        raise PhotoError(f"has {image.mode} pixels; grey, RGB, palette and CMYK can be read.")
    return known[image.mode]


def _read_png16(data: bytes) -> Photo:
    image = _open(data)
    image.load()  # Pillow notices damage that OpenCV passes over; its truncated pixels are not used
    block, orientation = exif.read(image)
    samples = _decode_with_opencv(data)
    grey_with_alpha = data[25:26] == b"\x04" and samples.shape[-1] == 4
    samples = samples[..., [0, 3]] if grey_with_alpha else samples
    return _photo(_orient(samples, orientation), image.info.get("icc_profile"), block, ())


def _read_tiff(data: bytes) -> Photo:
    import tifffile

    with tifffile.TiffFile(io.BytesIO(data)) as tiff:
        page = tiff.pages.first
        _check_size(page.imagewidth, page.imagelength * page.imagedepth)
        if page.dtype is None or page.dtype == np.bool_ or page.dtype == np.uint8:
            return _read_with_pillow(data)
        if page.dtype not in (np.uint16, np.float32, np.float64, np.float16):
            raise PhotoError(
                f"has pixels of type {page.dtype}; 8 or 16 bit or floating point can be read."
            )
        if page.samplesperpixel > 4 or page.photometric not in (0, 1, 2):
            raise PhotoError("has an unusual kind of colour; grey and RGB TIFF can be read.")
        samples = _tiff_samples(page, data)
        notes = (f"only the first of {n} pages is used",) if (n := len(tiff.pages)) > 1 else ()
        orientation = page.tags.valueof(274, 1)
        icc_profile = page.tags.valueof(34675)
    return _photo(_orient(samples, orientation), icc_profile, exif.read_tiff(data), notes)


def _tiff_samples(page, data: bytes) -> np.ndarray:  # type: ignore[no-untyped-def]
    """[H, W, S] samples of a 16-bit or float page."""
    import tifffile

    try:
        samples = page.asarray()
    except ValueError as error:  # compressed in a way that tifffile leaves to another package
        if "imagecodecs" not in str(error):
            raise
        samples = _decode_with_opencv(data)
        if samples.dtype != page.dtype:
            raise PhotoError("is compressed in a way that cannot be read; save it without.") from (
                error
            )
    if page.planarconfig == tifffile.PLANARCONFIG.SEPARATE and page.samplesperpixel > 1:
        planes_first = samples.shape[0] == page.samplesperpixel
        samples = np.moveaxis(samples, 0, -1) if planes_first else samples
    samples = samples.reshape(page.imagelength, page.imagewidth, page.samplesperpixel)
    if page.photometric == tifffile.PHOTOMETRIC.MINISWHITE:
        white = 65535 if samples.dtype == np.uint16 else 1
        samples = (white - samples).astype(samples.dtype)
    return samples


def _decode_with_opencv(data: bytes) -> np.ndarray:
    """[H, W, S] samples in RGB order at full bit depth."""
    import cv2

    level = cv2.utils.logging.setLogLevel(0)  # it would print its own messages beside ours
    try:
        samples = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    finally:
        cv2.utils.logging.setLogLevel(level)
    if samples is None:
        raise PhotoError("is damaged or incomplete.")
    if samples.ndim == 2:
        return samples[..., None]
    return samples[..., [2, 1, 0, 3][: samples.shape[2]]]


def _orient(samples: np.ndarray, orientation: int) -> np.ndarray:
    """Turns and mirrors [H, W, S] as EXIF orientation 1 to 8 asks."""
    if orientation >= 5:
        samples = samples.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        samples = samples[::-1]
    if orientation in (2, 3, 6, 7):
        samples = samples[:, ::-1]
    return np.ascontiguousarray(samples)


def _photo(
    samples: np.ndarray, icc_profile: bytes | None, block: bytes | None, notes: tuple[str, ...]
) -> Photo:
    if not samples.size:
        raise PhotoError("is damaged or incomplete: it has no pixels.")
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
    return Photo(pixels.astype(np.float32), alpha, bit_depth, icc_profile, block, notes)


def _check_float(pixels: np.ndarray) -> None:
    if not np.isfinite(pixels).all():
        raise PhotoError("has NaN or infinite pixels; replace them by numbers between 0 and 1.")
    low, high = pixels.min(), pixels.max()
    if low < -0.01 or high > 1.01:
        raise PhotoError(
            f"has values from {low:.4g} to {high:.4g}; floating-point pictures must lie between "
            "0 and 1, so divide by the white level."
        )


def _quantize(pixels: np.ndarray, dtype: type) -> np.ndarray:
    peak = np.iinfo(dtype).max
    return np.rint(np.clip(pixels, 0, 1).astype(np.float64) * peak).astype(dtype)


def _with_alpha(samples: np.ndarray, alpha: np.ndarray | None, peak: float) -> np.ndarray:
    """[H, W, C (+ 1)] samples, alpha brought to their range 0..peak."""
    if alpha is None:
        return samples
    own_peak = np.iinfo(alpha.dtype).max if alpha.dtype.kind == "u" else 1.0
    if own_peak != peak:
        alpha = np.clip(alpha.astype(np.float64) / own_peak, 0, 1) * peak
        alpha = np.rint(alpha) if samples.dtype.kind == "u" else alpha
    return np.concatenate([samples, alpha[..., None].astype(samples.dtype)], axis=-1)


def _encode_png8(samples: np.ndarray, like: Photo) -> bytes:
    buffer = io.BytesIO()
    image = Image.fromarray(samples[..., 0] if samples.shape[-1] == 1 else samples)
    image.save(buffer, "PNG", icc_profile=like.icc_profile, exif=exif.stamped(like.exif))
    return buffer.getvalue()


def _encode_float_tiff(samples: np.ndarray, like: Photo) -> bytes:
    import tifffile

    buffer = io.BytesIO()
    channels = samples.shape[-1]
    extra = ["unassalpha"] if channels in (2, 4) else []
    tifffile.imwrite(
        buffer,
        samples[..., 0] if channels == 1 else samples,
        photometric="rgb" if channels >= 3 else "minisblack",
        extrasamples=extra,
        iccprofile=like.icc_profile,
        software=exif.SOFTWARE,
        metadata=None,
    )
    return buffer.getvalue()


def shape_of(path: str | os.PathLike) -> tuple[int, int, int] | None:
    """Rows, columns and channels of a picture, by its header alone; None where it does not tell."""
    try:
        with _quiet_decoders(), Image.open(path) as image:
            width, height = image.size
            if image.getexif().get(ExifTags.Base.Orientation, 1) in (5, 6, 7, 8):
                width, height = height, width
            grey = image.mode in ("1", "L", "LA", "F") or image.mode.startswith("I")
            return height, width, 1 if grey else 3
    except Exception:  # whatever is wrong is told when the photo is read
        return None
