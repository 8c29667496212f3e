"""What all readers share: limits, quiet, and the sentence for a package that is missing."""

import contextlib
import importlib
import logging
import re
import threading
import warnings
from collections.abc import Iterator
from typing import Any

from PIL import Image

from dem_jax.runtime import streams
from dem_jax.runtime.files.photo import PhotoError

MAX_PIXELS = 500_000_000  # that are decoded; what is computed has limits of its own, see `memory`
_BOMB_PIXELS = 100_000_000  # from here on a file must be of a size that can hold them, and a pixel
_LEAST_BYTES = 1 / 9000  # takes so many bytes: of one bit, packed 1032 times by deflate
# Lines that tell nothing of pixels: tifffile's and libtiff's on tags that describe (but for the
# profile), are somebody's own, or count bytes (without which a picture is decoded whole or not at
# all), and JAX's and XLA's logs, which another thread may cause meanwhile.
_BESIDE = re.compile(
    r"TiffTag ((?!34675)\d{5}|27[0-2]|28[23]|296|30[56]|315|700) "
    r'|for "(Orientation|ResolutionUnit)" tag|of custom tag|ByteCounts'
    r"|^(WARNING:|ERROR:|[IWEF]\d{4} )"
)
_lock = threading.RLock()


def check_size(width: int, height: int, file_bytes: int) -> None:
    """Refuses what is no photo but an attack on the memory.

    Raises:
      PhotoError: with the limit.
    """
    count = width * height
    if count > MAX_PIXELS:
        raise PhotoError(
            f"has {count // 1_000_000} million pixels; at most {MAX_PIXELS // 1_000_000} million "
            "can be decoded, so save it smaller or in parts."
        )
    if count > _BOMB_PIXELS and file_bytes < count * _LEAST_BYTES:
        raise PhotoError(
            f"claims {count // 1_000_000} million pixels in {file_bytes} bytes, which no photo "
            "does; it was not decoded."
        )


@contextlib.contextmanager
def quiet() -> Iterator[list[str]]:
    """Keeps what decoders say from the user, who gets one sentence or a photo.

    Their errors, printed or logged, are in the list when it is over. One thread at a time: standard
    error and the settings of decoders are the whole process's.
    """
    with _lock, warnings.catch_warnings(), streams.libraries_heard() as heard, _logged(heard):
        warnings.simplefilter("ignore")
        before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None  # see `check_size`
        try:
            yield heard
        finally:
            Image.MAX_IMAGE_PIXELS = before


def of_pixels(line: str) -> bool:
    """Whether something that was heard may tell of damage that is seen.

    >>> of_pixels('_TIFFVSetField: Bad value 0 for "Orientation" tag.')
    False
    >>> of_pixels("LZWDecode: Corrupted LZW table at scanline 3")
    True
    >>> of_pixels("WARNING:2026-11-27 16:00:00,000:jax._src.xla_bridge:791: An NVIDIA GPU may be")
    False
    >>> of_pixels("E0000 00:00:1795798000.123456    1234 cuda_dnn.cc:8310] Unable to register")
    False
    """
    return not _BESIDE.search(line)


@contextlib.contextmanager
def _logged(heard: list[str]) -> Iterator[None]:
    """Errors that tifffile logs go into the list, and all else that it logs nowhere."""
    logger, handler = logging.getLogger("tifffile"), logging.Handler(logging.ERROR)
    handler.emit = lambda record: heard.append(record.getMessage())  # type: ignore[method-assign]
    before, logger.propagate = logger.propagate, False
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.propagate = before


def optional(package: str, extra: str, what: str) -> Any:
    """A package that reads a format of its own.

    Raises:
      PhotoError: naming the extra that brings it, where it is missing.
    """
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise PhotoError(
            f"is {what}, which needs the extra '{extra}': run 'pip install \"dem_jax[{extra}]\"'."
        ) from error
