"""TIFF and what is built on it: 16 bits and floats, microscopes' stacks, and cameras' DNG."""

import functools
import io
import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from dem_jax.runtime.files import (
    decoding,
    exif,
    extra_readers,
    metadata,
    pillow_reader,
    tiff_repair,
    tiff_unpacking,
)
from dem_jax.runtime.files.photo import Damaged, Decoded, PhotoError

_ORIENTATION, _XMP, _PROFILE, _DNG = 274, 700, 34675, 50706
_X_RESOLUTION, _Y_RESOLUTION, _RESOLUTION_UNIT = 282, 283, 296
_PER_INCH = {2: 1.0, 3: 2.54}  # unit of the resolution -> factor; others are no lengths
_ASSOCIATED, _UNASSOCIATED = 1, 2  # kinds of extra samples that are alpha
_SENSOR = (32803, 34892)  # kinds of colour of raw data: mosaic, and linear
# Compressions that Pillow and OpenCV know: none, fax, LZW, JPEG, packed bits, deflate, LZMA, zstd.
_LIBTIFFS = (1, 2, 3, 4, 5, 6, 7, 8, 32773, 32946, 34925, 50000)
_GREY = (0, 1, 4)  # kinds of colour that are none, whether 0 is white or black, and masks
_PLAIN = (0, 1, 2)  # kinds of colour whose samples are grey or RGB
_PILLOWS = (*_PLAIN, 3, 4, 5, 6, 8)  # palettes, masks, inks, YCbCr, Lab
_LEAST_DECODED = 0.5  # part of a picture that must be there
_REDUCED = 1  # bit of a page that is another one in fewer pixels
_MOST_PAGES = 64  # that are looked at
_TYPES = (np.uint8, np.uint16, np.float16, np.float32, np.float64)


def read(data: bytes) -> Decoded:
    """A TIFF picture, or a raw file whose frame is TIFF's (DNG, NEF, ARW)."""
    import tifffile

    place, notes = None, []
    whole = tiff_repair.repaired(data)
    with tifffile.TiffFile(io.BytesIO(whole.data)) as tiff:
        if _is_raw(tiff):
            return extra_readers.read_raw(data)
        if not whole.sound:
            raise Damaged("its header is wrong")
        if _DNG in tiff.pages.first.tags:
            page = _largest(tiff)
            place = None if page is tiff.pages.first else page.offset
        elif (tiff.is_ome or tiff.is_imagej) and (stack := _colour_stack(tiff, len(data))):
            return stack
        elif at := _first_whole(tiff):
            place = tiff.pages[at].offset
            notes = [
                f"only page {at + 1} of {len(tiff.pages)} is used, before which are thumbnails"
            ]
        elif len(tiff.pages) > 1:
            notes = [f"only the first of {len(tiff.pages)} pages is used"]
    found = _picture(data, place)
    return found._replace(notes=[*notes, *found.notes])


def _picture(data: bytes, place: int | None) -> Decoded:
    """The picture whose directory is at `place`, or the first.

    Decoders see an uncompressed one where its compressed pieces are odd, or where they fail.
    """
    repaired = functools.partial(tiff_repair.repaired, data, place)
    whole = repaired()
    if not whole.sound:
        raise Damaged("its header is wrong")
    unpacked = tiff_unpacking.unpacked(data, place) if whole.odd else None
    if unpacked is None:
        try:
            return _filled(data, lambda filling: repaired(filling=filling))
        except (PhotoError, MemoryError):
            raise
        except Exception:
            unpacked = None if whole.odd else tiff_unpacking.unpacked(data, place)
            if unpacked is None:
                raise
    _require_half(unpacked.lacking)
    return _filled(data, unpacked.filled)


def _filled(data: bytes, made: Callable[[bytes], tiff_repair.Repaired]) -> Decoded:
    """A picture of which a part is missing: what the filling changes is not there.

    Args:
      data: of the file as it was.
      made: gives the file with the byte that is given for those that are missing.
    """
    whole = made(b"\0")
    _require_half(whole.lacking)
    found = _read_page(data, whole)
    if not whole.lacking:
        return found
    missing = (found.samples != _read_page(data, made(b"\xff")).samples).any(axis=-1)
    if not missing.any():
        return found
    notes = [*found.notes, whole.lack + pillow_reader.left_out(missing)]
    return found._replace(notes=notes, missing=missing)


def _require_half(lacking: float) -> None:
    if lacking > 1 - _LEAST_DECODED:
        raise Damaged(f"{lacking:.0%} of it is missing")


def shape(data: bytes) -> tuple[int, int, int] | None:
    """Rows, columns and channels of a TIFF picture, by its header; None where it is raw data.

    Raises:
      Damaged: where the header does not tell.
      PhotoError: for what is no photo but an attack on the memory.
    """
    import tifffile

    whole = tiff_repair.repaired(data)
    with tifffile.TiffFile(io.BytesIO(whole.data)) as tiff:
        if _is_raw(tiff):
            return None
        if not whole.sound:
            raise Damaged("its header is wrong")
        page: Any = tiff.pages[_first_whole(tiff)]
        if _DNG in tiff.pages.first.tags:
            page = _largest(tiff)
        sides = page.imagelength, page.imagewidth
        decoding.check_size(*sides, len(data))
        turned = metadata.checked_orientation(page.tags.valueof(_ORIENTATION, 1)) >= 5
        grey = page.photometric in _GREY and page.samplesperpixel < 3
        return *(sides[::-1] if turned else sides), 1 if grey else 3


def _is_raw(tiff: Any) -> bool:
    return any(page.photometric in _SENSOR for page in _pages(tiff))


def _pages(tiff: Any) -> Iterator[Any]:
    """The pages of a file and those below them."""
    for page in tiff.pages[:_MOST_PAGES]:
        yield page
        if getattr(page, "subifds", None):
            yield from page.pages[:_MOST_PAGES]


def _first_whole(tiff: Any) -> int:
    """The number of the first page that is no thumbnail, or 0."""
    pages = enumerate(tiff.pages[:_MOST_PAGES])
    return next((at for at, page in pages if not page.subfiletype & _REDUCED), 0)


def _largest(tiff: Any) -> Any:
    """The photo among a file's pages, which is no thumbnail, preview or mask."""
    full = [page for page in _pages(tiff) if not page.subfiletype]
    return max(full or _pages(tiff), key=lambda page: page.imagelength * page.imagewidth)


def _colour_stack(tiff: Any, file_bytes: int) -> Decoded | None:
    """Three channels that ImageJ or OME keeps on pages of their own; None where there are none."""
    series = tiff.series[0]
    sizes = dict(zip(series.axes, series.shape, strict=True))
    if sizes.get("C") != 3 or "S" in sizes or series.dtype not in _TYPES:
        return None
    decoding.check_size(int(series.size), 1, file_bytes)
    _require_all(series.pages, file_bytes)
    stacked = _decompressed(series)
    if stacked is None:
        raise _needs_codecs(tiff.pages.first)
    planes = stacked[tuple(slice(None) if a in "CYX" else 0 for a in series.axes)]
    order = [axis for axis in series.axes if axis in "CYX"]
    samples = planes.transpose([order.index(axis) for axis in "YXC"])
    count = series.size // samples.size
    notes = [f"only the first of {count} colour pictures is used"] if count > 1 else []
    return _beside(tiff.pages.first, samples, notes, None)


def _read_page(data: bytes, whole: tiff_repair.Repaired) -> Decoded:
    """The first picture of a file that was repaired; `data` is the file as it was."""
    import tifffile

    with tifffile.TiffFile(io.BytesIO(whole.data)) as tiff:
        page = tiff.pages.first
        width, height = max(page.imagewidth, page.tilewidth), max(page.imagelength, page.tilelength)
        decoding.check_size(width, height * page.imagedepth, len(data))
        if page.samplesperpixel > 4:
            raise PhotoError(
                f"has {page.samplesperpixel} channels; grey and RGB, with alpha or without, can be "
                "read, so choose the channels first."
            )
        few = page.bitspersample < 8
        packed = few or 8 < page.bitspersample < 16
        if page.photometric not in _PLAIN or (few and page.samplesperpixel == 1):
            return _by_pillow(page, data, whole)
        if not packed and page.dtype not in _TYPES:
            kind = f"type {page.dtype}" if page.dtype else f"{page.bitspersample} bits"
            raise PhotoError(
                f"has pixels of {kind}; 8 or 16 bit or floating point can be read, so convert it."
            )
        _require_all([page])
        samples = _by_tifffile(page, packed)
        if samples is None and page.dtype == np.uint8 and page.compression in _LIBTIFFS:
            return _by_pillow(page, data, whole)
        if samples is None:
            samples = _by_opencv(page, whole.data)
        if page.photometric == tifffile.PHOTOMETRIC.MINISWHITE and samples.shape[-1] < 3:
            white = np.iinfo(samples.dtype).max if samples.dtype.kind == "u" else 1
            samples[..., 0] = white - samples[..., 0]
        samples, notes = _without_unspecified(samples, [int(kind) for kind in page.extrasamples])
        if packed:
            notes.append(
                f"its {page.bitspersample} bits a channel are written as {8 * samples.itemsize}"
            )
        return _beside(page, samples, [*whole.notes, *notes], data)


def _by_pillow(page: Any, data: bytes, whole: tiff_repair.Repaired) -> Decoded:
    """A picture of 8 bits or fewer whose samples are no colours yet: palettes, inks, fax."""
    colour = int(page.photometric)
    if colour not in _PILLOWS or page.bitspersample > 8:
        raise PhotoError(
            f"has colours that cannot be read (PhotometricInterpretation {colour}, "
            f"{page.bitspersample} bits); grey (0, 1) and RGB (2) can, and with 8 bits palettes "
            "(3), CMYK (5) and YCbCr (6), so convert it to RGB."
        )
    _require_part(len(page.dataoffsets) - page.dataoffsets.count(0), len(page.dataoffsets))
    found = pillow_reader.read(tiff_repair.repaired(whole.data, page.offset).data)
    return found._replace(notes=[*whole.notes, *found.notes], exif=exif.read_tiff(data))


def _require_all(pages: Iterable[Any], file_bytes: float = math.inf) -> None:
    """Refuses pages of whose strips or tiles some are not in the file: tifffile makes them black.

    A place of 0 says so, and a length of 0 too, but for a single one that needs none.

    Raises:
      Damaged: with the part that is missing.
    """
    there = all_ = 0
    for page in pages:
        if page is None:  # of a stack
            all_ += 1
            continue
        single = len(page.dataoffsets) == 1 and page.keyframe.is_contiguous
        lengths = (1,) if single else page.databytecounts
        pieces = zip(page.dataoffsets, lengths, strict=False)
        there += sum(at > 0 and 0 < length <= file_bytes - at for at, length in pieces)
        all_ += math.prod(page.keyframe.chunked)
    _require_part(there, all_)


def _require_part(there: int, all_: int) -> None:
    if there < all_:
        raise Damaged(f"{1 - there / all_:.0%} of it is missing")


def _by_tifffile(page: Any, packed: bool) -> np.ndarray | None:
    """[H, W, S] samples of a page; None where tifffile needs another package for them."""
    import tifffile

    if packed:
        what = f"a TIFF file with {page.bitspersample}-bit packed pixels"
        decoding.optional("imagecodecs", "codecs", what)
    samples = _decompressed(page)
    if samples is None:
        return None
    if page.planarconfig == tifffile.PLANARCONFIG.SEPARATE and page.samplesperpixel > 1:
        planes_first = samples.shape[0] == page.samplesperpixel
        samples = np.moveaxis(samples, 0, -1) if planes_first else samples
    samples = samples.reshape(page.imagelength, page.imagewidth, page.samplesperpixel)
    if packed:
        kind = np.uint8 if page.bitspersample < 8 else np.uint16
        samples = np.rint(samples * (np.iinfo(kind).max / (2**page.bitspersample - 1))).astype(kind)
    return samples


def _decompressed(pages: Any) -> np.ndarray | None:
    """The samples of a page or a series; None where tifffile needs another package for them."""
    try:
        return pages.asarray()
    except ImportError:
        return None
    except ValueError as error:
        if "imagecodecs" not in str(error):
            raise
        return None


def _needs_codecs(page: Any) -> PhotoError:
    return PhotoError(
        f"is a TIFF file compressed by {page.compression.name}, which needs the extra "
        "'codecs': run 'pip install \"dem_jax[codecs]\"', or save it uncompressed."
    )


def _by_opencv(page: Any, data: bytes) -> np.ndarray:
    """[H, W, S] samples of a page of more than 8 bits that tifffile cannot decompress by itself.

    OpenCV makes noise of planes that lie apart, and black of compressions that it does not know.
    """
    import tifffile

    known = page.compression in _LIBTIFFS and page.dtype in (np.uint16, np.float32)
    if not known or page.planarconfig == tifffile.PLANARCONFIG.SEPARATE:
        raise _needs_codecs(page)
    samples = pillow_reader.decode_with_opencv(data)
    if samples.dtype != page.dtype or samples.shape[-1] != page.samplesperpixel:
        raise Damaged("its pixels cannot be decoded")
    return samples


def _without_unspecified(samples: np.ndarray, extra: list[int]) -> tuple[np.ndarray, list[str]]:
    """Colour and alpha, not multiplied by it; a channel beside them that is no alpha is left out.

    Three channels of which two are unspecified are colour, whatever they are called.
    """
    if not extra or samples.shape[-1] == 3:
        return samples, []
    if extra[-1] == _ASSOCIATED:
        return extra_readers.straightened(samples), []
    if extra[-1] == _UNASSOCIATED:
        return samples, []
    return samples[..., :-1], ["a channel that is neither colour nor alpha was left out"]


def _beside(page: Any, samples: np.ndarray, notes: list[str], data: bytes | None) -> Decoded:
    """The samples with what the page's tags say of them."""
    tags = page.tags
    return Decoded(
        samples,
        notes,
        metadata.checked_orientation(tags.valueof(_ORIENTATION, 1)),
        tags.valueof(_PROFILE),
        exif.read_tiff(data) if data else None,
        tags.valueof(_XMP),
        _resolution(tags),
    )


def _resolution(tags: Any) -> tuple[float, float] | None:
    try:
        factor = _PER_INCH[tags.valueof(_RESOLUTION_UNIT, 2)]
        across, down = (
            factor * top / bottom
            for top, bottom in (tags.valueof(_X_RESOLUTION), tags.valueof(_Y_RESOLUTION))
        )
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None
    return metadata.checked_resolution(across, down)
