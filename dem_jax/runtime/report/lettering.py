"""Fonts for pictures: Pillow's own, or one of the system's where a name needs signs it lacks."""

import functools
import os
import pathlib
import unicodedata

from PIL import ImageFont

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

_NO_SIGN = "\uffff"  # drawn as fonts draw what they lack
# Fonts with many signs, those of Chinese, Japanese and Korean first, by their files' names.
_WIDE = (
    *("notosanscjk", "notoserifcjk", "sourcehansans", "wqy", "droidsansfallback", "unifont"),
    *("pingfang", "hiragino", "applesdgothic", "msyh", "msgothic", "malgun", "arialuni"),
    *("dejavusans.", "notosansregular", "freesans.", "liberationsansregular", "arial."),
)
_FOLDERS = (
    *("/usr/share/fonts", "/usr/local/share/fonts", "~/.local/share/fonts", "~/.fonts"),
    *("/System/Library/Fonts", "/Library/Fonts", "C:/Windows/Fonts"),
)
_MOST_FILES = 5000


def lettering(text: str, size: float) -> tuple[Font, str]:
    """A font for `text`, and what of it can be drawn: signs that no font has as codes."""
    own = ImageFont.load_default(size)
    if _draws(own, text):
        return own, text
    for path in _wide_fonts():
        font = _load(path, size)
        if font and _draws(font, text):
            return font, text
    return own, "".join(c if _draws(own, c) else _escaped(c) for c in text)


def _draws(font: Font, text: str) -> bool:
    if text.isascii():
        return True
    try:
        blank = bytes(font.getmask(_NO_SIGN))
        return all(c.isascii() or bytes(font.getmask(c)) != blank for c in set(text))
    except (UnicodeEncodeError, OSError, ValueError):
        return False


def _load(path: str, size: float) -> Font | None:
    try:
        return ImageFont.truetype(path, size)
    except OSError:
        return None


@functools.cache
def _wide_fonts() -> tuple[str, ...]:
    """Font files of the system that are known to hold many signs."""
    found: list[str] = []
    seen = 0
    for folder in _FOLDERS:
        for where, _, names in os.walk(os.path.expanduser(folder)):
            seen += len(names)
            found += [os.path.join(where, name) for name in names if _is_wide(name)]
            if seen > _MOST_FILES:
                return tuple(sorted(found))
    return tuple(sorted(found))


def _is_wide(name: str) -> bool:
    plain = pathlib.PurePath(name.lower().replace("-", "").replace("_", ""))
    return plain.suffix in (".ttf", ".otf", ".ttc") and plain.name.startswith(_WIDE)


def _escaped(sign: str) -> str:
    """A letter without its accents, or the sign's code."""
    plain = unicodedata.normalize("NFKD", sign).encode("ascii", "ignore").decode("ascii")
    return plain or sign.encode("ascii", "backslashreplace").decode("ascii")
