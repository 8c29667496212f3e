"""Files as people bring them, made from one small picture."""

import io
import struct
import zlib

import cv2
import numpy as np
import tifffile
from PIL import Image, ImageCms

PIXELS = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
_NOISE = np.random.default_rng(1)
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def saved(form, pixels=PIXELS, **options):
    """The picture in a format of Pillow's."""
    buffer = io.BytesIO()
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(buffer, form, **options)
    return buffer.getvalue()


def tiff(pixels, **options):
    """The samples as TIFF."""
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, pixels, **options)
    return buffer.getvalue()


def by_opencv(ending, pixels):
    """RGB samples in a format of OpenCV's."""
    return cv2.imencode(ending, pixels[..., ::-1])[1].tobytes()


def chunk(kind, data, *, sound=True):
    """A PNG chunk; where it is not sound its checksum is wrong."""
    crc = zlib.crc32(kind + data) ^ (not sound)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc)


def with_chunk(kind, data, *, sound=True, png=None):
    """A PNG with one chunk more after its header."""
    png = saved("PNG") if png is None else png
    return png[:33] + chunk(kind, data, sound=sound) + png[33:]


def dng(pixels16, thumbnail):
    """A DNG whose first page is a thumbnail."""
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as writer:
        version = (50706, 1, 4, b"\1\4\0\0", True)
        writer.write(
            thumbnail,
            photometric="rgb",
            subfiletype=1,
            subifds=1,
            extratags=[version],
            metadata=None,
        )
        writer.write(pixels16, photometric="rgb", subfiletype=0, metadata=None)
    return buffer.getvalue()


def raw_dng(bayer, *, white=65535):
    """A DNG of a sensor with a mosaic of colours, as LibRaw reads it."""
    matrix = [n for value in (1, 0, 0, 0, 1, 0, 0, 0, 1) for n in (value, 1)]
    tags = [
        (33421, 3, 2, (2, 2), True),  # the mosaic's rows and columns
        (33422, 1, 4, b"\0\1\1\2", True),  # red, green, green, blue
        (50706, 1, 4, b"\1\4\0\0", True),
        (50708, 2, 0, "A Camera", True),
        (50717, 3, 1, white, True),
        (50721, 10, 9, matrix, True),
        (50728, 5, 3, (1, 1, 1, 1, 1, 1), True),
        (50778, 3, 1, 21, True),
    ]
    return tiff(bayer, photometric=32803, extratags=tags, metadata=None)


def heic(pixels, **options):
    """RGB samples of 8 bits, or 16, of which 10 are kept, as HEIC."""
    import pillow_heif

    buffer = io.BytesIO()
    if pixels.dtype == np.uint16:
        height, width, _ = pixels.shape
        made = pillow_heif.from_bytes("RGB;16", (width, height), pixels.tobytes())
    else:
        made = pillow_heif.from_pillow(Image.fromarray(pixels))
    made.save(buffer, quality=100, chroma=444, **options)
    return buffer.getvalue()


def with_tag(data, tag, *, at, value):
    """The file with another number (`at` 0), type (2), count (4), value or place (8) of a tag."""
    data, (start,) = bytearray(data), struct.unpack("<I", data[4:8])
    (count,) = struct.unpack("<H", data[start : start + 2])
    for entry in range(start + 2, start + 2 + 12 * count, 12):
        if data[entry : entry + 2] == struct.pack("<H", tag):
            size = 4 if at in (4, 8) else 2
            data[entry + at : entry + at + size] = value.to_bytes(size, "little")
    return bytes(data)


def random_samples(shape, dtype):
    """Noise of any value."""
    return _NOISE.integers(0, np.iinfo(dtype).max, shape, dtype=dtype, endpoint=True)
