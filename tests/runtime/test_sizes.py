"""`auto` and explicit sizes."""

import numpy as np
import pytest

from dem_jax.config import DeblurConfig
from dem_jax.runtime import sizes


def resolve(blur, kernel_size, grid, height, width, name="a"):
    wanted = sizes.Sizes(blur, kernel_size, grid)
    config = sizes.resolve(DeblurConfig(), wanted, height, width, name)
    return config.kernel_size, config.patch_grid


def test_auto_kernel_size_is_valid_for_every_photo():
    before = 0
    for side in range(sizes.SMALLEST_SIDE, 6000):
        size = sizes.auto_kernel_size(side)
        assert size % 2 == 1
        assert 3 <= size <= 101
        assert 2 * size <= side
        assert size >= before
        before = size
    assert sizes.auto_kernel_size(255) == 31


def test_auto_grid_has_room_for_kernels():
    assert resolve("nonuniform", 21, None, 256, 256) == (21, (5, 5))
    assert resolve("nonuniform", 31, None, 256, 512) == (31, (4, 6))
    assert resolve("nonuniform", 51, None, 4000, 4000) == (51, (6, 6))


def test_explicit_sizes_win():
    assert resolve("uniform", 21, None, 256, 256) == (21, (1, 1))
    assert resolve("nonuniform", 21, (3, 5), 256, 256) == (21, (3, 5))
    assert resolve("uniform", {"a": 25, "b": 27}, None, 256, 256, "b") == (27, (1, 1))


@pytest.mark.parametrize(
    ("kernel_size", "height", "width", "reason"),
    [
        (None, 1, 1, "1x1 pixels, too small"),
        (None, 400, 15, "too small"),
        (31, 61, 400, "kernel_size=29 or less"),
        (31, 20, 20, "kernel_size=9 or less"),
        ({"b": 31}, 200, 200, "not in the list"),
    ],
)
def test_photos_that_do_not_fit(kernel_size, height, width, reason):
    with pytest.raises(ValueError, match=reason):
        resolve("uniform", kernel_size, None, height, width)


def test_suggested_size_is_accepted():
    assert resolve("uniform", 29, None, 61, 400) == (29, (1, 1))
    assert resolve("uniform", 9, None, 20, 20) == (9, (1, 1))


def test_list_of_kernel_sizes(tmp_path):
    path = tmp_path / "list.txt"
    path.write_text("# photo size\nboat1     51\n\ntext_01   25\n")
    assert sizes.parse_kernel_size(str(path)) == {"boat1": 51, "text_01": 25}
    path.write_text("boat1 50\n")
    with pytest.raises(ValueError, match="line 1: kernel_size=50 must be odd"):
        sizes.parse_kernel_size(str(path))
    path.write_text("boat1\n")
    with pytest.raises(ValueError, match="line 1: 'boat1' must be"):
        sizes.parse_kernel_size(str(path))


def test_a_picture_is_no_list_of_kernel_sizes(tmp_path):
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(ValueError, match="is no text; give a file with"):
        sizes.parse_kernel_size(str(tmp_path / "a.png"))


@pytest.mark.parametrize("text", ["4", "1", "-3", "0", "big", "3.5"])
def test_bad_kernel_sizes(text):
    with pytest.raises(ValueError, match="odd"):
        sizes.parse_kernel_size(text)


@pytest.mark.parametrize("text", ["3", "0x2", "axb", "2x", "2x3x4", "-1x2"])
def test_bad_grids(text):
    with pytest.raises(ValueError, match="ROWSxCOLS"):
        sizes.parse_patch_grid(text)


def test_good_grids():
    assert sizes.parse_patch_grid("6x8") == (6, 8)
    assert sizes.parse_patch_grid("auto") is None


def test_border_mass_is_that_of_most_kernels():
    inside = np.zeros((31, 31), np.float32)
    inside[15, 11:20] = 1 / 9
    cut = 0.9 * inside
    cut[15, 0] = cut[1, 15] = 0.05
    assert sizes.border_mass(cut[None]) == pytest.approx(0.1)
    assert sizes.border_mass(np.stack([cut, inside, inside])) == pytest.approx(0, abs=1e-6)
