"""Looks at a photo whose kernels are unknown, before its start, as pure functions.

`overview`, `closer_look` and `refine` find one kernel, each in more pixels than the one before.
`compare` asks crops whether the camera turned; where it did, `survey` and `turn` find its path, and
a kernel for every patch. They are functions of their own because shapes are static under jit:
whoever calls them fits the kernel size to what the look before has found, as `runtime.first_look`
does.
"""

from typing import Any

import jax

from dem_jax.config import DeblurConfig
from dem_jax.model import arrays, promotion
from dem_jax.start import find, turning
from dem_jax.start.choice import Choice
from dem_jax.start.views import of_photo


@promotion.standard
def overview(photo: Any, config: DeblurConfig) -> Choice:
    """A first look at a photo [H, W, C]: its kernel in overview pixels, and what speaks for it.

    `config.kernel_size` is the largest kernel that is looked for.

    >>> photo = jax.ShapeDtypeStruct((384, 512, 3), "float32")
    >>> first = jax.eval_shape(lambda g: overview(g, DeblurConfig(kernel_size=31)), photo)
    >>> first.kernel.shape, first.agreement.shape
    ((17, 17), ())
    """
    return find.overview(of_photo(arrays.as_given(photo)), kernel_size=config.kernel_size)


@promotion.standard
def closer_look(photo: Any, config: DeblurConfig) -> Choice:
    """`overview` in four times the pixels, for photos whose candidates disagree there.

    >>> photo = jax.ShapeDtypeStruct((384, 512, 3), "float32")
    >>> jax.eval_shape(lambda g: closer_look(g, DeblurConfig(kernel_size=31)), photo).kernel.shape
    (17, 17)
    """
    return find.overview(of_photo(arrays.as_given(photo)), kernel_size=config.kernel_size, closer=2)


@promotion.standard
def refine(photo: Any, kernel: jax.Array, config: DeblurConfig) -> jax.Array:
    """The kernel [k, k] of a photo [H, W, C] in its own pixels, from one in overview pixels.

    >>> photo = jax.ShapeDtypeStruct((384, 512, 3), "float32")
    >>> kernel = jax.ShapeDtypeStruct((17, 17), "float32")
    >>> config = DeblurConfig(kernel_size=31)
    >>> jax.eval_shape(lambda g, k: refine(g, k, config), photo, kernel).shape
    (31, 31)
    """
    return find.refined(of_photo(arrays.as_given(photo)), kernel, kernel_size=config.kernel_size)


@promotion.standard
def compare(photo: Any, kernel: jax.Array, config: DeblurConfig) -> jax.Array:
    """[] how much crops of a photo [H, W, C] gain by kernels of their own, see `turning.gain`.

    `kernel` [h, h] is one for the photo.

    >>> photo = jax.ShapeDtypeStruct((384, 512, 3), "float32")
    >>> kernel = jax.ShapeDtypeStruct((9, 9), "float32")
    >>> config = DeblurConfig(kernel_size=13)
    >>> jax.eval_shape(lambda g, k: compare(g, k, config), photo, kernel).shape
    ()
    """
    return turning.gain(of_photo(arrays.as_given(photo)), kernel, kernel_size=config.kernel_size)


@promotion.standard
def survey(photo: Any, config: DeblurConfig) -> jax.Array:
    """How large kernels along a turning camera's path are: nine, [9, w, w], all over a photo.

    They are in pixels of the overview, at most `config.kernel_size` of the photo's.

    >>> photo = jax.ShapeDtypeStruct((96, 128, 3), "float32")
    >>> jax.eval_shape(lambda g: survey(g, DeblurConfig(kernel_size=13)), photo).shape
    (9, 13, 13)
    """
    return turning.survey(of_photo(arrays.as_given(photo)), kernel_size=config.kernel_size)


@promotion.standard
def turn(photo: Any, kernel: jax.Array, config: DeblurConfig) -> turning.Turned:
    """The kernels [P, k, k] of a photo [H, W, C] along a turning camera's path.

    `kernel` [h, h] is one for the photo: what comes with the kernels says how much better they are.

    >>> photo, one = (jax.ShapeDtypeStruct(shape, "float32") for shape in ((96, 128, 3), (7, 7)))
    >>> config = DeblurConfig(kernel_size=7, patch_grid=(2, 3))
    >>> jax.eval_shape(lambda g, k: turn(g, k, config), photo, one).kernels.shape
    (6, 7, 7)
    """
    return turning.turned(
        of_photo(arrays.as_given(photo)),
        kernel,
        kernel_size=config.kernel_size,
        grid=config.patch_grid,
    )
