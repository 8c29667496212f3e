"""Which blur a first look finds, told by solver functions that are not computed."""

import types

import numpy as np
import pytest

from dem_jax.config import DeblurConfig
from dem_jax.runtime import sizes
from dem_jax.runtime.first_look import first_look
from dem_jax.types import Given

BOUND = DeblurConfig(kernel_size=75)


def look(blur, near, far, grid=None):
    """The first look at a photo whose kernel is a line of 9 pixels, and what it called."""
    called = []

    def call(name, *args):
        called.append(name)
        config = args[-1]
        k = config.kernel_size
        kernel = np.zeros((k, k), np.float32)
        kernel[k // 2, k // 2 - 4 : k // 2 + 5] = 1 / 9
        answers = {
            "overview": types.SimpleNamespace(kernel=kernel),
            "refine": kernel,
            "survey": types.SimpleNamespace(density=kernel[None], near=near, far=far),
            "turn": np.tile(kernel, (config.patch_grid[0] * config.patch_grid[1], 1, 1)),
        }
        return answers[name]

    wanted = sizes.Sizes(blur, None, grid)
    seen = first_look(call, Given(np.zeros((240, 250, 3), np.float32)), BOUND, wanted)
    return seen, called


def test_uniform_blur_is_not_asked_about():
    seen, called = look(sizes.UNIFORM, 0.5, 0.99)
    assert called == ["overview", "refine"]
    assert seen.turned is None
    assert seen.config.patch_grid == (1, 1)


@pytest.mark.parametrize(
    ("blur", "near", "far", "many"),
    [
        (sizes.AUTO, 0.95, 0.90, True),
        (sizes.AUTO, 0.99, 0.97, False),  # nearly one kernel
        (sizes.AUTO, 0.80, 0.76, False),  # mistakes everywhere
        (sizes.NONUNIFORM, 0.99, 0.99, True),
    ],
)
def test_auto_asks_the_crops_and_nonuniform_does_not_care(blur, near, far, many):
    seen, called = look(blur, near, far)
    assert called == ["overview", "refine", "survey", *(["turn"] if many else [])]
    assert (seen.config.patch_grid != (1, 1)) == many
    assert seen.given.kernel.shape[-1] == seen.config.kernel_size
    assert seen.given.kernel.ndim == (3 if many else 2)
    assert seen.turned.alike_far == far


def test_corners_get_room_for_longer_kernels_and_a_grid_that_is_asked_for():
    one, many = (look(blur, 0.99, 0.9, (2, 3))[0].config for blur in ("uniform", "auto"))
    assert many.kernel_size > one.kernel_size
    assert many.patch_grid == (2, 3)
