"""What kind of file something is, told by its first bytes and not by its name."""

import pathlib
from typing import NamedTuple

HEAD = 512  # bytes that tell
# Endings under which people keep pictures; a file with one of them is taken to be meant as one.
ENDINGS = tuple(
    ".png .apng .jpg .jpeg .jpe .jfif .mpo .tif .tiff .webp .bmp .dib .gif .pbm .pgm .ppm .pnm "
    ".qoi .jp2 .j2k .jpf .jpx .jxl .avif .heic .heics .heif .hif "
    ".dng .nef .nrw .cr2 .cr3 .crw .arw .sr2 .raf .orf .rw2 .pef .srw .3fr .iiq .x3f".split()
)
READABLE = (
    "PNG, JPEG, TIFF, WebP, BMP, GIF, PNM, JPEG 2000, JPEG XL, AVIF, HEIC or a camera's raw file"
)


class Format(NamedTuple):
    """A kind of file."""

    name: str  # as people say it
    picture: bool = True  # whether it holds a photo
    reader: str = ""  # which reader takes it, see `images`; "" for none

    @property
    def called(self) -> str:
        """The name with its article, as it is spoken.

        >>> Format("AVIF").called, Format("RW2 raw").called, Format("HEIC").called
        ('an AVIF', 'an RW2 raw', 'a HEIC')
        >>> Format("icon").called, Format("SVG drawing").called
        ('an icon', 'an SVG drawing')
        """
        vowel = self.name.startswith(("A", "E", "O", "RW", "SVG", "X3", "i"))
        return f"{'an' if vowel else 'a'} {self.name}"


_PILLOW, _RAW = "pillow", "raw"
_TEXT = Format("text file", False)
_STARTS = (
    (b"\x89PNG", Format("PNG", reader="png")),
    (b"\xff\xd8\xff", Format("JPEG", reader="jpeg")),
    (b"II*\0\x10\0\0\0CR", Format("CR2 raw", reader=_RAW)),
    (b"II*\0", Format("TIFF", reader="tiff")),
    (b"MM\0*", Format("TIFF", reader="tiff")),
    (b"II+\0", Format("TIFF", reader="tiff")),
    (b"MM\0+", Format("TIFF", reader="tiff")),
    (b"GIF87a", Format("GIF", reader=_PILLOW)),
    (b"GIF89a", Format("GIF", reader=_PILLOW)),
    (b"qoif", Format("QOI", reader=_PILLOW)),
    (b"\0\0\0\x0cjP  \r\n\x87\n", Format("JPEG 2000", reader="jpeg2000")),
    (b"\xffO\xffQ", Format("JPEG 2000", reader="jpeg2000")),
    (b"\0\0\0\x0cJXL \r\n\x87\n", Format("JPEG XL", reader="jxl")),
    (b"\xff\n", Format("JPEG XL", reader="jxl")),
    (b"FUJIFILMCCD-RAW", Format("RAF raw", reader=_RAW)),
    (b"IIRO", Format("ORF raw", reader=_RAW)),
    (b"IIRS", Format("ORF raw", reader=_RAW)),
    (b"MMOR", Format("ORF raw", reader=_RAW)),
    (b"IIU\0", Format("RW2 raw", reader=_RAW)),
    (b"FOVb", Format("X3F raw", reader=_RAW)),
    (b"8BPS", Format("Photoshop (PSD)")),
    (b"v/1\x01", Format("OpenEXR")),
    (b"#?RADIANCE", Format("Radiance HDR")),
    (b"II\xbc\x01", Format("JPEG XR")),
    (b"gimp xcf", Format("GIMP (XCF)")),
    (b"\0\0\x01\0", Format("icon", False)),
    (b"%PDF", Format("PDF document", False)),
    (b"%!PS", Format("PostScript document", False)),
    (b"PK\x03\x04", Format("ZIP archive or office document", False)),
    (b"\x1f\x8b", Format("gzip archive", False)),
    (b"\x1aE\xdf\xa3", Format("video", False)),
    (b"\0\x05\x16\x07", Format("macOS resource file", False)),
    (b"version https://git-lfs", Format("Git LFS pointer", False)),
)
_HEIF = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
_AVIF = {b"avif", b"avis"}
_PNM = {b"P1", b"P2", b"P3", b"P4", b"P5", b"P6"}


def identify(head: bytes) -> Format | None:
    """The kind of a file that begins with `head`; None where it is not known."""
    for start, found in _STARTS:
        if head.startswith(start):
            return found
    for tell in (_riff, _boxes, _bitmap, _portable):
        if kind := tell(head):
            return kind
    return _text(head)


def identify_file(path: pathlib.Path) -> Format | None:
    """`identify` for a file; None also where it cannot be opened."""
    try:
        with open(path, "rb") as file:
            return identify(file.read(HEAD))
    except OSError:
        return None


def _riff(head: bytes) -> Format | None:
    if head[:4] != b"RIFF":
        return None
    return (
        Format("WebP", reader=_PILLOW) if head[8:12] == b"WEBP" else Format("video or sound", False)
    )


def _boxes(head: bytes) -> Format | None:
    """Files of ISO's boxes: what they are is in the brands of the first one."""
    if head[4:8] != b"ftyp":
        return None
    size = min(int.from_bytes(head[:4], "big"), len(head))
    major = head[8:12]
    brands = {major, *(head[at : at + 4] for at in range(16, size - 3, 4))}
    if major == b"crx ":
        return Format("CR3 raw", reader=_RAW)
    if major in _AVIF or (major not in _HEIF and brands & _AVIF):
        return Format("AVIF", reader="avif")
    if major in (b"mif1", b"msf1") and brands & _AVIF and not brands & {b"heic", b"heix"}:
        return Format("AVIF", reader="avif")
    if brands & _HEIF:
        return Format("HEIC", reader="heif")
    return Format("video", False)


def _bitmap(head: bytes) -> Format | None:
    header_size = int.from_bytes(head[14:18], "little")
    known = head[:2] == b"BM" and header_size in (12, 16, 40, 52, 56, 64, 108, 124)
    return Format("BMP", reader=_PILLOW) if known else None


def _portable(head: bytes) -> Format | None:
    known = head[:2] in _PNM and head[2:3].isspace()
    return Format("PNM", reader="pnm") if known else None


def _text(head: bytes) -> Format | None:
    if not head or b"\0" in head:
        return None
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<!doctype html", b"<html")):
        return Format("web page (HTML)", False)
    if b"<svg" in start:
        return Format("SVG drawing", False)
    try:
        head[:-4].decode("utf-8")  # the last character may be cut
    except UnicodeDecodeError:
        return None
    return _TEXT
