"""What a JPEG XL file says of itself, so that it need not be decoded to be refused.

The format: ISO/IEC 18181-1 (the header begins the codestream, bits from the lowest up) and 18181-2
(the boxes that a codestream may lie in).
"""

from collections.abc import Iterator
from typing import NamedTuple

from dem_jax.runtime.files.photo import Damaged

_CODESTREAM = b"\xff\n"
_LONGEST = 32  # bytes of what is read of a header
_LENGTHS = (9, 13, 18, 30)  # bits of a side less one
_RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))  # width to height


class Header(NamedTuple):
    """The beginning of a header."""

    width: int  # before the picture is turned
    height: int
    animated: bool


def header(data: bytes) -> Header:
    r"""The header of a file.

    >>> header(b"\xff\n" + 0b1_001_00111_1.to_bytes(32, "little"))
    Header(width=64, height=64, animated=False)

    Raises:
      Damaged: where there is none.
    """
    stream = data if data.startswith(_CODESTREAM) else b"".join(_parts(data))
    if not stream.startswith(_CODESTREAM):
        raise Damaged("its header is wrong")
    bits = _Bits(stream[len(_CODESTREAM) :][:_LONGEST])
    return Header(*_size(bits), _is_animated(bits))


class _Bits:
    """Bits of a codestream, from the lowest of each byte up; zeros follow the last."""

    def __init__(self, data: bytes) -> None:
        self._left = int.from_bytes(data, "little")

    def take(self, count: int) -> int:
        """The next bits as a number."""
        found = self._left & ((1 << count) - 1)
        self._left >>= count
        return found


def _size(bits: _Bits) -> tuple[int, int]:
    """Width and height."""
    small = bits.take(1)
    height = _side(bits, small)
    ratio = bits.take(3)
    if not ratio:
        return _side(bits, small), height
    across, down = _RATIOS[ratio - 1]
    return height * across // down, height


def _side(bits: _Bits, small: int) -> int:
    return 8 * (1 + bits.take(5)) if small else 1 + bits.take(_LENGTHS[bits.take(2)])


def _is_animated(bits: _Bits) -> bool:
    """Whether several frames follow, which is not looked for behind a preview."""
    all_default = bits.take(1)
    if all_default or not bits.take(1):
        return False
    bits.take(3)  # orientation
    if bits.take(1):
        _size(bits)  # that it is meant to be shown at
    has_preview = bits.take(1)
    return not has_preview and bool(bits.take(1))


def _parts(data: bytes) -> Iterator[bytes]:
    """The codestream in a file of boxes: whole, or in parts that have numbers of four bytes."""
    at = 0
    while at + 8 <= len(data):
        length, kind, head = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8], 8
        if length == 1:
            length, head = int.from_bytes(data[at + 8 : at + 16], "big"), 16
        end = at + max(length, head) if length else len(data)
        if kind in (b"jxlc", b"jxlp"):
            yield data[at + head + (4 if kind == b"jxlp" else 0) : end]
        at = end
