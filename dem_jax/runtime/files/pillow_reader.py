"""Pictures that Pillow decodes: those with 8 bits a channel, whatever the format."""

import io
import re

import numpy as np
from PIL import Image, ImageCms, UnidentifiedImageError

from dem_jax.runtime.files import decoding, exif, jpeg_error, metadata, png
from dem_jax.runtime.files.photo import Damaged, Decoded, PhotoError

FORMATS = ("PNG", "JPEG", "TIFF", "WEBP", "BMP", "GIF", "PPM", "QOI", "JPEG2000", "AVIF")
_KNOWN_MODES = {"1": "L", "La": "LA", "RGBa": "RGBA", "RGBX": "RGB", "CMYK": "RGB", "YCbCr": "RGB"}
_END_OF_JPEG = b"\xff\xd9"
_LOSSLESS_FRAMES = (0xC3, 0xC7, 0xCB, 0xCF, 0xF7)  # the last is JPEG-LS
_FRAMES = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}
_NO_MARKERS = bytes(range(1, 255))  # which 255 would begin
_NOT_THERE = 128  # what libjpeg makes of blocks that are not in the file
_BLOCK = 8  # rows and columns of a block of one channel of a JPEG
_SPACE = rb"(?:\s|#[^\r\n]*[\r\n])+"  # between the words of a PNM's header, with comments
_DEEP_PNM = re.compile(rb"P[56]" + 3 * (_SPACE + rb"(\d{1,9})") + rb"\s")
_LEAST_DECODED = 0.5  # part of a picture that must be there


def read(data: bytes) -> Decoded:
    """A picture of any of these formats."""
    image = _open(data)
    image.load()
    return _decoded(image)


def read_jpeg(data: bytes) -> Decoded:
    """A JPEG; where its end is missing, what is there."""
    try:
        found = read(data)
    except UnidentifiedImageError:
        _require_usual_jpeg(data)
        raise
    except OSError as error:
        if "truncated" not in str(error):
            raise
        data += _END_OF_JPEG
        found = read(data)
    else:
        if not _ends_early(data, found.samples):
            return found
    missing = _missing_blocks(np.any(found.samples != _filling(data), axis=-1), _unit(data))
    if missing.mean() > 1 - _LEAST_DECODED:
        raise Damaged(f"{missing.mean():.0%} of it is missing")
    notes = [*found.notes, "the end of the file is missing" + left_out(missing)]
    return found._replace(notes=notes, missing=missing if missing.any() else None)


def read_png(data: bytes) -> Decoded:
    """A PNG of any depth, its damage beside the pixels repaired."""
    whole = png.repaired(data)
    image = _open(whole.data, len(data))
    if whole.decoded < _LEAST_DECODED:
        raise Damaged(f"{1 - whole.decoded:.0%} of it is missing")
    image.load()  # Pillow notices damage that OpenCV passes over
    found = _decoded(image)
    if whole.data[24:25] == b"\x10":  # Pillow truncates 16 bits
        samples = decode_with_opencv(png.pixels_only(whole.data))
        grey_with_alpha = data[25:26] == b"\x04" and samples.shape[-1] == 4
        found = found._replace(samples=samples[..., [0, 3]] if grey_with_alpha else samples)
    missing = None
    if whole.decoded < 1:
        missing = np.zeros(found.samples.shape[:2], bool)
        missing[round(whole.decoded * len(missing)) :] = True
    notes = [*whole.notes, *found.notes]
    return found._replace(notes=notes, colour=whole.colour, xmp=whole.xmp, missing=missing)


def read_avif(data: bytes) -> Decoded:
    """An AVIF; Pillow gives 8 bits of those with more."""
    found = read(data)
    at = data.find(b"av1C")
    deep = at > 0 and len(data) > at + 6 and data[at + 6] & 0x40
    notes = [*found.notes, "it has more than 8 bits a channel, of which 8 are read"]
    return found._replace(notes=notes) if deep else found


def read_pnm(data: bytes) -> Decoded:
    """A PBM, PGM or PPM of 8 or 16 bits."""
    deep = _DEEP_PNM.match(data)
    if not deep or int(deep[3]) <= 255:
        return read(data)
    width, height, white = map(int, deep.groups())
    decoding.check_size(width, height, len(data))
    plain = data[:2] + b" %d %d %d\n" % (width, height, white) + data[deep.end() :]
    return Decoded(_widened(decode_with_opencv(plain), white), _widening_note(white))


def read_jpeg2000(data: bytes) -> Decoded:
    """A JPEG 2000 of 8 to 16 bits; Pillow gives 8 of those in colour."""
    at = data.find(b"\xff\x51")  # the marker of the image's size
    depth = (data[at + 40] & 0x7F) + 1 if 0 < at < len(data) - 40 else 8
    if depth <= 8:
        return read(data)
    decoding.check_size(*_open(data).size, len(data))
    samples, white = decode_with_opencv(data), 2**depth - 1
    return Decoded(_widened(samples, white), _widening_note(white))


def decode_with_opencv(data: bytes) -> np.ndarray:
    """[H, W, S] samples in RGB order at full bit depth."""
    import cv2

    level = cv2.utils.logging.setLogLevel(0)  # it would print its own messages beside ours
    try:
        samples = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    finally:
        cv2.utils.logging.setLogLevel(level)
    if samples is None:
        raise Damaged("its pixels cannot be decoded")
    if samples.ndim == 2:
        return samples[..., None]
    return samples[..., [2, 1, 0, 3][: samples.shape[2]]]


def left_out(missing: np.ndarray) -> str:
    """What is said of pixels that are not in a file."""
    return f", and {max(0.01, missing.mean()):.0%} of the picture" if missing.any() else ""


def _open(data: bytes, file_bytes: int | None = None) -> Image.Image:
    image = Image.open(io.BytesIO(data), formats=FORMATS)
    decoding.check_size(*image.size, file_bytes or len(data))
    return image


def _decoded(image: Image.Image) -> Decoded:
    notes = []
    frames = getattr(image, "n_frames", 1)
    if frames > 1 and image.format != "MPO":
        notes.append(f"only the first of {frames} frames is used")
    block, orientation = exif.read(image)
    profile = image.info.get("icc_profile")
    if image.mode == "CMYK":
        notes.append("CMYK was converted to RGB, so colours may shift a little")
        image, profile = _without_inks(image, profile), None
    samples = np.asarray(image.convert(_plain_mode(image)))
    samples = samples[..., None] if samples.ndim == 2 else samples
    return Decoded(
        samples,
        notes,
        orientation,
        profile,
        block,
        image.info.get("xmp"),
        metadata.resolution(image.info),
        coding_std=jpeg_error.coding_std(image, samples),
    )


def _without_inks(image: Image.Image, profile: bytes | None) -> Image.Image:
    """A CMYK picture as RGB, by its profile where that can be used."""
    if not profile:
        return image
    try:
        inks = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        rgb = ImageCms.createProfile("sRGB")
        return ImageCms.profileToProfile(image, inks, rgb, outputMode="RGB") or image
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return image


def _plain_mode(image: Image.Image) -> str:
    """The mode among L, LA, RGB, RGBA that holds the picture of an 8-bit image."""
    if image.mode in ("L", "LA", "RGB", "RGBA"):
        return f"{image.mode}A" if "transparency" in image.info else image.mode
    if image.mode in ("P", "PA"):
        return "RGBA" if image.mode == "PA" or "transparency" in image.info else "RGB"
    if image.mode.startswith("I;16") and image.format == "PNG":
        return "L"  # a placeholder: 16 bits are read by others
    if image.mode not in _KNOWN_MODES:
        raise PhotoError(
            f"has {image.mode} pixels; grey, RGB, palette and CMYK can be read, so "
            "convert it to RGB."
        )
    return _KNOWN_MODES[image.mode]


def _require_usual_jpeg(data: bytes) -> None:
    """Refuses the kinds of JPEG that libjpeg does not know; a frame's marker tells them.

    Raises:
      PhotoError: naming the kind.
    """
    at = 2
    while data[at : at + 1] == b"\xff" and len(data) > at + 4:
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        if marker in _FRAMES:
            bits = data[at + 4]
            if marker in _LOSSLESS_FRAMES or bits != 8:
                kind = "a lossless JPEG" if marker in _LOSSLESS_FRAMES else f"a JPEG of {bits} bits"
                raise PhotoError(f"is {kind}, which cannot be read; save it as PNG or TIFF.")
            return
        at += 2 + length


def _ends_early(data: bytes, samples: np.ndarray) -> bool:
    """Whether a JPEG's end marker comes before its last block, which libjpeg does not tell.

    Bytes before the marker change nothing in a picture that is whole, and fill what is missing.
    """
    if not np.all(samples[-1:, -1:] == _filling(data)):
        return False
    end = data.rfind(_END_OF_JPEG)
    filled = read(data[:end] + _NO_MARKERS + data[end:]).samples
    return not np.array_equal(filled, samples)


def _filling(data: bytes) -> np.ndarray:
    """The pixel [S] that is read of a JPEG's blocks that are not in the file."""
    image = _open(data)
    if image.mode != "CMYK":
        return np.full(len(image.getbands()), _NOT_THERE, np.uint8)
    inks = Image.new("CMYK", (1, 1), (255 - _NOT_THERE,) * 4)  # which JPEGs hold inverted
    rgb = _without_inks(inks, image.info.get("icc_profile")).convert("RGB")
    return np.asarray(rgb)[0, 0]


def _missing_blocks(other: np.ndarray, unit: tuple[int, int]) -> np.ndarray:
    """[H, W] which blocks at the end of a JPEG libjpeg has filled with grey.

    The data ends in the block before, which is not whole either. Where colours are stored for
    fewer pixels, those at the border of a block are mixed with its neighbour's.

    Args:
      other: [H, W] whether a pixel is other than that grey.
      unit: rows and columns of a block.
    """
    from scipy import ndimage

    height, width = other.shape
    down, across = (-(-side // step) for side, step in zip((height, width), unit, strict=True))
    coloured = np.zeros((down * unit[0], across * unit[1]), bool)
    coloured[:height, :width] = other
    inner = coloured.reshape(down, unit[0], across, unit[1])[:, 1:-1, :, 1:-1]
    there = np.flatnonzero(inner.any(axis=(1, 3)))
    first = there[-1] if len(there) else 0
    missing = np.arange(down * across).reshape(down, across) >= first
    if missing.sum() == 1:  # the last block: of the data only the end marker is missing
        return np.zeros((height, width), bool)
    missing = missing.repeat(unit[0], axis=0).repeat(unit[1], axis=1)[:height, :width]
    return ndimage.binary_dilation(missing, np.ones((3, 3), bool))


def _unit(data: bytes) -> tuple[int, int]:
    """Rows and columns of the blocks in which a JPEG is stored."""
    parts = getattr(
        _open(data), "layer", ()
    )  # of each channel its name, and how often it is stored
    across, down = (max(p[i] for p in parts) if len(parts) > 1 else 1 for i in (1, 2))
    return _BLOCK * down, _BLOCK * across


def _widened(samples: np.ndarray, white: int) -> np.ndarray:
    """uint16 samples 0..white as 0..65535."""
    if samples.dtype != np.uint16:
        raise Damaged("its pixels cannot be decoded")
    if white == 65535:
        return samples
    return np.rint(np.minimum(samples, white) * (65535 / white)).astype(np.uint16)


def _widening_note(white: int) -> list[str]:
    return [] if white == 65535 else [f"its {white.bit_length()} bits are written as 16"]
