"""One kernel for a photo, from the photo alone, in two stages: an overview, then finer views.

`overview` looks for the kernel in few pixels, whatever the photo's size, by several candidates
of which the photo chooses one. `refined` goes on from there in views twice as fine each, until
the photo's own pixels. `find` is both; who can look at the overview's kernel between the two may
give the second stage a kernel size that fits (see `extent`), and look closer where the
candidates disagree (see `is_doubtful`).
"""

import math

import jax
import jax.numpy as jnp
import numpy as np

from dem_jax.solve import fourier
from dem_jax.solve.kernels import zoom_kernel
from dem_jax.start import edges, views
from dem_jax.start.choice import Choice, choose
from dem_jax.start.one_kernel import (
    CANDIDATES,
    CLOSER_CANDIDATES,
    FINER,
    LAST,
    alternate,
    coarse_to_fine,
    one_by_one,
    polish,
)
from dem_jax.start.views import View

_LARGEST_WINDOW = 43  # overview pixels
_SURE = 0.9  # agreement: where candidates agree less, they are looked for again in more pixels
_LAST_ALTERNATIONS = 2  # at full size
_FAINT, _MAIN_PART = 0.05, 0.1  # of the largest entry, of the mass: less does not count as extent


def find(photo: View, *, kernel_size: int) -> tuple[jax.Array, jax.Array]:
    """The kernel [k, k] of a photo [H, W], and the candidates' agreement [] on it, 0 to 1.

    Args:
      photo: in any units; exposure does not matter.
      kernel_size: k, odd: no larger kernel is found.
    """
    choice = overview(photo, kernel_size=kernel_size)
    return refined(photo, choice.kernel, kernel_size=kernel_size), choice.agreement


def overview(photo: View, *, kernel_size: int, closer: int = 1) -> Choice:
    """The best of several candidates [w, w] in overview pixels.

    The overview's `views.overview_scale` tells their size; w is that of `kernel_size` there. Small
    text that is smeared far is not to be seen there, and the candidates disagree; then others, in a
    look that is `closer` by 2, help. What they find is made smaller, to overview pixels.
    """
    photo = views.stretched(photo)
    shape = photo.plane.shape
    scale = views.overview_scale(shape, closer)
    seen = views.view(photo, views.overview_shape(shape, closer), scale)
    window = _overview_window(shape, kernel_size, closer)
    candidates = CANDIDATES if closer == 1 else CLOSER_CANDIDATES
    kernels = jax.vmap(lambda setting: coarse_to_fine(seen, setting, window=window))(
        one_by_one(candidates)
    )
    choice = choose(seen, kernels)
    if closer == 1:
        return choice
    smaller = _overview_window(shape, kernel_size), views.overview_scale(shape) / scale
    return choice._replace(kernel=zoom_kernel(choice.kernel, *smaller))


def is_doubtful(choice: Choice, shape: views.Shape) -> bool:
    """Whether a closer look at a photo of `shape` may help."""
    return views.overview_scale(shape) < 1 and float(choice.agreement) < _SURE


def refined(photo: View, kernel: jax.Array, *, kernel_size: int) -> jax.Array:
    """The kernel [k, k] in a photo's own pixels, from one [w, w] in overview pixels.

    Views of large photos show the part that has the most useful edges.
    """
    photo = views.stretched(photo)
    shape = photo.plane.shape
    worth = _worth(photo, kernel.shape[0])
    scale = first = views.overview_scale(shape)

    def at(scale: float) -> View:
        part = views.finer_shape(shape, scale)
        if part == tuple(round(n * scale) for n in shape):
            return views.view(photo, part, scale)
        seen = tuple(
            min(math.ceil(n * first / scale), m) for n, m in zip(part, worth.shape, strict=True)
        )
        return views.view(photo, part, scale, views.richest_corner(worth, seen) * scale / first)

    while scale < 1:
        before, scale = scale, views.finer_scale(scale)
        kernel = zoom_kernel(kernel, views.window(kernel_size, scale), scale / before)
        if scale < 1:
            kernel, _ = alternate(at(scale), kernel, FINER)
    kernel = zoom_kernel(kernel, kernel_size, 1.0)
    kernel, _ = alternate(at(1.0), kernel, LAST, times=_LAST_ALTERNATIONS)
    return polish(at(1.0), kernel)


def extent(kernel: np.ndarray) -> int:
    """Pixels, odd, of the square around the middle that holds a kernel [k, k].

    Neither entries below 5 % of the largest count, nor separate parts with less than 10 % of the
    mass: what is left of the first mistakes lies far out.

    >>> extent(np.eye(9)[3:4] * np.eye(9)[:, 4:5])
    3
    """
    from scipy import ndimage

    parts, count = ndimage.label(kernel > 0, np.ones((3, 3)))
    mass = ndimage.sum_labels(kernel, parts, np.arange(count + 1))
    main = (mass >= _MAIN_PART * kernel.sum())[parts] & (kernel > _FAINT * kernel.max())
    places = np.argwhere(main) - kernel.shape[0] // 2
    return 2 * int(np.abs(places).max()) + 1


def _overview_window(shape: views.Shape, kernel_size: int, closer: int = 1) -> int:
    """Pixels of kernels in the overview of a photo [H, W] whose kernels have `kernel_size`.

    >>> _overview_window((680, 1024), 151), _overview_window((255, 255), 31)
    (43, 31)
    """
    largest = closer * (_LARGEST_WINDOW - 1) + 1
    return min(views.window(kernel_size, views.overview_scale(shape, closer)), largest)


def _worth(photo: View, window: int) -> jax.Array:
    """[h, w] what the edges of a photo's overview tell about its kernel."""
    shape, scale = photo.plane.shape, views.overview_scale(photo.plane.shape)
    seen = views.view(photo, tuple(round(n * scale) for n in shape), scale)
    rows, cols = seen.plane.shape if seen.size is None else seen.size
    known = fourier.inside((rows - 1, cols - 1), seen.plane.shape)
    found = fourier.differences(seen.plane) * known[None]
    power = edges.usefulness(found, window) * jnp.sum(found**2, 0)
    return power if seen.trusted is None else power * seen.trusted
