"""The overview: a photo's kernel in few pixels, whatever the photo's size.

Several candidates look for it, of which the photo chooses one. Shapes are static under jit: who
looks at the kernel found here may give the finer views of `find` a kernel size that fits, and look
closer where the candidates disagree, as `runtime.first_look` does. `look` tells why either look has
two parts.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from dem_jax.config import DeblurConfig
from dem_jax.model import promotion
from dem_jax.solve.kernels import zoom_kernel
from dem_jax.start import look, spread, views
from dem_jax.start.choice import Choice, agreement, choose
from dem_jax.start.look import Look, Sight
from dem_jax.start.one_kernel import (
    CANDIDATES,
    CLOSER_CANDIDATES,
    Setting,
    coarse_to_fine,
    one_by_one,
)

_LARGEST_WINDOW = 43  # overview pixels
_CLOSER = 2  # pixels of the closer look's view per overview pixel, along a side


class Closer(NamedTuple):
    """What a closer look sees."""

    sight: Sight
    seen: jax.Array  # [N, w, w] kernels that were found in the overview
    zoom: jax.Array  # [] overview pixels per pixel of the closer view


def overview(photo: Any, config: DeblurConfig, *, axis_name: str | None = None) -> Choice:
    """The best of several candidates [w, w] in overview pixels, and what speaks for it.

    The overview's `views.overview_scale` tells their size; w is that of `config.kernel_size`, the
    largest kernel that is looked for, there.

    Args:
      photo: as of `views.of_photo`, in any units; exposure does not matter.
      config: kernel_size is used.
      axis_name: of the devices that share the work, see `spread`.

    >>> photo = jax.ShapeDtypeStruct((384, 512, 3), "float32")
    >>> first = jax.eval_shape(lambda g: overview(g, DeblurConfig(kernel_size=31)), photo)
    >>> first.candidates.shape, first.agreement.shape
    ((8, 17, 17), ())
    """
    return OVERVIEW(photo, config, axis_name=axis_name)


def closer_look(
    photo: Any, seen: jax.Array, config: DeblurConfig, *, axis_name: str | None = None
) -> Choice:
    """`overview` in four times the pixels, where what its candidates make of the photo tells more.

    In an overview a blot can leave a photo as sparse as its kernel does, and small text that is
    smeared far is not to be seen. Half of the candidates here expect a plain background. Those
    `seen` in the overview [N, w, w] are not chosen from, but agree or not. All are in overview
    pixels at last. Other arguments as of `overview`.

    >>> photo = jax.ShapeDtypeStruct((384, 512, 3), "float32")
    >>> seen, config = jax.ShapeDtypeStruct((8, 17, 17), "float32"), DeblurConfig(kernel_size=31)
    >>> jax.eval_shape(lambda g, k: closer_look(g, k, config), photo, seen).candidates.shape
    (8, 17, 17)
    """
    return CLOSER_LOOK(photo, seen, config, axis_name=axis_name)


@promotion.standard
def _see(photo: Any, config: DeblurConfig) -> Sight:
    return _sight(photo, config.kernel_size)


@promotion.standard
def _find(sight: Sight, *, axis_name: str | None = None) -> Choice:
    return _looked_for(sight, CANDIDATES, axis_name)


@promotion.standard
def _see_closer(photo: Any, seen: jax.Array, config: DeblurConfig) -> Closer:
    photo = views.of_photo(photo)
    far, near = (views.overview_scale(photo.plane.shape, closer) for closer in (1, _CLOSER))
    return Closer(_sight(photo, config.kernel_size, _CLOSER), seen, jnp.asarray(far / near))


@promotion.standard
def _find_closer(closer: Closer, *, axis_name: str | None = None) -> Choice:
    sight, seen, zoom = closer
    choice = _looked_for(sight, CLOSER_CANDIDATES, axis_name)
    found = jax.vmap(lambda kernel: zoom_kernel(kernel, seen.shape[-1], zoom))(choice.candidates)
    return choice._replace(
        candidates=found,
        agreement=agreement(jnp.concatenate([found, seen]))[choice.number],
    )


OVERVIEW, CLOSER_LOOK = Look(_see, _find), Look(_see_closer, _find_closer)


def _sight(photo: Any, kernel_size: int, closer: int = 1) -> Sight:
    """A view of the photo `closer` times as fine as the overview."""
    photo = views.stretched(views.of_photo(photo))
    shape = photo.plane.shape
    scale = views.overview_scale(shape, closer)
    view = views.view(photo, views.overview_shape(shape, closer), scale)
    return Sight(look.padded(view), _overview_window(shape, kernel_size, closer))


def _looked_for(sight: Sight, candidates: Setting, axis_name: str | None) -> Choice:
    """Of what candidates find in a view."""
    found = spread.each(
        lambda setting: coarse_to_fine(sight.view, setting, window=sight.window),
        one_by_one(candidates),
        axis_name,
        mapped=spread.vmapped,
    )
    return choose(sight.view, found, axis_name=axis_name)


def _overview_window(shape: views.Shape, kernel_size: int, closer: int = 1) -> int:
    """Pixels of kernels in the overview of a photo [H, W] whose kernels have `kernel_size`.

    >>> _overview_window((680, 1024), 151), _overview_window((255, 255), 31)
    (43, 31)
    """
    largest = closer * (_LARGEST_WINDOW - 1) + 1
    return min(views.window(kernel_size, views.overview_scale(shape, closer)), largest)
