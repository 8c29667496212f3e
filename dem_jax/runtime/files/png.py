"""PNG's chunks: 16-bit colour, which Pillow cannot write, and what lies beside the pixels.

Reading is left to decoders, once damage outside the pixels is repaired: bad text is no bad picture.
The format: PNG specification, third edition (W3C 2025).
"""

import struct
import zlib
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

SIGNATURE = b"\x89PNG\r\n\x1a\n"
XMP = b"XML:com.adobe.xmp"
COLOUR = (b"cICP", b"sRGB", b"gAMA", b"cHRM")  # what the values mean, beside iCCP
LARGEST = 1_000_000  # bytes of text or profile; Pillow and others refuse files with more
_TEXTS = (b"tEXt", b"zTXt", b"iTXt")
# Chunks beside the pixels that are used, and their length where it is fixed.
_KEPT = {b"tRNS": None, b"iCCP": None, b"eXIf": None, b"pHYs": 9}
_KEPT |= {b"cICP": 4, b"sRGB": 1, b"gAMA": 4, b"cHRM": 32}
_LARGEST_FILLED = 2**28  # bytes of pixels of a file that is completed
_COLOUR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}  # channels -> colour type of the header
_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # colour type -> samples a pixel
_FILTER_UP = 2  # each row is stored as its difference from the row above


class Chunk(NamedTuple):
    """A chunk of the file."""

    kind: bytes
    data: bytes
    sound: bool  # whether it is whole and its checksum right

    @property
    def critical(self) -> bool:
        """Whether there is no picture without it."""
        return not self.kind[0] & 0x20


class Repaired(NamedTuple):
    """A file that decoders read."""

    data: bytes
    notes: list[str]  # what was left out
    colour: tuple[tuple[bytes, bytes], ...]  # chunks that say what the values mean
    xmp: bytes | None
    decoded: float  # part of the rows that are there


def chunks(data: bytes) -> Iterator[Chunk]:
    """The chunks of a file up to its end, the last one perhaps cut short."""
    at = len(SIGNATURE)
    while at + 8 <= len(data):
        length, kind = struct.unpack(">I4s", data[at : at + 8])
        body, crc = data[at + 8 : at + 8 + length], data[at + 8 + length : at + 12 + length]
        sound = len(crc) == 4 and zlib.crc32(kind + body) == int.from_bytes(crc, "big")
        yield Chunk(kind, body, sound)
        if kind == b"IEND":  # what follows is none of PNG's
            return
        at += 12 + length


def repaired(data: bytes) -> Repaired:
    """The file without text, without what is damaged beside the pixels, and with a proper end."""
    found = list(chunks(data))
    notes, kept, xmp = [], [], None
    for chunk in found:
        if chunk.kind == b"IEND":
            kept.append(Chunk(chunk.kind, b"", sound=True))
        elif chunk.critical:
            kept.append(chunk)
        elif not chunk.sound:
            notes.append(f"a damaged {_name(chunk.kind)} chunk was left out")
        elif chunk.kind in _TEXTS:
            keyword, text = _text(chunk)
            if text is None:
                notes.append("text that is damaged or longer than 1 MB was left out")
            elif keyword == XMP:
                xmp = text
        elif chunk.kind == b"iCCP" and _inflate(chunk.data.partition(b"\0")[2][1:]) is None:
            notes.append("a colour profile that is damaged or larger than 1 MB was left out")
        elif chunk.kind == b"acTL":
            notes.append("only the first of its frames is used")
        elif _KEPT.get(chunk.kind, -1) in (None, len(chunk.data)):
            kept.append(chunk)
    if found and found[-1].kind == b"IEND":
        body, decoded = b"".join(_pack(c) for c in kept), 1.0
    else:
        body, decoded = _completed(kept)
        if decoded:
            notes.append("the end of the file is missing")
    colour = tuple((c.kind, c.data) for c in kept if c.kind in COLOUR)
    return Repaired(SIGNATURE + body, list(dict.fromkeys(notes)), colour, xmp, decoded)


def pixels_only(data: bytes) -> bytes:
    """The file without what lies beside the pixels, of which decoders complain where it is odd."""
    kept = [chunk for chunk in chunks(data) if chunk.critical or chunk.kind == b"tRNS"]
    return SIGNATURE + b"".join(map(_pack, kept))


def encode_png16(pixels: np.ndarray) -> bytes:
    """PNG file of `pixels` [H, W, C] uint16, C = 1 grey, 2 grey + alpha, 3 RGB, 4 RGBA."""
    height, width, channels = pixels.shape
    header = struct.pack(">IIBBBBB", width, height, 16, _COLOUR_TYPES[channels], 0, 0, 0)
    rows = pixels.astype(">u2").reshape(height, width * channels).view(np.uint8)
    above = np.vstack([np.zeros_like(rows[:1]), rows[:-1]])
    filtered = np.empty((height, 1 + rows.shape[1]), np.uint8)
    filtered[:, 0] = _FILTER_UP
    filtered[:, 1:] = rows - above  # modulo 256, as the format wants it
    return SIGNATURE + b"".join(
        _chunk(kind, data)
        for kind, data in (
            (b"IHDR", header),
            (b"IDAT", zlib.compress(filtered.tobytes(), 6)),
            (b"IEND", b""),
        )
    )


def with_chunks(data: bytes, added: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The file `data` with further chunks after its header."""
    header = len(SIGNATURE) + 25
    return data[:header] + b"".join(_chunk(*pair) for pair in added) + data[header:]


def profile_chunk(profile: bytes) -> tuple[bytes, bytes]:
    """The chunk of an ICC profile."""
    return b"iCCP", b"ICC Profile\0\0" + zlib.compress(profile)


def xmp_chunk(xmp: bytes) -> tuple[bytes, bytes]:
    """The chunk of an XMP packet."""
    return b"iTXt", XMP + b"\0\0\0\0\0" + xmp


def resolution_chunk(dpi: tuple[float, float]) -> tuple[bytes, bytes]:
    """The chunk of a resolution, which PNG holds in pixels per metre."""
    across, down = (max(1, min(round(value / 0.0254), 2**31 - 1)) for value in dpi)
    return b"pHYs", struct.pack(">IIB", across, down, 1)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _pack(chunk: Chunk) -> bytes:
    """As it was: a checksum that is wrong stays wrong where the pixels are meant."""
    packed = _chunk(chunk.kind, chunk.data)
    return packed if chunk.sound else packed[:-4] + bytes(4)


def _name(kind: bytes) -> str:
    return kind.decode("latin-1") if kind.isalpha() else "unknown"


def _inflate(data: bytes) -> bytes | None:
    """What was compressed; None where it is damaged, or larger than is worth its memory."""
    try:
        inflater = zlib.decompressobj()
        found = inflater.decompress(data, LARGEST)
    except zlib.error:
        return None
    return found if inflater.eof else None


def _text(chunk: Chunk) -> tuple[bytes, bytes | None]:
    """Keyword and text of a text chunk; None for text that is damaged or too long."""
    keyword, _, rest = chunk.data.partition(b"\0")
    if chunk.kind == b"zTXt":
        return keyword, _inflate(rest[1:])
    if chunk.kind == b"iTXt":
        compressed, rest = rest[:1] == b"\1", rest[2:]
        rest = rest.partition(b"\0")[2].partition(b"\0")[2]  # language, translated keyword
        if compressed:
            return keyword, _inflate(rest)
    return keyword, rest if len(rest) <= LARGEST else None


def _completed(kept: list[Chunk]) -> tuple[bytes, float]:
    """The chunks of a file whose end is missing, with black rows for those that are not there."""
    header = next((c.data for c in kept if c.kind == b"IHDR" and c.sound), b"")
    if len(header) != 13:
        return b"".join(map(_pack, kept)), 0.0
    width, height, depth, kind, _, _, interlaced = struct.unpack(">IIBBBBB", header)
    stride = 1 + -(-width * depth * _SAMPLES.get(kind, 1) // 8)
    if interlaced or stride * height > _LARGEST_FILLED:
        return b"".join(map(_pack, kept)), 0.0
    inflater = zlib.decompressobj()
    try:
        pixels = inflater.decompress(
            b"".join(c.data for c in kept if c.kind == b"IDAT"), stride * height
        )
    except zlib.error:
        return b"".join(map(_pack, kept)), 0.0
    rows = len(pixels) // stride
    filled = pixels[: rows * stride] + bytes(stride * (height - rows))
    before = [c for c in kept if c.kind not in (b"IDAT", b"IEND")]
    packed = b"".join(map(_pack, before)) + _chunk(b"IDAT", zlib.compress(filled, 1))
    return packed + _chunk(b"IEND", b""), rows / height if height else 0.0
