"""What the camera wrote beside the pixels: kept, but for what deblurring makes untrue."""

from PIL import ExifTags, Image

from dem_jax import __version__
from dem_jax.runtime.files import metadata

SOFTWARE = f"dem_jax {__version__}"
_BASE = ExifTags.Base
# A TIFF file's tags also say how its pixels are stored; only these describe the photo.
_DESCRIPTIVE = (_BASE.Make, _BASE.Model, _BASE.DateTime, _BASE.Artist, _BASE.Copyright)
_BLOCKS = (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo)
_SIZES = (_BASE.ExifImageWidth, _BASE.ExifImageHeight)  # wrong after turning or cropping


def read(image: Image.Image) -> tuple[bytes | None, int]:
    """The EXIF block of `image`, without orientation and size, and the orientation (1 to 8).

    None and 1 where it cannot be read.
    """
    try:
        found = image.getexif()
    except Exception:
        return None, 1
    return _cleaned(found, own_tags=image.format == "TIFF")


def read_orientation(block: bytes) -> int:
    """The orientation (1 to 8) that a block holds; 1 where it holds none, or cannot be read."""
    found = Image.Exif()
    try:
        found.load(block)
    except Exception:
        return 1
    return metadata.checked_orientation(found.get(_BASE.Orientation, 1))


def read_block(block: bytes | None) -> bytes | None:
    """The same of a block whose picture is upright."""
    found = Image.Exif()
    try:
        found.load(block or b"")
    except Exception:
        return None
    return _cleaned(found)[0]


def read_tiff(data: bytes) -> bytes | None:
    """The EXIF block of a TIFF file whose pixels Pillow may not be able to read."""
    try:
        found = Image.Exif()
        found.load(b"Exif\0\0" + data)
        return _cleaned(found, own_tags=True)[0]
    except Exception:
        return None


def _cleaned(exif: Image.Exif, *, own_tags: bool = False) -> tuple[bytes | None, int]:
    """Block and orientation; those with `own_tags` hold a TIFF file's own beside the camera's.

    A block that cannot be read or written again is None: a maker's odd tags are not worth a photo.
    """
    orientation = metadata.checked_orientation(exif.pop(_BASE.Orientation, 1))
    try:
        if own_tags:
            exif = _descriptive(exif)
        if ExifTags.IFD.Exif in exif:
            camera = exif.get_ifd(ExifTags.IFD.Exif)
            for tag in _SIZES:
                camera.pop(tag, None)
        block = exif.tobytes() if len(exif) else None
    except Exception:
        block = None
    return block, orientation


def stamped(block: bytes | None) -> bytes:
    """The block with this program as the software that wrote the picture."""
    exif = Image.Exif()
    if block:
        exif.load(block)
    exif[_BASE.Software] = SOFTWARE
    try:
        return exif.tobytes()
    except Exception:  # what was read can always be written but for a maker's odd tags
        return stamped(None)


def _descriptive(exif: Image.Exif) -> Image.Exif:
    kept = Image.Exif()
    for tag in _DESCRIPTIVE:
        if tag in exif:
            kept[tag] = exif[tag]
    for block in _BLOCKS:
        if block in exif:
            kept[block] = exif.get_ifd(block)
    return kept
