"""Formats that need a package of their own: HEIC of phones, raw files of cameras, JPEG XL."""

import io
from typing import Any

import numpy as np

from dem_jax.runtime.files import decoding, exif, jxl
from dem_jax.runtime.files.photo import Decoded, PhotoError


def read_heif(data: bytes) -> Decoded:
    """A HEIC picture, turned upright by its decoder; 10 and 12 bits become 16."""
    heif = open_heif(data)
    decoding.check_size(heif.size[0], heif.size[1], len(data))
    samples = np.asarray(heif)
    samples = samples[..., None] if samples.ndim == 2 else samples
    info = heif.info
    bits = info.get("bit_depth", 8)
    notes = [f"its {bits} bits a channel are written as 16"] if bits > 8 else []
    if getattr(heif, "premultiplied_alpha", False) and samples.shape[-1] == 4:
        samples = straightened(samples)
    profile, block = info.get("icc_profile"), exif.read_block(info.get("exif"))
    return Decoded(samples, notes, icc_profile=profile, exif=block, xmp=info.get("xmp"))


def open_heif(data: bytes) -> Any:
    """A HEIC file of which only the header is read."""
    pillow_heif = decoding.optional("pillow_heif", "heif", "a HEIC picture")
    return pillow_heif.open_heif(data, convert_hdr_to_8bit=False)


def read_raw(data: bytes) -> Decoded:
    """A camera's raw file, developed without a curve: sRGB's primaries, linear, 16 bits.

    White balance is the camera's; the sensor's orientation is applied.
    """
    from dem_jax.runtime.files import colour

    with open_raw(data) as raw:
        decoding.check_size(raw.sizes.width, raw.sizes.height, len(data))
        light = raw.postprocess(
            gamma=(1, 1), no_auto_bright=True, output_bps=16, use_camera_wb=True
        )
    samples = colour.from_light((light / np.float32(65535)).astype(np.float32))
    samples = np.rint(65535 * np.clip(samples, 0, 1)).astype(np.uint16)
    notes = ["raw data was developed with the camera's white balance, and is deblurred as light"]
    return Decoded(samples, notes, exif=exif.read_tiff(data), linear=True)


def open_raw(data: bytes) -> Any:
    """A raw file of which only the header is read."""
    rawpy = decoding.optional("rawpy", "raw", "a camera's raw file")
    try:
        return rawpy.imread(io.BytesIO(data))
    except rawpy.LibRawFileUnsupportedError as error:
        raise PhotoError(
            "is a raw file of a kind that LibRaw does not know; convert it to DNG or TIFF."
        ) from error


def read_jxl(data: bytes) -> Decoded:
    """A JPEG XL picture of 8 or 16 bits or floating point."""
    imagecodecs = decoding.optional("imagecodecs", "codecs", "a JPEG XL picture")
    header = jxl.header(data)
    decoding.check_size(header.width, header.height, len(data))
    samples = imagecodecs.jpegxl_decode(data, index=0)
    samples = samples[..., None] if samples.ndim == 2 else samples
    notes = ["its colour profile and EXIF data are not read"]
    if header.animated:
        notes.append("only the first of its frames is used")
    return Decoded(samples.astype(np.float32) if samples.dtype.kind == "f" else samples, notes)


def straightened(samples: np.ndarray) -> np.ndarray:
    """[H, W, S] whose colour was multiplied by alpha, the last channel, as it was before."""
    peak = np.iinfo(samples.dtype).max if samples.dtype.kind == "u" else 1
    colour, alpha = samples[..., :-1].astype(np.float64), samples[..., -1:].astype(np.float64)
    colour = np.clip(colour * peak / np.where(alpha > 0, alpha, peak), 0, peak)
    colour = np.rint(colour) if samples.dtype.kind == "u" else colour
    return np.concatenate([colour.astype(samples.dtype), samples[..., -1:]], axis=-1)
