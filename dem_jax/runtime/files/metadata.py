"""Colour profile, XMP and resolution: what travels beside the pixels, as far as it stays true."""

import re
from collections.abc import Mapping
from typing import Any

_LARGEST_PROFILE = 1_000_000  # bytes; readers of PNG refuse more
_HEADER = 128  # bytes of a profile
_SPACES = {1: b"GRAY", 3: b"RGB "}
_ORIENTATION = re.compile(rb"""(tiff:Orientation(?:\s*=\s*["']|>)\s*)[1-8]""")
_MOST_DPI = 100_000


def checked_profile(profile: Any, channels: int) -> tuple[bytes | None, str]:
    """An ICC profile that fits the picture, or None and a note that says why not."""
    if not isinstance(profile, bytes) or not profile:
        return None, ""
    if len(profile) > _LARGEST_PROFILE:
        return None, f"its colour profile of {len(profile) / 1e6:.1f} MB is too large for PNG"
    if len(profile) <= _HEADER or profile[36:40] != b"acsp":
        return None, "its colour profile is damaged"
    if profile[16:20] != _SPACES[channels]:
        space = profile[16:20].decode("latin-1").strip()
        kind = "grey" if channels == 1 else "RGB"
        return None, f"its colour profile is for {space} and the picture is {kind}"
    return profile, ""


def upright_xmp(xmp: Any) -> bytes | None:
    """An XMP packet that no longer asks to turn the picture; None where there is none."""
    if isinstance(xmp, str):
        xmp = xmp.encode()
    if not isinstance(xmp, bytes) or not 0 < len(xmp) <= _LARGEST_PROFILE:
        return None
    return _ORIENTATION.sub(rb"\g<1>1", xmp)


def checked_orientation(orientation: Any) -> int:
    """EXIF's orientation, 1 to 8; 1, which is upright, for whatever else a file holds there."""
    return orientation if isinstance(orientation, int) and orientation in range(1, 9) else 1


def resolution(info: Mapping[Any, Any]) -> tuple[float, float] | None:
    """Pixels per inch of a picture that Pillow has opened; None where it has none."""
    try:
        across, down = map(float, info["dpi"])
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None
    return checked_resolution(across, down)


def checked_resolution(across: float, down: float) -> tuple[float, float] | None:
    """A resolution that a camera or scanner may have; 1 stands for none in many files."""
    return (across, down) if all(1 < value <= _MOST_DPI for value in (across, down)) else None
