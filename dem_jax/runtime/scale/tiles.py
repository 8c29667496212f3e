"""A large photo in parts: overlapping tiles that are restored one by one and blended smoothly.

Every tile has the same shape, so one compiled program serves all. Of a tile's result the `margin`
next to a border inside the photo is dropped, since the blur carries unknown light across it; the
next `ramp` pixels fade into the neighbouring tile. Fading windows are normalised to sum to one.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np


class Tiling(NamedTuple):
    """How photos are cut into tiles."""

    size: int  # pixels along each side of a tile
    margin: int  # of a tile that is dropped
    ramp: int  # over which neighbours fade into each other


class Tile(NamedTuple):
    """One tile: where it lies and how much it counts."""

    rows: slice
    cols: slice
    window: np.ndarray  # [tile rows, tile columns] float32 in [0, 1]


def parse_size(text: str) -> int | None:
    """Reads `auto` (None) or a number of pixels, 0 for no tiles.

    Raises:
      ValueError: for anything else.
    """
    if text == "auto":
        return None
    if not text.isdigit():
        raise ValueError(f"--tile_size={text} must be auto, 0 or a number of pixels.")
    return int(text)


def make_tiling(size: int, kernel_size: int) -> Tiling:
    """Margins and ramps of one kernel, ramps of 16 pixels at least.

    Raises:
      ValueError: if so small a tile leaves nothing inside its margins.
    """
    tiling = Tiling(size, kernel_size, max(16, kernel_size))
    least = 2 * _overlap(tiling)
    if size < least:
        raise ValueError(
            f"tile_size={size} is too small for kernel_size={kernel_size}; give at least {least}."
        )
    return tiling


def cut(height: int, width: int, tiling: Tiling) -> list[Tile]:
    """Tiles that cover a photo of that size, row by row."""
    down, across = (_axis(length, tiling) for length in (height, width))
    return [
        Tile(rows, cols, np.outer(fade_down, fade_across))
        for rows, fade_down in down
        for cols, fade_across in across
    ]


def blend(
    photo: np.ndarray,
    tiles: list[Tile],
    restore: Callable[[np.ndarray, Tile], np.ndarray],
) -> np.ndarray:
    """The whole picture [H, W, D] float32, restored tile after tile.

    Args:
      photo: [H, W, C].
      tiles: from `cut`.
      restore: (a tile of the photo [h, w, C], where it is) -> what is made of it, [h, w, D].
    """
    picture = None
    total = np.zeros(photo.shape[:2], np.float32)
    for tile in tiles:
        total[tile.rows, tile.cols] += tile.window
    for tile in tiles:
        share = tile.window / total[tile.rows, tile.cols]
        restored = restore(photo[tile.rows, tile.cols], tile)
        if picture is None:
            picture = np.zeros((*photo.shape[:2], restored.shape[-1]), np.float32)
        picture[tile.rows, tile.cols] += share[..., None] * restored
    assert picture is not None  # `cut` gives one tile at least
    return picture


def _overlap(tiling: Tiling) -> int:
    return 2 * tiling.margin + tiling.ramp


def _axis(length: int, tiling: Tiling) -> list[tuple[slice, np.ndarray]]:
    """Places and fading windows along one axis; the last tile is moved back into the photo."""
    size = min(tiling.size, length)
    step = size - _overlap(tiling)
    count = 1 if size == length else 1 + -(-(length - size) // step)
    starts = [round(i * (length - size) / max(1, count - 1)) for i in range(count)]
    return [
        (slice(start, start + size), _fade(size, tiling, start > 0, start + size < length))
        for start in starts
    ]


def _fade(size: int, tiling: Tiling, before: bool, after: bool) -> np.ndarray:
    """0 in the margins, 1 inside, a smooth step between; no fading at the photo's own border."""
    place = (np.arange(size) + 0.5 - tiling.margin) / tiling.ramp
    rising = np.clip(place, 1e-6, 1)  # never quite zero: at least one tile counts everywhere
    rising = rising * rising * (3 - 2 * rising)
    window = np.ones(size)
    if before:
        window = window * rising
    if after:
        window = window * rising[::-1]
    return window.astype(np.float32)
