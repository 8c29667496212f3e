"""Every name a file can have becomes a folder of its own inside the output folder."""

import pathlib

import pytest

from dem_jax.runtime.files import names


@pytest.mark.parametrize(
    ("file", "folder"),
    [
        ("a.png", "a"),
        ("a.b.png", "a.b"),
        ("...png", "photo"),
        ("..png", "photo"),
        ("写真 1.jpg", "写真 1"),
        ("a\nb.png", "a%0Ab"),
        ("\x1b[31mred.png", "%1B[31mred"),
        ("caf\udce9.png", "caf%E9"),
    ],
)
def test_names_of_folders(file, folder):
    assert names.folder_name(pathlib.Path("x") / file) == folder


def test_long_names_leave_room_for_what_is_appended():
    for letter in ("a", "写"):
        name = names.folder_name(pathlib.Path(letter * (240 // len(letter.encode())) + ".png"))
        assert len(name.encode()) <= 180
        assert name.startswith(letter * 50)


def test_names_stay_apart():
    pairs = [("a", ".png"), ("A", ".jpg"), ("b", ".png"), ("b", ".png"), ("summary.json", ".png")]
    found = names.distinct(pairs, ["summary.json"])
    assert found == ["a.png", "A.jpg", "b.png", "b.png-2", "summary.json-2"]
    composed, decomposed = "\u00e9", "e\u0301"
    assert len(set(names.distinct([(composed, ".png"), (decomposed, ".jpg")], []))) == 2
    assert names.key(composed) == names.key(decomposed)
