"""The overview: a photo's kernel in few pixels, whatever the photo's size.

Several candidates look for it, of which the photo chooses one. Shapes are static under jit: who
looks at the kernel found here may give the finer views of `find` a kernel size that fits, and look
closer where the candidates disagree, as `runtime.first_look` does.
"""

from typing import Any

import jax

from dem_jax.config import DeblurConfig
from dem_jax.model import promotion
from dem_jax.solve.kernels import zoom_kernel
from dem_jax.start import views
from dem_jax.start.choice import Choice, choose
from dem_jax.start.one_kernel import CANDIDATES, CLOSER_CANDIDATES, coarse_to_fine, one_by_one

_LARGEST_WINDOW = 43  # overview pixels


@promotion.standard
def overview(photo: Any, config: DeblurConfig) -> Choice:
    """The best of several candidates [w, w] in overview pixels, and what speaks for it.

    The overview's `views.overview_scale` tells their size; w is that of `config.kernel_size`, the
    largest kernel that is looked for, there.

    Args:
      photo: as of `views.of_photo`, in any units; exposure does not matter.
      config: kernel_size is used.

    >>> photo = jax.ShapeDtypeStruct((384, 512, 3), "float32")
    >>> first = jax.eval_shape(lambda g: overview(g, DeblurConfig(kernel_size=31)), photo)
    >>> first.kernel.shape, first.agreement.shape
    ((17, 17), ())
    """
    return _look(views.of_photo(photo), config.kernel_size)


@promotion.standard
def closer_look(photo: Any, config: DeblurConfig) -> Choice:
    """`overview` in four times the pixels, for photos whose candidates disagree there.

    Small text that is smeared far is not to be seen in an overview; here others, of which half
    expect a plain background, help. What they find is made smaller, to overview pixels [w, w].

    >>> photo = jax.ShapeDtypeStruct((384, 512, 3), "float32")
    >>> jax.eval_shape(lambda g: closer_look(g, DeblurConfig(kernel_size=31)), photo).kernel.shape
    (17, 17)
    """
    return _look(views.of_photo(photo), config.kernel_size, closer=2)


def _look(photo: views.View, kernel_size: int, closer: int = 1) -> Choice:
    """The best candidate of a view `closer` times as fine as the overview, in overview pixels."""
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


def _overview_window(shape: views.Shape, kernel_size: int, closer: int = 1) -> int:
    """Pixels of kernels in the overview of a photo [H, W] whose kernels have `kernel_size`.

    >>> _overview_window((680, 1024), 151), _overview_window((255, 255), 31)
    (43, 31)
    """
    largest = closer * (_LARGEST_WINDOW - 1) + 1
    return min(views.window(kernel_size, views.overview_scale(shape, closer)), largest)
