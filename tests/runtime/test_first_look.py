"""Which blur a first look finds, told by solver functions that are not computed."""

import functools
import types

import numpy as np
import pytest

from dem_jax.config import DeblurConfig
from dem_jax.runtime import sizes
from dem_jax.runtime.first_look import first_look, fitted
from dem_jax.types import Given

BOUND = DeblurConfig(kernel_size=75)


def look(blur, gain, grid=None, worth=0.02, reach=4, sparser=0.01):
    """The first look at a photo whose kernel is a line of 9 pixels, and what it called.

    Crops prefer a line that reaches `reach` pixels to either side.
    """
    called, rooms = [], {}

    def call(name, *args):
        called.append(name)
        config = args[-1]
        rooms[name] = config.kernel_size
        k = config.kernel_size
        kernel = np.zeros((k, k), np.float32)
        kernel[k // 2, k // 2 - 4 : k // 2 + 5] = 1 / 9
        own = np.zeros((31, 31), np.float32)
        own[15, 15 - reach : 16 + reach] = 1 / (2 * reach + 1)
        corner = np.zeros((k, k), np.float32)
        corner[k // 2, k // 2 - 6 : k // 2 + 7] = 1 / 13
        answers = {
            "overview": types.SimpleNamespace(kernel=kernel, candidates=kernel[None]),
            "refine": kernel,
            "compare": types.SimpleNamespace(
                gain=np.float32(gain), sparser=np.float32(sparser), kernels=own[None]
            ),
            "survey": np.stack([kernel, corner]),
            "turn": types.SimpleNamespace(
                kernels=np.tile(kernel, (config.patch_grid[0] * config.patch_grid[1], 1, 1)),
                gain=np.float32(worth),
            ),
        }
        return answers[name]

    wanted = sizes.Sizes(blur, None, grid)
    seen = first_look(call, Given(np.zeros((240, 250, 3), np.float32)), BOUND, wanted)
    return seen, called, rooms


def test_uniform_blur_is_not_asked_about():
    seen, called, _ = look(sizes.UNIFORM, 0.02)
    assert called == ["overview", "refine"]
    assert seen.turned is None
    assert seen.config.patch_grid == (1, 1)


@pytest.mark.parametrize(
    ("blur", "gain", "many"),
    [
        (sizes.AUTO, 0.011, True),
        (sizes.AUTO, 0.0005, False),
        (sizes.NONUNIFORM, 0.0, True),
    ],
)
def test_auto_asks_the_crops_and_nonuniform_does_not_care(blur, gain, many):
    seen, called, _ = look(blur, gain)
    assert called == ["overview", "refine", "compare", *(["survey", "turn"] if many else [])]
    assert (seen.config.patch_grid != (1, 1)) == many
    assert seen.given.kernel.shape[-1] == seen.config.kernel_size
    assert seen.given.kernel.ndim == (3 if many else 2)
    assert seen.turned.gain == pytest.approx(gain)


def test_both_measures_must_say_that_the_camera_turned():
    assert not look(sizes.AUTO, 0.011, sparser=0.0005)[0].turned.turned


@pytest.mark.parametrize(("blur", "many"), [(sizes.AUTO, False), (sizes.NONUNIFORM, True)])
def test_one_kernel_is_kept_where_the_path_is_worth_less(blur, many):
    seen, called, _ = look(blur, 0.011, worth=-0.01)
    assert called[-1] == "turn"
    assert seen.turned == (many, 0.011, 0.01, -0.01)
    assert (seen.config.patch_grid != (1, 1)) == many
    assert seen.given.kernel.ndim == (3 if many else 2)


def test_a_path_that_is_hardly_better_is_none():
    assert not look(sizes.AUTO, 0.011, worth=0.0003)[0].turned.turned
    assert look(sizes.AUTO, 0.011, worth=0.0042)[0].turned.turned


def test_corners_get_room_for_longer_kernels_and_a_grid_that_is_asked_for():
    one, many = (look(blur, 0.02, (2, 3))[0].config for blur in ("uniform", "auto"))
    assert many.kernel_size > one.kernel_size
    assert many.patch_grid == (2, 3)


def test_a_path_has_room_for_what_crops_prefer_whatever_the_one_kernel():
    rooms = [look(sizes.AUTO, 0.02, reach=reach)[2] for reach in (4, 10, 15)]
    assert [room["compare"] for room in rooms] == [31, 31, 31]  # for a line of 9 pixels
    # The last ones fill the crops' window: they were not found, and the one kernel tells.
    assert [room["survey"] for room in rooms] == [19, 31, 19]


@pytest.mark.parametrize(
    ("worth", "windows", "taken"),
    [
        ({13: 0.01, 19: 0.02, 27: 0.03, 45: 0.04}, [13, 19, 27, 45], 45),
        ({13: 0.01, 19: 0.02, 27: 0.01}, [13, 19, 27], 19),
        ({13: 0.01, 19: 0.01}, [13, 19], 13),
    ],
)
def test_a_path_that_was_cut_off_is_looked_for_in_wider_windows(worth, windows, taken):
    """Of kernels of 33 pixels, as long as a wider window makes the path worth more."""
    asked = []

    def call(name, *args):
        config = args[-1]
        k = config.kernel_size
        kernel = np.zeros((k, k), np.float32)
        half = min(k // 2, 16 if name == "turn" else 4)
        kernel[k // 2, k // 2 - half : k // 2 + half + 1] = 1 / (2 * half + 1)
        if name == "turn":
            asked.append(k)
            count = config.patch_grid[0] * config.patch_grid[1]
            kernels = np.tile(kernel, (count, 1, 1))
            return types.SimpleNamespace(kernels=kernels, gain=worth[k])
        answers = {
            "overview": types.SimpleNamespace(kernel=kernel, candidates=kernel[None]),
            "compare": types.SimpleNamespace(gain=0.02, sparser=0.01, kernels=kernel[None]),
            "survey": kernel[None],
        }
        return answers.get(name, kernel)

    photo = Given(np.zeros((240, 250, 3), np.float32))
    seen = first_look(call, photo, BOUND, sizes.Sizes(sizes.AUTO, None, None))
    assert asked == windows
    assert seen.config.kernel_size == seen.given.kernel.shape[-1] == taken
    assert seen.turned.worth == pytest.approx(worth[taken])


def test_a_kernel_that_fills_its_window_keeps_its_size():
    def call(name, *args):
        k = args[-1].kernel_size
        short = np.zeros((k, k), np.float32)
        short[k // 2, k // 2 - 4 : k // 2 + 5] = 1 / 9
        answers = {
            "overview": types.SimpleNamespace(kernel=short, candidates=short[None]),
            "refine": np.full((k, k), 1 / k**2, np.float32),
        }
        return answers[name]

    seen = first_look(call, Given(np.zeros((240, 250, 3), np.float32)), BOUND)
    k = seen.config.kernel_size
    assert 9 < k < 20
    assert seen.given.kernel.shape == (k, k)


@pytest.mark.parametrize("agreement", [0.8, 0.97, 0.99])
def test_a_doubtful_photo_gets_a_closer_look(agreement):
    """Both looks' kernels go on into the finer views, in a window for the larger one."""
    called = {}

    def call(name, *args):
        called[name] = args
        kernel = np.zeros((args[-1].kernel_size,) * 2, np.float32)
        kernel[kernel.shape[0] // 2] = 1 / kernel.shape[0]
        small = np.zeros((43, 43), np.float32)
        half = 3 if name == "overview" else 8
        small[21, 21 - half : 22 + half] = 1 / (2 * half + 1)
        found = types.SimpleNamespace(kernel=small, candidates=small[None], agreement=agreement)
        return kernel if name == "refine" else found

    first_look(call, Given(np.zeros((600, 800, 3), np.float32)), BOUND)
    _, seen, config = called["refine"]
    doubtful = agreement < 0.98
    assert ("closer_look" in called) == doubtful
    assert [np.count_nonzero(kernel) for kernel in seen] == ([7, 17] if doubtful else [7])
    assert config.kernel_size == (63 if doubtful else 27)


@pytest.mark.parametrize("bound", [9, 31, 63])
def test_the_bound_does_not_change_the_search(bound):
    windows = []

    def call(name, *args):
        k = args[-1].kernel_size
        windows.append((name, k))
        kernel = np.zeros((k, k), np.float32)
        kernel[k // 2, k // 2 - 8 : k // 2 + 9] = 1 / 17
        found = types.SimpleNamespace(kernel=kernel, candidates=kernel[None])
        return kernel if name == "refine" else found

    photo = Given(np.zeros((240, 250, 3), np.float32))
    seen = first_look(call, photo, DeblurConfig(kernel_size=bound))
    assert windows == [("overview", 81), ("refine", 27)]
    assert seen.config.kernel_size == min(bound, 27)
    np.testing.assert_allclose(seen.given.kernel.sum(), 1, rtol=1e-5)


def test_a_kernel_size_that_fits_is_taken_from_the_overview():
    fits = functools.partial(fitted, DeblurConfig(kernel_size=75))
    line = np.zeros((43, 43), np.float32)
    line[21, 16:27] = 1  # 11 pixels
    assert fits(line, 1.0).kernel_size == 19
    assert fits(line, 0.5).kernel_size == 27
    assert fits(line, 0.125).kernel_size == 75  # the bound
    line[2, 2] = 0.5  # a separate part of little mass
    assert fits(line, 1.0).kernel_size == 19


def test_the_dotted_trace_of_a_long_shake_is_one_kernel():
    """Dots with gaps of up to 4 pixels keep the window; the same mass far off does not."""
    long = np.zeros((151, 151), np.float32)
    for place in range(10, 90, 4):
        long[place, place] = 0.02
    long[90:96, 90:96] = 0.6 / 36
    fits = functools.partial(fitted, DeblurConfig(kernel_size=151))
    assert fits(long, 1.0).kernel_size == 151
    far = np.zeros_like(long)
    far[90:96, 90:96], far[10, 10] = 0.98 / 36, 0.02
    assert fits(far, 1.0).kernel_size == 53
