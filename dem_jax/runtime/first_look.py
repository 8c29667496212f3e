"""Before the start: the photo's kernels are looked for, and their size fixes all other shapes."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from dem_jax.config import DeblurConfig
from dem_jax.runtime import sizes
from dem_jax.start import comparison, views
from dem_jax.start.choice import Choice
from dem_jax.types import Given

# Of normalised sparsity: what a path, which has more freedom than one kernel, must gain over it.
_LEAST_WORTH = 0.002
_SURE = 0.98  # agreement: where candidates agree less, they are looked for again in more pixels
_ROOM = 1.1  # around a kernel: it may still change, and an overview shows it roughly
_TURNING_ROOM = 1.4  # around one kernel for the photo, where its corners may have longer ones
_LONG = 0.75  # of the crops' kernels that are no longer than this one: a few may be wrong
_FAINT, _MAIN_PART = 0.05, 0.1  # of the largest entry, of the mass: less does not count as extent
_GAP = 0.04  # of the window's side: what is nearer to each other is one part, as a dotted line is


class Turned(NamedTuple):
    """Whether one kernel explains a photo, and what says so; all is written to run.json."""

    turned: bool  # the blur differs across the photo
    gain: float  # log evidence per pixel of crops, of kernels of their own over one for all
    sparser: float  # how much sparser kernels of their own leave crops
    worth: float | None = None  # the same by a camera's path, where one was looked for


class FirstLook(NamedTuple):
    """What is known of a photo before its start."""

    config: DeblurConfig  # its kernel size fits to the photo's kernels, its grid to its blur
    given: Given  # with the kernel, or a grid of them
    choice: Choice  # of the overview, or of the closer look where there was one
    turned: Turned | None = None  # None: nobody asked


def first_look(
    call: Callable[..., Any],
    given: Given,
    config: DeblurConfig,
    wanted: sizes.Sizes | None = None,
) -> FirstLook:
    """Finds a photo's kernels in stages, each in a window that the one before has shown.

    First one kernel for the photo. Then, unless `wanted` says that the blur is uniform, crops of
    the photo are looked at, and where they say that the camera turned, or `wanted` does, its path
    is looked for, which gives a kernel for every patch, and again in wider windows where they cut
    it off. Unless `wanted` says otherwise, one kernel is kept where the path hardly leaves the
    photo sparser.

    The first window is the largest that the photo allows, whatever is asked for: a bound that is
    too large must not change the result.

    Args:
      call: (name of a solver's function, arguments) -> what it returns.
      given: the photo.
      config: its kernel size is the most that the kernel may have.
      wanted: as the user asks for them; None: uniform blur.
    """
    (height, width), bound = given.pixels.shape[:2], config.kernel_size
    largest = max(bound, sizes.largest_kernel_size(min(height, width)))
    wide = dataclasses.replace(config, kernel_size=largest, patch_grid=(1, 1))
    choice = call("overview", given, wide)
    chosen, scale = [np.asarray(choice.kernel)], views.overview_scale((height, width))
    if _is_doubtful(choice, (height, width)):
        choice = call("closer_look", given, np.asarray(choice.candidates), wide)
        chosen = [*chosen, np.asarray(choice.kernel)]
    # A small photo's candidates are compared again in the window that fits.
    seen = np.asarray(choice.candidates) if scale == 1 else np.stack(chosen)
    size = max(fitted(wide, each, scale).kernel_size for each in chosen)
    refined = dataclasses.replace(wide, kernel_size=size)
    kernel = np.asarray(call("refine", given, seen, refined))
    turned = None
    if wanted is not None and wanted.blur != sizes.UNIFORM:
        turned, several = _several(call, given, kernel, config, wanted)
        if several is not None:
            config, kernels = several
            return FirstLook(config, given._replace(kernel=kernels), choice, turned)
    fits = fitted(refined, kernel, 1.0)
    config = dataclasses.replace(fits, kernel_size=min(fits.kernel_size, bound))
    given = given._replace(kernel=_cropped(kernel, config.kernel_size))
    return FirstLook(config, given, choice, turned)


def _is_doubtful(choice: Choice, shape: views.Shape) -> bool:
    """Whether a closer look at a photo of `shape` may help.

    >>> _is_doubtful(Choice(*[None] * 3, agreement=0.8), (680, 1024))
    True
    """
    return views.overview_scale(shape) < 1 and float(choice.agreement) < _SURE


def _several(
    call: Callable[..., Any],
    given: Given,
    kernel: np.ndarray,
    config: DeblurConfig,
    wanted: sizes.Sizes,
) -> tuple[Turned, tuple[DeblurConfig, np.ndarray] | None]:
    """Whether the blur differs across a photo, and if so its configuration and kernels [P, k, k].

    Arguments as `first_look`'s; `kernel` [h, h] is one for the photo.
    """
    (height, width), asked = given.pixels.shape[:2], wanted.blur == sizes.NONUNIFORM
    roomy = fitted(config, kernel, 1.0, room=_TURNING_ROOM)
    # One kernel for all may be no more than what all places share.
    wide = _at_least(config, max(roomy.kernel_size, comparison.SMALL_WINDOW))
    told = call("compare", given, kernel, wide)
    gain, sparser = float(told.gain), float(told.sparser)
    seen = Turned(False, round(gain, 5), round(sparser, 5))
    if not (asked or comparison.has_turned(gain, sparser)):
        return seen, None
    longest = _long(np.asarray(told.kernels)) * wide.kernel_size
    roomy = _at_least(wide, max(roomy.kernel_size, _TURNING_ROOM * longest + 1))
    surveyed = call("survey", given, roomy)
    scale = views.overview_scale((height, width))
    fits = fitted(roomy, np.asarray(surveyed).max(0), scale)

    def path_in(window: int) -> _Path:
        grid = wanted.patch_grid or sizes.auto_patch_grid(height, width, window)
        room = dataclasses.replace(config, kernel_size=window, patch_grid=grid)
        found = call("turn", given, kernel, room)
        return _Path(room, np.asarray(found.kernels), float(found.gain))

    found = _widest(path_in, fits.kernel_size, config)
    accepted = asked or found.worth > _LEAST_WORTH
    turned = seen._replace(turned=accepted, worth=round(found.worth, 5))
    return turned, (found.config, found.kernels) if accepted else None


class _Path(NamedTuple):
    """Kernels of a camera's path, found in one window."""

    config: DeblurConfig
    kernels: np.ndarray  # [P, k, k]
    worth: float  # see `Turned`


def _widest(path_in: Callable[[int], _Path], window: int, most: DeblurConfig) -> _Path:
    """The path in a window, or in a wider one, at most as `most` has it, where it was cut off.

    As long as most kernels reach their window's border, and a wider one makes the path worth more.
    """
    found = path_in(window)
    while sizes.border_mass(found.kernels) > sizes.CUT_OFF and window < most.kernel_size:
        window = _at_least(most, _TURNING_ROOM * window).kernel_size
        wider = path_in(window)
        if wider.worth <= found.worth:
            return found
        found = wider
    return found


def _long(kernels: np.ndarray) -> float:
    """How long the longer ones of crops' kernels [C, w, w] are, in parts of their window.

    Those that fill it were not found.
    """
    window = kernels.shape[-1]
    extents = np.asarray([_extent(kernel) for kernel in kernels])
    found = extents[extents < window]
    return float(np.quantile(found, _LONG)) / window if len(found) else 0.0


def fitted(
    config: DeblurConfig, kernel: np.ndarray, scale: float, *, room: float = _ROOM
) -> DeblurConfig:
    """`config` with a kernel size, at most its own, that fits to a kernel.

    Args:
      config: its kernel size is the bound that there was.
      kernel: [w, w] in pixels of a view.
      scale: pixels of the view per pixel of the photo.
      room: pixels that are given to each of the kernel's.
    """
    return _at_least(config, room * _extent(kernel) / scale + 1)


def _at_least(config: DeblurConfig, wanted: float) -> DeblurConfig:
    """`config` with the smallest kernel size that is enough, at most its own."""
    enough = [size for size in sizes.KERNEL_SIZES if size >= wanted]
    return dataclasses.replace(config, kernel_size=min([*enough[:1], config.kernel_size]))


def _extent(kernel: np.ndarray) -> int:
    """Pixels, odd, of the square around the middle that holds a kernel [k, k].

    Neither entries below 5 % of the largest count, nor separate parts with less than 10 % of the
    mass: what is left of the first mistakes lies far out. The trace of a long shake may be dotted;
    dots near each other are one part.

    >>> _extent(np.eye(9)[3:4] * np.eye(9)[:, 4:5])
    3
    """
    from scipy import ndimage

    solid, touching = kernel > _FAINT * kernel.max(), np.ones((3, 3))
    reach = math.ceil(_GAP / 2 * len(kernel))
    parts, count = ndimage.label(ndimage.binary_dilation(kernel > 0, touching, reach), touching)
    mass = ndimage.sum_labels(kernel, parts, np.arange(count + 1))
    places = np.argwhere(solid & (mass >= _MAIN_PART * kernel.sum())[parts]) - len(kernel) // 2
    return 2 * int(np.abs(places).max()) + 1


def _cropped(kernels: np.ndarray, size: int) -> np.ndarray:
    """The middle `size` x `size` pixels of kernels [..., k, k], each of sum one."""
    margin = (kernels.shape[-1] - size) // 2
    middle = kernels[..., margin : margin + size, margin : margin + size]
    return middle / middle.sum(axis=(-2, -1), keepdims=True)
