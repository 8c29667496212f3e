"""A look at a photo in two parts: what is seen of it, and what is found in that.

What is seen is cut out of a photo quickly, by a program for every size of photos. What is found
takes long to compile and to run, so its programs are for few sizes: views are padded to sides that
near sizes share. So the next photo of another size finds its programs compiled where kernels have
the same window in its views. A window that is wider than it must be misleads the search.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from dem_jax.start.views import Shape, View

_MIN_STEP = 8  # pixels
_OCTAVE = 4  # sizes of views


@dataclasses.dataclass(frozen=True)
class Look:
    """A function (*arrays, config, axis_name=None) -> found, in its two parts."""

    see: Callable[..., Any]  # (*arrays, config) -> a tree of arrays and static numbers
    find: Callable[..., Any]  # (that tree, axis_name=None) -> found

    def __call__(self, *args: Any, axis_name: str | None = None) -> Any:
        seen = self.see(*args)
        return self.find(seen) if axis_name is None else self.find(seen, axis_name=axis_name)

    def transformed(self, transform: Callable[..., Any]) -> "Look":
        """Both parts after a transform of functions (*arrays, config), such as a batch of them."""
        find = transform(lambda seen, _: self.find(seen))
        return Look(transform(self.see), lambda seen: find(seen, None))


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Sight:
    """A view that a kernel is looked for in."""

    view: View  # `padded`
    window: int = dataclasses.field(metadata={"static": True})  # pixels of the kernel in it, odd
    zoom: Any = None  # [] its pixels per pixel of the view before, where there is one


def padded(view: View, shape: Shape | None = None) -> View:
    """A view [h, w] at the origin of a larger `shape`; None: one that views of near shapes share.

    All of a `View` is there then, so that photos with and without a part of it share programs, too.
    """
    own = view.plane.shape
    shape = shape or tuple(shared_side(side, octave=_OCTAVE) for side in own)
    gap = [(0, n - m) for n, m in zip(shape, own, strict=True)]
    size = jnp.asarray(own) if view.size is None else view.size
    coding_std = jnp.zeros((), view.plane.dtype) if view.coding_std is None else view.coding_std
    trusted = view.trusted
    if trusted is not None:
        trusted = jnp.pad(trusted, gap, constant_values=True)  # it is no clipped pixel
    return View(jnp.pad(view.plane, gap), size, trusted, coding_std)


def shared_side(length: int, *, octave: int = 8) -> int:
    """Pixels of the side that sides of near `length` share, which are padded to it.

    A length between two powers of two is rounded up to a multiple of a part of the lower one: 8
    sizes an `octave`, for instance, of which at most an eighth of a side is padding.

    >>> [shared_side(n) for n in (255, 257, 701, 1024)]
    [256, 288, 704, 1024]
    """
    step = max(_MIN_STEP, 2 ** ((length - 1).bit_length() - 1) // octave)
    return -(-length // step) * step
