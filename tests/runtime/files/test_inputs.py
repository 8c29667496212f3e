"""Inputs that users name become photos, each once, with names of their own."""

import numpy as np
import pytest
from PIL import Image

from dem_jax.runtime.files import images, inputs, samples


def touch(folder, *names):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_bytes(b"")
    return folder


def names_of(sources):
    return [source.name for source in sources]


def test_folder_glob_and_file_find_each_photo_once(tmp_path):
    touch(tmp_path, "b.PNG", "a.jpg", "notes.txt", ".hidden.png")
    every = [str(tmp_path), str(tmp_path / "*"), str(tmp_path / "a.jpg")]
    for wanted in (every, every[:1], every[1:2]):
        assert names_of(inputs.find_sources(wanted)) == ["a", "b"]


def test_shared_stems_get_their_ending_then_a_number(tmp_path):
    touch(tmp_path / "x", "a.png", "a.jpg", "b.png")
    touch(tmp_path / "y", "a.png")
    found = inputs.find_sources([str(tmp_path / "x"), str(tmp_path / "y")])
    assert names_of(found) == ["a.jpg", "a.png", "b", "a.png-2"]


def test_names_never_meet_the_summary_or_each_other_in_capitals(tmp_path):
    touch(tmp_path, "summary.json.png", "A.png", "a.jpg")
    found = names_of(inputs.find_sources([str(tmp_path)]))
    assert "summary.json" not in found
    assert len({name.casefold() for name in found}) == 3


def test_glob_characters_in_a_real_name(tmp_path):
    touch(tmp_path, "a[1].png")
    assert names_of(inputs.find_sources([str(tmp_path / "a[1].png")])) == ["a[1]"]


def test_nothing_to_find_says_what_is_allowed(tmp_path):
    touch(tmp_path / "empty", "notes.txt")
    for wanted, reason in (
        (tmp_path / "absent.png", "does not exist"),
        (tmp_path / "empty", "holds no pictures"),
        (tmp_path / "*.png", "matches no pictures"),
        ("sample:dog", "clock, astronaut"),
    ):
        with pytest.raises(ValueError, match=reason):
            inputs.find_sources([str(wanted)])


@pytest.mark.parametrize("name", samples.FILES)
def test_samples_are_there(name):
    (source,) = inputs.find_sources([f"sample:{name}"])
    assert source.name == name
    photo = images.read_photo(source.path)
    with Image.open(source.path) as image:
        expected = np.asarray(image)
    assert min(photo.pixels.shape[:2]) >= 256
    np.testing.assert_array_equal(np.rint(photo.pixels * 255).squeeze(), expected)
