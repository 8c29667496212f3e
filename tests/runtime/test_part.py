"""A rectangle that is marked on a photo's picture."""

import numpy as np
import pytest
from PIL import Image

from dem_jax.runtime import part
from dem_jax.runtime.files import images


@pytest.fixture
def wide(tmp_path):
    """A photo twice as large as the picture that a page shows of it."""
    path = tmp_path / "wide.png"
    Image.fromarray(np.full((400, 2000), 128, np.uint8)).save(path)
    return part.open_photo(str(path))


def test_two_corners_are_a_crop_in_pixels_of_the_photo(wide):
    assert wide.picture.size == (1000, 200)
    assert part.crop(wide) == ""
    one = part.mark(wide, 300, 150)
    assert part.crop(one) == ""
    two = part.mark(one, 100, 50)  # in whatever order
    assert part.crop(two) == "200,100,400,200"
    third = part.mark(two, 10, 20)
    assert third.corners == ((20, 40),)
    assert part.crop(part.mark(third, 10, 90)) == ""  # no width


def test_what_is_marked_is_seen_and_nothing_is_left_of_it(wide):
    plain = part.drawn(wide)
    assert (plain == 128).all()
    two = part.mark(part.mark(wide, 100, 50), 300, 150)
    changed = (part.drawn(two) != 128).any(-1)
    assert changed[50, 200]
    assert changed[100, 300]
    assert not changed[100, 200]
    np.testing.assert_array_equal(part.drawn(two._replace(corners=())), plain)


def test_a_bad_file_is_refused(tmp_path):
    (tmp_path / "bad.png").write_text("no picture")
    with pytest.raises(images.PhotoError):
        part.open_photo(str(tmp_path / "bad.png"))
