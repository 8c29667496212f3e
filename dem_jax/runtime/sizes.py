"""What `auto` stands for: kernel size, patch grid and whether EM runs, by the photo's size."""

import dataclasses
import math
import os
import pathlib
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from dem_jax.config import DeblurConfig, require_odd
from dem_jax.start.look import shared_side

UNIFORM, NONUNIFORM, AUTO = "uniform", "nonuniform", "auto"
SMALLEST_SIDE = 16  # pixels; less holds no blur that could be told from the picture
# Few, so that photos share programs; steps of about a fifth above the smallest ones.
KERNEL_SIZES = (7, 9, 13, 19, 27, 31, 37, 45, 53, 63, 75, 89, 107, 127, 151)
CUT_OFF = 0.02  # of `border_mass`: what is more goes on beyond the window
_MIN_PATCH = 48  # pixels, and two kernels: within a patch the kernel must hardly change
_LARGEST_GRID = 6  # rows or columns
# Pixels of the largest photo that EM repairs at normal effort. In larger ones many edges tell the
# kernel, EM gains or loses a third of a decibel, and takes ten times as long as all else.
EM_PIXELS = 2**17
# Image units, the most that a file's rounding may be wrong by for EM to repair kernels at normal
# effort: it takes a JPEG's errors for detail, and loses half a decibel on average.
EM_CODING_STD = 0.002


class Sizes(NamedTuple):
    """Sizes as the user asks for them; None is `auto`."""

    blur: str
    kernel_size: int | Mapping[str, int] | None  # or by the photo's name, as in Lai's lists
    patch_grid: tuple[int, int] | None
    em_pixels: int | None = None  # of the largest photo that EM is run on; None: any


def resolve(
    config: DeblurConfig,
    sizes: Sizes,
    height: int,
    width: int,
    name: str,
    *,
    padded: bool = False,
    coding_std: float = 0.0,
) -> DeblurConfig:
    """`config` with kernel size, patch grid and EM for the photo called `name`, before it is seen.

    A first look makes the kernel size smaller, and decides on the grid where `blur` is auto. A
    `padded` photo gets those of its bucket. `coding_std` is `Given`'s, image units.

    Raises:
      ValueError: when the photo is too small, or `name` is not in the list of kernel sizes.
    """
    own = _resolved(config, sizes, height, width, name, coding_std)
    if not padded:
        return own
    rows, cols = shared_side(height), shared_side(width)
    return _resolved(config, sizes, rows, cols, name, coding_std)


def largest_kernel_size(short_side: int) -> int:
    """Odd, the largest kernel that is looked for: a third of the photo, and 151 pixels at most."""
    return min((short_side // 3) | 1, KERNEL_SIZES[-1])


def most_kernel_size(short_side: int) -> int:
    """Odd, the largest kernel that may be asked for: half of the photo."""
    return max(3, (short_side // 2 - 1) | 1)


def auto_kernel_size(short_side: int) -> int:
    """Odd kernel size: 31 for Levin's 255 pixels, growing with the square root of the side."""
    size = 31 * math.sqrt(short_side / 255)
    largest = (short_side // 4 - 1) | 1
    return max(3, min(round(size) | 1, largest, 101))


def border_mass(kernels: np.ndarray) -> float:
    """The share of a kernel's mass on the outermost two rings of its window, both together.

    Of kernels [P, k, k] the median: single patches of few edges tell nothing of the window.
    """
    inner = kernels[:, 2:-2, 2:-2].sum(axis=(1, 2))
    return float(np.median(1 - inner / np.maximum(kernels.sum(axis=(1, 2)), 1e-12)))


def auto_patch_grid(height: int, width: int, kernel_size: int) -> tuple[int, int]:
    """Rows and columns of patches, each at least two kernels wide, between 2 and 6 of them."""
    least = max(_MIN_PATCH, 2 * kernel_size)
    rows, cols = (max(2, min(round(side / least), _LARGEST_GRID)) for side in (height, width))
    return rows, cols


def parse_kernel_size(text: str) -> int | Mapping[str, int] | None:
    """Reads `auto`, a number, or a file with a photo's name and its size on each line.

    Raises:
      ValueError: for anything else, and for sizes that are even or less than 3.
    """
    if text == "auto":
        return None
    if text.lstrip("-").isdigit():
        return _checked(int(text), "kernel_size")
    path = pathlib.Path(os.path.expanduser(text))
    if not path.is_file():
        raise ValueError(
            f"kernel_size={text} must be an odd number, 'auto', or a file with a photo's name and "
            "its size on each line."
        )
    sizes = {}
    try:
        lines = path.read_text().splitlines()
    except OSError as error:
        why = f"The list of kernel sizes {text} cannot be read: {error.strerror}."
        raise ValueError(why) from error
    except UnicodeDecodeError as error:
        raise ValueError(
            f"The list of kernel sizes {text} is no text; give a file with a photo's name and its "
            "size on each line."
        ) from error
    for number, line in enumerate(lines, 1):
        words = line.rsplit(maxsplit=1)  # names may hold spaces
        if not words or line.lstrip().startswith("#"):
            continue
        if len(words) != 2 or not words[1].isdigit():
            raise ValueError(
                f"{text}, line {number}: '{line}' must be a photo's name and its size."
            )
        sizes[words[0].strip()] = _checked(int(words[1]), f"{text}, line {number}: kernel_size")
    return sizes


def parse_patch_grid(text: str) -> tuple[int, int] | None:
    """Reads `auto` or `ROWSxCOLS`.

    Raises:
      ValueError: for anything else.
    """
    if text == "auto":
        return None
    rows, _, cols = text.partition("x")
    if not (rows.isdigit() and cols.isdigit() and int(rows) and int(cols)):
        raise ValueError(f"patch_grid={text} must be ROWSxCOLS, such as 3x4, or 'auto'.")
    return int(rows), int(cols)


def _resolved(
    config: DeblurConfig, sizes: Sizes, height: int, width: int, name: str, coding_std: float
) -> DeblurConfig:
    short = min(height, width)
    if short < SMALLEST_SIDE:
        raise ValueError(
            f"{name} is {width}x{height} pixels, too small; at least "
            f"{SMALLEST_SIDE}x{SMALLEST_SIDE} are needed."
        )
    if isinstance(sizes.kernel_size, Mapping):
        if name not in sizes.kernel_size:
            raise ValueError(f"{name} is not in the list of kernel sizes; add a line for it.")
        kernel_size = sizes.kernel_size[name]
    elif config.warm_start:
        kernel_size = sizes.kernel_size or largest_kernel_size(short)
    else:
        kernel_size = sizes.kernel_size or auto_kernel_size(short)
    if short < 2 * kernel_size:
        largest = most_kernel_size(short)
        raise ValueError(
            f"{name} is {width}x{height} pixels, too small for kernel_size={kernel_size}, which "
            f"needs {2 * kernel_size} along each side; use kernel_size={largest} or less."
        )
    if sizes.blur == NONUNIFORM or sizes.patch_grid:
        grid = sizes.patch_grid or auto_patch_grid(height, width, kernel_size)
    else:
        grid = (1, 1)
    config = dataclasses.replace(config, kernel_size=kernel_size, patch_grid=grid)
    if not config.warm_start or sizes.em_pixels is None:
        return config
    repaired = height * width <= sizes.em_pixels and coding_std <= EM_CODING_STD
    return config if repaired else dataclasses.replace(config, em_iterations=0)


def _checked(size: int, what: str) -> int:
    require_odd(size, what)
    return size
