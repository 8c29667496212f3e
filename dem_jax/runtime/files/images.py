"""Reading photos into [H, W, C] float32 in [0, 1] and writing results as the photo was.

Which reader takes a file is told by its first bytes (`formats`). What the file held besides the
pixels (alpha, bit depth, profile, EXIF) travels in `Photo`, so that `write_photo` can put it back.
"""

import io
import os
import pathlib
from collections.abc import Callable, Mapping

import numpy as np
from PIL import ExifTags, Image

from dem_jax.runtime.files import (
    atomic,
    colour,
    decoding,
    exif,
    extra_readers,
    formats,
    framing,
    names,
    photo,
    pillow_reader,
    png,
    tiff_reader,
)
from dem_jax.runtime.files.photo import Decoded, Photo, PhotoError

__all__ = [
    "EXTENSIONS",
    "Photo",
    "PhotoError",
    "encode_png",
    "read_photo",
    "shape_of",
    "write_photo",
]

EXTENSIONS = formats.ENDINGS
_READERS: Mapping[str, Callable[[bytes], Decoded]] = {
    "png": pillow_reader.read_png,
    "jpeg": pillow_reader.read_jpeg,
    "pillow": pillow_reader.read,
    "pnm": pillow_reader.read_pnm,
    "jpeg2000": pillow_reader.read_jpeg2000,
    "avif": pillow_reader.read_avif,
    "tiff": tiff_reader.read,
    "heif": extra_readers.read_heif,
    "raw": extra_readers.read_raw,
    "jxl": extra_readers.read_jxl,
}


def read_photo(path: str | os.PathLike, *, crop: colour.Crop | None = None) -> Photo:
    """Reads a picture of 8 or 16 bits a channel, or a floating-point TIFF, or a part of it.

    Palettes become RGB; CMYK becomes RGB with a note; EXIF rotation is applied; raw data of cameras
    is developed.

    Raises:
      PhotoError: naming the file, what is wrong with it and what is allowed.
      ValueError: for a crop outside the picture.
    """
    shown = names.printable(os.fspath(path))
    try:
        data = pathlib.Path(path).read_bytes()
    except OSError as error:
        raise PhotoError(f"{shown} cannot be read: {error.strerror or error}.") from error
    kind = formats.identify(data[: formats.HEAD])
    if kind is None or not kind.reader:
        raise PhotoError(f"{shown} {_what_it_is(data, kind)}")
    try:
        with decoding.quiet():
            decoded = _READERS[kind.reader](data)
    except PhotoError as error:
        raise PhotoError(f"{shown} {error}") from error
    except Exception as error:  # decoders raise whatever they like on damaged files
        what = f"{shown} is a {kind.name} file that is damaged or incomplete"
        raise PhotoError(f"{what}: {_why(error)}.") from error
    try:
        return photo.make(decoded, crop)
    except PhotoError as error:
        raise PhotoError(f"{shown} {error}") from error


def write_photo(path: str | os.PathLike, pixels: np.ndarray, like: Photo) -> None:
    """Writes `pixels` [H, W, C] in [0, 1] with the bit depth, alpha, profile and EXIF of `like`.

    Where `like` is a part of a picture, the rest is put around it. The ending of `path` chooses the
    format: `.png` (8 or 16 bits; 16 for floating-point photos) or `.tiff` (16 bits or float32). The
    file is written whole or not at all.
    """
    path = pathlib.Path(path)
    pixels = framing.complete(np.asarray(pixels), like)
    if path.suffix == ".tiff":
        data = _encode_tiff(pixels, like)
    elif like.bit_depth == 8:
        samples = _with_alpha(_quantize(pixels, np.uint8), like.alpha, 255)
        data = _with_metadata(
            encode_png(samples.squeeze(-1) if samples.shape[-1] == 1 else samples), like
        )
    else:
        samples = _with_alpha(_quantize(pixels, np.uint16), like.alpha, 65535)
        data = _with_metadata(png.encode_png16(samples), like)
    atomic.write_bytes(path, data)


def encode_png(picture: np.ndarray) -> bytes:
    """PNG file of `picture` [H, W] or [H, W, 2 to 4] uint8."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG")
    return buffer.getvalue()


def shape_of(path: str | os.PathLike) -> tuple[int, int, int] | None:
    """Rows, columns and channels of a picture, by its header alone; None where it does not tell."""
    try:
        with decoding.quiet():
            return _shape_of(pathlib.Path(path))
    except Exception:  # whatever is wrong is told when the photo is read
        return None


def _shape_of(path: pathlib.Path) -> tuple[int, int, int] | None:
    kind = formats.identify_file(path)
    reader = kind.reader if kind else ""
    if reader == "heif":
        heif = extra_readers.open_heif(path.read_bytes())
        return *heif.size[::-1], 1 if heif.mode.startswith(("L", "I")) else 3
    if reader == "tiff":
        data = path.read_bytes()
        if tiff_reader.is_raw(data):
            reader = "raw"
        elif size := tiff_reader.full_size(data):
            return *size, 3
    if reader == "raw":
        with extra_readers.open_raw(path.read_bytes()) as raw:
            turned = raw.sizes.flip in (5, 6)
            sides = raw.sizes.iheight, raw.sizes.iwidth
        return *(sides[::-1] if turned else sides), 3
    with Image.open(path, formats=pillow_reader.FORMATS) as image:
        width, height = image.size
        if image.getexif().get(ExifTags.Base.Orientation, 1) in (5, 6, 7, 8):
            width, height = height, width
        grey = image.mode in ("1", "L", "LA", "F") or image.mode.startswith("I")
        return height, width, 1 if grey else 3


def _what_it_is(data: bytes, kind: formats.Format | None) -> str:
    """Why a file is not read: what it is, and what is read."""
    if not data:
        return "is an empty file, not a picture."
    if kind is None:
        return f"is not a picture that can be read; {formats.READABLE} can."
    if kind.picture:
        return f"is a {kind.name} file, which cannot be read; save it as PNG or TIFF."
    return f"is not a picture but {kind.name}; {formats.READABLE} can be read."


def _why(error: Exception) -> str:
    if isinstance(error, Image.UnidentifiedImageError):
        return "its header is wrong"
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__


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


def _with_metadata(data: bytes, like: Photo) -> bytes:
    """The PNG file `data` with everything that travels beside the pixels of `like`."""
    added = list(like.colour)
    if like.icc_profile:
        added.append(png.profile_chunk(like.icc_profile))
    if like.dpi:
        added.append(png.resolution_chunk(like.dpi))
    added.append((b"eXIf", exif.stamped(like.exif).removeprefix(b"Exif\0\0")))
    if like.xmp:
        added.append(png.xmp_chunk(like.xmp))
    return png.with_chunks(data, added)


def _encode_tiff(pixels: np.ndarray, like: Photo) -> bytes:
    """float32, or the 16 bits of a photo that has them."""
    import tifffile

    if like.bit_depth == 32:
        samples = _with_alpha(pixels.astype(np.float32), like.alpha, 1.0)
    else:
        samples = _with_alpha(_quantize(pixels, np.uint16), like.alpha, 65535)
    buffer = io.BytesIO()
    channels = samples.shape[-1]
    extra = ["unassalpha"] if channels in (2, 4) else []
    tags = [(700, 1, len(like.xmp), like.xmp, True)] if like.xmp else []
    tifffile.imwrite(
        buffer,
        samples[..., 0] if channels == 1 else samples,
        photometric="rgb" if channels >= 3 else "minisblack",
        extrasamples=extra,
        iccprofile=like.icc_profile,
        software=exif.SOFTWARE,
        resolution=like.dpi,
        resolutionunit="INCH" if like.dpi else None,
        extratags=tags,
        metadata=None,
    )
    return buffer.getvalue()
