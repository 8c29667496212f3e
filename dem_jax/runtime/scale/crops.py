"""Which parts of a large photo tell its blur: textured in every direction, and not saturated."""

from typing import NamedTuple

import numpy as np

_LUMA = np.array((0.299, 0.587, 0.114), np.float32)  # Rec. 601
_CLIPPED = 254.5 / 255
_BLOCK = 2  # pixels along each side of what gradients are taken of
_SATURATION_AVERSION = 8  # a crop with 10 % of clipped pixels scores 0.9^8 = 0.43


class Square(NamedTuple):
    """A square part of a photo."""

    top: int
    left: int
    score: float  # higher is better; only good for comparing


def choose(photo: np.ndarray, size: int, grid: tuple[int, int]) -> list[Square]:
    """The best crop for every patch of a grid, row by row.

    The score is the smaller eigenvalue of the structure tensor, sum grad f grad f^T over the crop
    (Shi and Tomasi, CVPR 1994): it is high only where edges run in several directions, and edges of
    one direction do not show the blur along themselves. Gradients are those of block averages, as
    the finest scale of a blurred photo is mostly noise. Clipped pixels lower the score.

    Args:
      photo: [H, W, C] in [0, 1].
      size: pixels along each side of a crop, at most min(H, W).
      grid: rows and columns of patches; a crop's centre lies in its patch where the size allows.

    Returns:
      rows x columns crops.
    """
    height, width = (n // _BLOCK * _BLOCK for n in photo.shape[:2])
    plane = photo[:height, :width] @ _LUMA if photo.shape[-1] == 3 else photo[:height, :width, 0]
    clipped = np.any(photo[:height, :width] >= _CLIPPED, axis=-1).astype(np.float32)
    plane, clipped = (_blocks(x) for x in (plane, clipped))
    down, across = np.gradient(plane)
    side = max(1, size // _BLOCK)
    step = max(1, side // 8)
    sums = [
        _window_sums(x, side)[::step, ::step]
        for x in (down * down, across * across, down * across, clipped)
    ]
    a, b, c, bad = sums
    least = (a + b) / 2 - np.sqrt((a - b) ** 2 / 4 + c * c)
    scores = np.maximum(least, 0) * (1 - bad / side**2) ** _SATURATION_AVERSION
    return [
        _best(scores, rows, cols, step * _BLOCK)
        for rows in _patches(scores.shape[0], grid[0])
        for cols in _patches(scores.shape[1], grid[1])
    ]


def align(kernels: np.ndarray, reference: int) -> np.ndarray:
    """Shifts every kernel [P, k, k] by whole pixels to where it agrees best with one of them.

    Kernels that were estimated apart leave the place of their picture open; neighbouring pictures
    must not be displaced against each other. A kernel that would lose mass over an edge stays.
    """
    aligned = []
    anchor = np.conj(np.fft.rfft2(kernels[reference]))
    size = kernels.shape[-1]
    for kernel in kernels:
        overlap = np.fft.irfft2(np.fft.rfft2(kernel) * anchor, s=kernel.shape)
        shift = -np.array(np.unravel_index(np.argmax(overlap), overlap.shape))
        shift = (shift + size // 2) % size - size // 2
        moved = np.roll(kernel, shift, (0, 1))
        lost = np.ones((size, size), bool)
        inner = [slice(max(0, s), size + min(0, s)) for s in shift]
        lost[inner[0], inner[1]] = False
        aligned.append(kernel if moved[lost].sum() > 0.01 else moved)
    return np.stack(aligned)


def _blocks(x: np.ndarray) -> np.ndarray:
    """Means over blocks of a plane whose sides they divide."""
    rows, cols = (n // _BLOCK for n in x.shape)
    return x.reshape(rows, _BLOCK, cols, _BLOCK).mean((1, 3))


def _window_sums(x: np.ndarray, side: int) -> np.ndarray:
    """Sums over all squares of that side."""
    total = np.pad(np.cumsum(np.cumsum(x, 0, dtype=np.float64), 1), ((1, 0), (1, 0)))
    return total[side:, side:] - total[:-side, side:] - total[side:, :-side] + total[:-side, :-side]


def _patches(count: int, parts: int) -> list[slice]:
    """`count` candidates divided into parts, none of them empty."""
    starts = [min(i * count // parts, count - 1) for i in range(parts)]
    return [
        slice(start, max(start + 1, (i + 1) * count // parts)) for i, start in enumerate(starts)
    ]


def _best(scores: np.ndarray, rows: slice, cols: slice, step: int) -> Square:
    part = scores[rows, cols]
    row, col = np.unravel_index(np.argmax(part), part.shape)
    return Square(int(rows.start + row) * step, int(cols.start + col) * step, float(part[row, col]))
