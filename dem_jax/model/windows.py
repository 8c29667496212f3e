"""Where each patch's kernel holds: smooth windows over an image that sum to one at every pixel.

Positions are (row, column) in pixels, 0 at the centre of the first pixel.
"""

from typing import NamedTuple

import numpy as np


class Crops(NamedTuple):
    """Where the windows of a grid lie: each on a crop [h, w] of its own, all of one shape."""

    first: np.ndarray  # [P, 2] first row and column of each crop
    rows: np.ndarray  # [P, h] the windows' profiles along the rows of their crops
    cols: np.ndarray  # [P, w]

    @property
    def shape(self) -> tuple[int, int]:
        """h, w."""
        return self.rows.shape[1], self.cols.shape[1]


def windows(shape: tuple[int, int], grid: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """The separable windows of `blur.filter_flow`: w_p = rows[r, :, None] * cols[c, None, :].

    Bartlett-Hann windows w(x) = 0.62 - 0.48 |x| + 0.38 cos(2 pi x), |x| <= 1/2, of length
    2 hop, one every hop = ceil(size / (count + 1)) pixels (rounded up, so that none of the
    image is left uncovered), centred on the image. Neighbours sum to one: w(x) + w(x - 1/2) = 1.
    Beyond its centre the outermost window stays at one, up to the image's border.

    Args:
        shape: rows and columns of the latent image.
        grid: number of patches along rows and columns.

    Returns:
        float64 arrays [R, rows] and [C, cols], each column non-negative and summing to one.

    Raises:
        ValueError: a grid so fine that a patch would lie outside the image.

    >>> rows, cols = windows((34, 44), (2, 3))
    >>> rows.shape, cols.shape, bool(np.allclose(rows.sum(axis=0), 1))
    ((2, 34), (3, 44), True)
    """
    axes = []
    for n, count in zip(shape, grid, strict=True):
        hop, before = tiling(n, count)
        weights = np.zeros((count, count + 1, hop))
        for i, halves in enumerate(profiles(n, count)):
            weights[i, i : i + 2] = halves
        axes.append(weights.reshape(count, -1)[:, before : before + n])
    return axes[0], axes[1]


def crops(shape: tuple[int, int], grid: tuple[int, int], margin: int) -> Crops:
    """The `windows` of a grid, each on the part of the image where it is not zero and a margin.

    Args:
        shape: rows and columns of the image.
        grid: number of patches along rows and columns.
        margin: pixels around each window, as far as the image has them.

    >>> crops((34, 44), (2, 3), 2).shape
    (27, 26)
    """
    axes = []
    for n, weights in zip(shape, windows(shape, grid), strict=True):
        first = (weights > 0).argmax(axis=1) - margin
        length = min(int((weights > 0).sum(axis=1).max()) + 2 * margin, n)
        first = np.clip(first, 0, n - length)
        parts = np.take_along_axis(weights, first[:, None] + np.arange(length), axis=1)
        axes.append((first, parts.astype(np.float32)))
    (top, rows), (left, cols) = axes
    r, c = (i.ravel() for i in np.indices(grid))
    return Crops(np.stack([top[r], left[c]], axis=1), rows[r], cols[c])


def patch_centres(shape: tuple[int, int], grid: tuple[int, int]) -> np.ndarray:
    """[P, 2] centres of the windows on a latent image of that shape; ValueError as `windows`.

    >>> patch_centres((30, 40), (1, 3)).tolist()
    [[14.5, 9.5], [14.5, 19.5], [14.5, 29.5]]
    """
    axes = []
    for n, count in zip(shape, grid, strict=True):
        hop, before = tiling(n, count)
        axes.append((1 + np.arange(count)) * hop - before - 0.5)
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 2)


def tiling(n: int, count: int) -> tuple[int, int]:
    """Hop between windows along n pixels, and pixels of the first that lie before the image.

    >>> tiling(34, 2)
    (12, 1)
    """
    hop = -(-n // (count + 1))
    before = ((count + 1) * hop - n) // 2
    if count < 1 or before >= hop:
        raise ValueError(f"{count} patches do not fit along {n} pixels; use fewer, at least 1.")
    return hop, before


def profiles(n: int, count: int) -> np.ndarray:
    """[count, 2, hop] the rising and the falling half of every window along an axis of n pixels.

    >>> profiles(34, 2).shape
    (2, 2, 12)
    """
    hop, _ = tiling(n, count)
    x = (np.arange(hop) + 0.5) / (2 * hop) - 0.5
    rising = 0.62 - 0.48 * np.abs(x) + 0.38 * np.cos(2 * np.pi * x)
    halves = np.tile(np.stack([rising, 1.0 - rising]), (count, 1, 1))
    halves[0, 0] = 1.0
    halves[-1, 1] = 1.0
    return halves
