"""Results beside the photos: whose folder is whose."""

import json
import pathlib

import pytest

from dem_jax.runtime.files import inputs, places, run_folder


def source(path, name="a"):
    return inputs.Source(path, name, str(path))


def test_a_sample_goes_to_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    sources = inputs.select(["sample:cat"]).sources
    assert places.beside(sources) == {"cat": tmp_path / "cat_deblurred"}


def test_a_current_folder_that_was_removed_is_one_sentence(tmp_path, monkeypatch):
    (tmp_path / "x").mkdir()
    monkeypatch.chdir(tmp_path / "x")
    (tmp_path / "x").rmdir()
    with pytest.raises(ValueError, match=r"current folder.*does not exist any more"):
        places.beside(inputs.select(["sample:cat"]).sources)


def test_every_photo_has_one_folder_and_none_is_shared(tmp_path):
    paths = [tmp_path / name for name in ("a.jpg", "a.png", "A.JPG", "x/a.jpg", "a", "b" * 250)]
    found = places.beside([source(path, str(n)) for n, path in enumerate(paths)])
    names = [folder.relative_to(tmp_path).as_posix() for folder in found.values()]
    whole = [f"{name}_deblurred" for name in ("a", "a.png", "A.JPG", "x/a", "a-2")]
    assert names[:-1] == whole
    assert len(names[-1]) < 255
    assert not list(tmp_path.iterdir())


def test_what_lies_there_decides_who_may_have_it(tmp_path):
    photo, folder = tmp_path / "a.jpg", tmp_path / "a_deblurred"
    other = {"a": tmp_path / "a.jpg_deblurred"}
    folder.symlink_to(tmp_path / "nowhere")
    assert places.beside([source(photo)]) == other
    folder.unlink()
    folder.mkdir()
    assert places.beside([source(photo)]) == {"a": folder}
    for label, expected in ((str(photo), {"a": folder}), (str(tmp_path / "a.png"), other)):
        (folder / "run.json").write_text(json.dumps({"input": label}))
        assert places.beside([source(photo)]) == expected


def test_results_are_no_photos(tmp_path):
    done, own = tmp_path / "a_deblurred", tmp_path / "b_deblurred"
    for folder in (done, own):
        folder.mkdir()
        (folder / "deblurred.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    run_folder.RunFolder(done).fail("a test")
    selection = inputs.select([f"{tmp_path}/**"])
    assert [pathlib.Path(found.path) for found in selection.sources] == [own / "deblurred.png"]
    assert {found.why for found in selection.left_out} == {"result"}
