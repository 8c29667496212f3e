"""Flagfiles are found by name, and what is none is told in one sentence."""

import pathlib

import pytest

from dem_jax.runtime.command.flagfiles import find_flagfiles


@pytest.mark.parametrize("name", ["configs/smoke.flags", "smoke"])
@pytest.mark.parametrize("words", [["--flagfile={}"], ["-flagfile={}"], ["--flagfile", "{}"]])
def test_a_flagfile_is_found_by_name_from_anywhere(tmp_path, monkeypatch, name, words):
    monkeypatch.chdir(tmp_path)
    (argument,) = find_flagfiles([word.format(name) for word in words])
    assert pathlib.Path(argument.removeprefix("--flagfile=")).is_file()


def test_one_at_hand_comes_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pathlib.Path("smoke").write_text("# mine\n--seed=3\n")
    assert find_flagfiles(["a.jpg", "--flagfile=smoke"]) == ["a.jpg", "--flagfile=smoke"]


def test_other_words_stay():
    words = ["--seed=1", "photo.jpg", "--", "--flagfile=photo"]
    assert find_flagfiles(words) == words


WRONG = {
    "folder": "is a folder",
    "absent": "does not exist",
    "": "does not exist",
    "photo.jpg": "is no text",
    "letter.txt": "does not begin with a flag",
}


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.parametrize("words", [["--flagfile={}"], ["--flagfile", "{}"]])
def test_what_is_no_flagfile_is_told_in_one_sentence(tmp_path, monkeypatch, name, words):
    monkeypatch.chdir(tmp_path)
    pathlib.Path("folder").mkdir()
    pathlib.Path("photo.jpg").write_bytes(b"\xff\xd8\xff")
    pathlib.Path("letter.txt").write_text("Dear all,\n")
    with pytest.raises(ValueError, match=f"^--flagfile={name} {WRONG[name]}; give a file") as error:
        find_flagfiles([word.format(name) for word in words])
    assert str(error.value).endswith("or one of best, large, nonuniform, paper, quickstart, smoke.")
