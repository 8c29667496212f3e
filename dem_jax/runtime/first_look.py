"""Before the start: the photo's kernel is looked for, and its size fixes the shapes of all else."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from dem_jax.config import DeblurConfig
from dem_jax.runtime import sizes
from dem_jax.start import find, views
from dem_jax.start.choice import Choice
from dem_jax.types import Given


class FirstLook(NamedTuple):
    """What is known of a photo before its start."""

    config: DeblurConfig  # its kernel size fits to the photo's kernel
    given: Given  # with the kernel
    choice: Choice  # of the overview


def first_look(call: Callable[..., Any], given: Given, config: DeblurConfig) -> FirstLook:
    """Finds a photo's kernel in two stages, each in a window that the one before has shown.

    The first window is the largest that the photo allows, whatever is asked for: a bound that is
    too large must not change the result.

    Args:
      call: (name of a solver's function, arguments) -> what it returns.
      given: the photo.
      config: its kernel size is the most that the kernel may have.
    """
    shape, bound = given.pixels.shape[:2], config.kernel_size
    largest = max(bound, sizes.largest_kernel_size(min(shape)))
    wide = dataclasses.replace(config, kernel_size=largest)
    choice = call("overview", given, wide)
    if find.is_doubtful(choice, shape):
        choice = call("closer_look", given, wide)
    wide = sizes.fitted(wide, np.asarray(choice.kernel), views.overview_scale(shape))
    kernel = np.asarray(call("refine", given, choice.kernel, wide))
    fitted = sizes.fitted(wide, kernel, 1.0)
    config = dataclasses.replace(config, kernel_size=min(fitted.kernel_size, bound))
    given = given._replace(kernel=sizes.cropped(kernel, config.kernel_size))
    return FirstLook(config, given, choice)
