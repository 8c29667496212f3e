"""The overview: a photo's kernel in few pixels, whatever the photo's size.

Several candidates look for it, of which the photo chooses one. Shapes are static under jit: who
looks at the kernel found here may give the finer views of `find` a kernel size that fits, and look
closer where the candidates disagree, as `runtime.first_look` does.
"""

from typing import Any

import jax
import jax.numpy as jnp

from dem_jax.config import DeblurConfig
from dem_jax.model import promotion
from dem_jax.solve.kernels import zoom_kernel
from dem_jax.start import spread, views
from dem_jax.start.choice import Choice, agreement, choose
from dem_jax.start.one_kernel import (
    CANDIDATES,
    CLOSER_CANDIDATES,
    Setting,
    coarse_to_fine,
    one_by_one,
)

_LARGEST_WINDOW = 43  # overview pixels
_CLOSER = 2  # pixels of the closer look's view per overview pixel, along a side


@promotion.standard
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
    photo = views.of_photo(photo)
    return _looked_for(photo, config.kernel_size, CANDIDATES, axis_name=axis_name)


@promotion.standard
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
    photo = views.of_photo(photo)
    ratio = views.overview_scale(photo.plane.shape) / views.overview_scale(
        photo.plane.shape, _CLOSER
    )
    choice = _looked_for(photo, config.kernel_size, CLOSER_CANDIDATES, _CLOSER, axis_name=axis_name)
    found = jax.vmap(lambda kernel: zoom_kernel(kernel, seen.shape[-1], ratio))(choice.candidates)
    return choice._replace(
        candidates=found,
        agreement=agreement(jnp.concatenate([found, seen]))[choice.number],
    )


def _looked_for(
    photo: views.View,
    kernel_size: int,
    candidates: Setting,
    closer: int = 1,
    *,
    axis_name: str | None,
) -> Choice:
    """Of what candidates find in a view, `closer` times as fine as the overview."""
    photo = views.stretched(photo)
    shape = photo.plane.shape
    scale = views.overview_scale(shape, closer)
    view = views.view(photo, views.overview_shape(shape, closer), scale)
    window = _overview_window(shape, kernel_size, closer)
    found = spread.each(
        lambda setting: coarse_to_fine(view, setting, window=window),
        one_by_one(candidates),
        axis_name,
        mapped=spread.vmapped,
    )
    return choose(view, found, axis_name=axis_name)


def _overview_window(shape: views.Shape, kernel_size: int, closer: int = 1) -> int:
    """Pixels of kernels in the overview of a photo [H, W] whose kernels have `kernel_size`.

    >>> _overview_window((680, 1024), 151), _overview_window((255, 255), 31)
    (43, 31)
    """
    largest = closer * (_LARGEST_WINDOW - 1) + 1
    return min(views.window(kernel_size, views.overview_scale(shape, closer)), largest)
