"""What all readers share: limits, quiet, and the sentence for a package that is missing."""

import contextlib
import importlib
import logging
import re
import threading
import warnings
from collections.abc import Iterator
from typing import Any

from PIL import Image, TiffImagePlugin

from dem_jax.runtime import streams
from dem_jax.runtime.files.photo import PhotoError

MAX_PIXELS = 500_000_000  # that are decoded; what is computed has limits of its own, see `memory`
_BOMB_PIXELS = 100_000_000  # from here on a file must be of a size that can hold them, and a pixel
_LEAST_BYTES = 1 / 9000  # takes so many bytes: of one bit, packed 1032 times by deflate
# How lines of Python's and of absl's logs begin, which JAX and XLA write. No decoder does so.
_LOG = re.compile(r"(DEBUG|INFO|WARNING|ERROR|CRITICAL):|[IWEF]\d{4} ")
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
        before = Image.MAX_IMAGE_PIXELS, TiffImagePlugin.READ_LIBTIFF
        Image.MAX_IMAGE_PIXELS = None  # see `check_size`
        TiffImagePlugin.READ_LIBTIFF = True  # Pillow by itself takes YCbCr for four channels
        try:
            yield heard
        finally:
            Image.MAX_IMAGE_PIXELS, TiffImagePlugin.READ_LIBTIFF = before


def is_decoders(line: str) -> bool:
    """Whether something that was heard is a decoder's, not JAX's in another thread.

    Decoders are given files without what lies beside the pixels, as far as they would complain of
    it (`png`, `tiff_repair`), so that what they say concerns the picture.

    >>> is_decoders("LZWDecode: Corrupted LZW table at scanline 3")
    True
    >>> is_decoders("WARNING:2026-11-27 16:00:00,000:jax._src.xla_bridge:791: An NVIDIA GPU may be")
    False
    >>> is_decoders("E0000 00:00:1795798000.123456    1234 cuda_dnn.cc:8310] Unable to register")
    False
    """
    return not _LOG.match(line)


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
