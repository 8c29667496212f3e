"""Inputs that users name become photos, each once, with names of their own."""

import os

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
        assert names_of(inputs.select(wanted).sources) == ["a", "b"]


def test_shared_stems_get_their_ending_then_a_number(tmp_path):
    touch(tmp_path / "x", "a.png", "a.jpg", "b.png")
    touch(tmp_path / "y", "a.png")
    found = inputs.select([str(tmp_path / "x"), str(tmp_path / "y")]).sources
    assert names_of(found) == ["a.jpg", "a.png", "b", "a.png-2"]


def test_names_never_meet_the_summary_or_each_other_in_capitals(tmp_path):
    touch(tmp_path, "summary.json.png", "A.png", "a.jpg")
    found = names_of(inputs.select([str(tmp_path)]).sources)
    assert "summary.json" not in found
    assert len({name.casefold() for name in found}) == 3


def test_glob_characters_in_a_real_name(tmp_path):
    touch(tmp_path, "a[1].png")
    assert names_of(inputs.select([str(tmp_path / "a[1].png")]).sources) == ["a[1]"]


def test_nothing_to_find_says_what_is_allowed(tmp_path):
    touch(tmp_path / "empty", "notes.txt")
    for wanted, reason in (
        (tmp_path / "absent.png", "does not exist"),
        (tmp_path / "empty", "holds no pictures"),
        (tmp_path / "*.png", "matches no pictures"),
        ("sample:dog", "clock, astronaut"),
    ):
        with pytest.raises(ValueError, match=reason):
            inputs.select([str(wanted)])


@pytest.mark.parametrize("name", samples.FILES)
def test_samples_are_there(name):
    (source,) = inputs.select([f"sample:{name}"]).sources
    assert source.name == name
    photo = images.read_photo(source.path)
    with Image.open(source.path) as image:
        expected = np.asarray(image)
    assert min(photo.pixels.shape[:2]) >= 256
    np.testing.assert_array_equal(np.rint(photo.pixels * 255).squeeze(), expected)


def test_two_stars_go_into_folders(tmp_path):
    touch(tmp_path, "a.png")
    touch(tmp_path / "x" / "y", "b.png", "c.txt")
    found = inputs.select([str(tmp_path / "**" / "*.png")])
    assert names_of(found.sources) == ["a", "b"]
    found = inputs.select([str(tmp_path / "**")])
    assert names_of(found.sources) == ["a", "b"]
    assert found.remarks == ["1 file skipped, as it is no picture: txt 1."]


def test_pictures_are_found_by_content_and_the_rest_is_counted(tmp_path):
    touch(tmp_path, "IMG_1.HEIC", "a.png", "notes.txt", "more.txt", ".hidden.png")
    (tmp_path / "no_ending").write_bytes(b"\xff\xd8\xff\xe0" + bytes(30))
    (tmp_path / "poster.psd").write_bytes(b"8BPS\0\1" + bytes(30))
    (tmp_path / "film.mp4").write_bytes(b"\0\0\0\x18ftypisom" + bytes(30))
    touch(tmp_path / "inner", "b.png")
    found = inputs.select([str(tmp_path)])
    assert names_of(found.sources) == ["IMG_1", "a", "no_ending", "poster"]
    assert found.remarks[0] == (
        "4 files skipped, as they are hidden or no pictures: hidden 1, mp4 1, txt 2."
    )
    assert "1 folder inside was not searched" in found.remarks[1]
    assert f"--input='{tmp_path}/**'" in found.remarks[1]
    assert len(found.sources) + len(found.left_out) == len(list(tmp_path.iterdir())) - 1


def test_folders_that_were_not_searched_are_named(tmp_path, monkeypatch):
    touch(tmp_path, "a.png")
    for name in ("inner/deep", "closed", ".hidden"):
        touch(tmp_path / name, "b.png")
    found = inputs.select([str(tmp_path)])
    expected = {str(tmp_path / name): "folder inside, not searched" for name in ("inner", "closed")}
    expected[str(tmp_path / ".hidden")] = "hidden folder"
    assert dict(found.unsearched) == expected
    assert found.remarks == [
        f"2 folders inside were not searched, such as {tmp_path}/closed; "
        f"--input='{tmp_path}/**' does so.",
        f"1 folder inside was not searched, such as {tmp_path}/.hidden, a hidden folder.",
    ]

    scandir = os.scandir

    def refuse(path):
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    for pattern in ("**", "**/*.png"):
        found = inputs.select([f"{tmp_path}/{pattern}"])
        assert names_of(found.sources) == ["a", "b"]
        assert dict(found.unsearched) == {
            str(tmp_path / ".hidden"): "hidden folder",
            str(tmp_path / "closed"): "folder that cannot be read: Permission denied",
        }
        (remark,) = found.remarks
        assert remark == (
            f"2 folders inside were not searched, such as {tmp_path}/.hidden, a hidden folder."
        )


def test_results_are_no_folders_to_search(tmp_path):
    touch(tmp_path, "a.png")
    touch(tmp_path / "a_deblurred", "run.json", "deblurred.png")
    found = inputs.select([str(tmp_path)])
    assert names_of(found.sources) == ["a"]
    assert list(found.unsearched) == found.remarks == []


def test_links_that_lead_round_are_entered_once(tmp_path):
    touch(tmp_path / "in" / "a", "x.png")
    touch(tmp_path / "elsewhere" / "far", "y.png")
    (tmp_path / "in" / "a" / "up").symlink_to("..")
    (tmp_path / "in" / "0").symlink_to("a")
    (tmp_path / "in" / "b").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "far" / "back").symlink_to(tmp_path / "elsewhere")
    for pattern in ("**", "**/*.png", "**/**/*.png"):
        found = inputs.select([f"{tmp_path}/in/{pattern}"]).sources
        paths = [str(source.path.relative_to(tmp_path / "in")) for source in found]
        assert paths == ["a/x.png", "b/far/y.png"]


def test_links_are_photos_by_their_own_names(tmp_path):
    touch(tmp_path / "real", "x.png")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "first.png").symlink_to(tmp_path / "real" / "x.png")
    (tmp_path / "in" / "second.jpg").symlink_to(tmp_path / "real" / "x.png")
    (tmp_path / "in" / "broken.png").symlink_to(tmp_path / "absent.png")
    found = inputs.select([str(tmp_path / "in")]).sources
    assert names_of(found) == ["broken", "first", "second"]
    assert [source.path.parent for source in found] == [tmp_path / "in"] * 3
    with pytest.raises(images.PhotoError, match="cannot be read"):
        images.read_photo(found[0].path)


def test_brackets_of_folders_and_names_are_meant_as_written(tmp_path):
    touch(tmp_path / "2024 [Italy]", "a[1].png", "b.png")
    folder = str(tmp_path / "2024 [Italy]")
    for wanted, expected in (
        (folder, ["a[1]", "b"]),
        (f"{folder}/*.png", ["a[1]", "b"]),
        (f"{folder}/**/*.png", ["a[1]", "b"]),
        (f"{folder}/a[1]*.png", ["a[1]"]),
        (f"{folder}/[b].png", ["b"]),
    ):
        assert names_of(inputs.select([wanted]).sources) == expected


def test_bytes_that_are_no_text_and_names_without_end(tmp_path):
    (tmp_path / "caf\udce9.png").write_bytes(b"")
    (source,) = inputs.select([str(tmp_path)]).sources
    assert source.name == "caf%E9"
    source.label.encode("utf-8")
    assert source.path.exists()
    with pytest.raises(ValueError, match="does not exist"):
        inputs.select(["x" * 5000])
    with pytest.raises(ValueError, match="does not exist"):
        inputs.select(["~nobody/photo.png"])


def test_pipes_are_never_opened(tmp_path):

    touch(tmp_path, "a.png")
    os.mkfifo(tmp_path / "pipe.png")
    found = inputs.select([str(tmp_path)])
    assert names_of(found.sources) == ["a"]
    assert found.left_out[0].why == "device or pipe"
    with pytest.raises(ValueError, match="a device or a pipe"):
        inputs.select([str(tmp_path / "pipe.png")])
