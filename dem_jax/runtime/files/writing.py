"""Writing results as the photo was: its bit depth, alpha, profile and EXIF."""

import io
import os
import pathlib

import numpy as np
from PIL import Image

from dem_jax.runtime.files import atomic, completion, exif, png
from dem_jax.runtime.files.photo import Photo


def write_photo(path: str | os.PathLike, pixels: np.ndarray, like: Photo) -> None:
    """Writes `pixels` [H, W, C] in [0, 1] with the bit depth, alpha, profile and EXIF of `like`.

    Where `like` is a part of a picture, the rest is put around it. The ending of `path` chooses the
    format: `.png` (8 or 16 bits; 16 for floating-point photos) or `.tiff` (16 bits or float32). The
    file is written whole or not at all.
    """
    path = pathlib.Path(path)
    pixels = completion.complete(np.asarray(pixels), like)
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
