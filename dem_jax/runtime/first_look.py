"""Before the start: the photo's kernel is looked for, and its size fixes the shapes of all else."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from dem_jax.config import DeblurConfig
from dem_jax.runtime import sizes
from dem_jax.start import views
from dem_jax.start.choice import Choice
from dem_jax.types import Given


class FirstLook(NamedTuple):
    """What is known of a photo before its start."""

    config: DeblurConfig  # its kernel size fits to the photo's kernel
    given: Given  # with the kernel
    choice: Choice  # of the overview


def first_look(call: Callable[..., Any], given: Given, config: DeblurConfig) -> FirstLook:
    """Finds a photo's kernel in two stages, each in a window that the one before has shown.

    Args:
      call: (name of a solver's function, arguments) -> what it returns.
      given: the photo.
      config: its kernel size is the largest that is looked for.
    """
    choice = call("overview", given, config)
    scale = views.overview_scale(given.pixels.shape[:2])
    config = sizes.fitted(config, np.asarray(choice.kernel), scale)
    kernel = np.asarray(call("refine", given, choice.kernel, config))
    config = sizes.fitted(config, kernel, 1.0)
    given = given._replace(kernel=sizes.cropped(kernel, config.kernel_size))
    return FirstLook(config, given, choice)
