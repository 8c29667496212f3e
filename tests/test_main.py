"""The command line: photos come to results, and bad input becomes one sentence."""

import json
import pathlib

import cv2
import fake_solver
import jax
import numpy as np
import odd_files
import pytest
import tifffile

from dem_jax import main
from dem_jax.runtime.scale import memory
from dem_jax.solver import Solver


@pytest.fixture(autouse=True)
def _keep_jax_config():
    names = (
        "jax_default_matmul_precision",
        "jax_compilation_cache_dir",
        "jax_persistent_cache_min_compile_time_secs",
    )
    before = {name: getattr(jax.config, name) for name in names}
    yield
    for name, value in before.items():
        jax.config.update(name, value)


def write_picture(path, shape=(40, 48, 3)):
    rng = np.random.default_rng(0)
    assert cv2.imwrite(str(path), rng.integers(0, 256, shape, dtype=np.uint8))


BAD_FLAGS = {
    "nothing": ([], "try 'dem-jax photo.jpg'"),
    "missing file": (["--input={tmp}/absent.png"], "does not exist"),
    "no pictures": (["--input={tmp}/empty"], "holds no pictures"),
    "unknown flag": (["--input={photo}", "--em_iteration=3"], "em_iterations"),
    "unknown sample": (["--input=sample:dog"], "clock"),
    "not a number": (["--input={photo}", "--em_iterations=many"], "em_iterations"),
    "negative": (["--input={photo}", "--seed=-1"], "seed"),
    "even kernel": (["--input={photo}", "--kernel_size=30"], "try 31"),
    "no kernel": (["--input={photo}", "--kernel_size=huge"], "odd number"),
    "grid": (["--input={photo}", "--patch_grid=4"], "ROWSxCOLS"),
    "contradiction": (
        ["--input={photo}", "--blur=uniform", "--patch_grid=2x2"],
        "--patch_grid needs --blur=nonuni",
    ),
    "contradiction 2": (["--input={photo}", "--blur=nonuniform", "--patch_grid=1x1"], "contradict"),
    "unknown blur": (["--input={photo}", "--blur=gaussian"], "uniform"),
    "no flags in it": (["--input={photo}", "--flagfile={photo}"], "is no text; give a file"),
    "large seed": (["--input={photo}", f"--seed={2**32}"], "[0, 4294967295]"),
    "a folder of flagfiles": (["--input={photo}", "--flagfile={tmp}"], "is a folder; give a file"),
    "no flagfile": (["--input={photo}", "--flagfile=absent.flags"], "absent.flags"),
    "crop": (["--input={photo}", "--crop=1,2,3"], "X,Y,W,H"),
    "kernels": (["--input={photo}", "--init_kernels={photo}"], "give an .npy file"),
    "too grainy": (["--input={photo}", "--grain=2"], "grain=2"),
    "no such detail": (["--input={photo}", "--detail=fine"], "--detail=fine: give true or false"),
    "stray word": (["{photo}", "{tmp}/stray"], "does not exist"),
    "network": (["--input={photo}", "--image_network.channels=0"], "channels=0"),
}


@pytest.mark.parametrize("case", BAD_FLAGS)
def test_bad_flags_end_with_2_and_one_sentence_and_write_nothing(case, tmp_path, capsys):
    argv, reason = BAD_FLAGS[case]
    photo = tmp_path / "photo.png"
    write_picture(photo)
    (tmp_path / "empty").mkdir()
    argv = [argument.format(photo=photo, tmp=tmp_path) for argument in argv]
    if case != "nothing":
        argv.append(f"--output_dir={tmp_path / 'out'}")
    before = sorted(tmp_path.rglob("*"))
    assert main.run(argv) == 2
    said = capsys.readouterr()
    assert reason in said.err
    assert said.err.count("\n") == 1
    assert said.out == ""
    assert sorted(tmp_path.rglob("*")) == before


def test_unwritable_output_folder(tmp_path, capsys):
    photo = tmp_path / "photo.png"
    write_picture(photo)
    assert main.run([f"--input={photo}", f"--output_dir={photo}/out"]) == 2
    assert "cannot be written" in capsys.readouterr().err


def run_small(*argv):
    quick = ["--kernel_size=9", "--compilation_cache_dir="]
    return main.run([*map(str, argv), *quick], solver=fake_solver.FAKE)


def test_photos_without_a_flag_go_beside_themselves(tmp_path, capsys, monkeypatch):
    """A file, a folder, a glob, --input and a sample in one command; stdout names the pictures."""
    for name in ("one/a.png", "one/a.tiff", "two/b.png", "three/c.png", "d.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        write_picture(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    argv = ["one/a.png", "one/a.tiff", "two", "--seed=1", "thr*/*.png", "--input=d.png"]
    assert run_small(*argv, "sample:camera", "--crop=0,0,40,40") == 0
    folders = ["d", "one/a", "one/a.tiff", "two/b", "three/c", "camera"]
    pictures = [tmp_path / f"{name}_deblurred" / "deblurred.png" for name in folders]
    assert capsys.readouterr().out.splitlines() == [str(path) for path in pictures]
    assert all(path.is_file() for path in pictures)
    assert not list(tmp_path.rglob("summary.json"))


def test_a_photo_finds_its_folder_again_and_no_others(tmp_path, capsys):
    for name in ("a.png", "a.tiff", "b.png", "c.png"):
        write_picture(tmp_path / name)
    (tmp_path / "b_deblurred").write_text("a file")
    (tmp_path / "c_deblurred").mkdir()
    (tmp_path / "c_deblurred" / "deblurred.png").write_text("somebody's own")
    for names in (["a.tiff"], ["a.png", "a.tiff"], ["b.png", "c.png"]):
        assert run_small(*[tmp_path / name for name in names]) == 0
    said = capsys.readouterr()
    assert said.err.count("finished before") == 1
    folders = ["a", "a", "a.png", "b.png", "c.png"]  # finished ones come first
    expected = [str(tmp_path / f"{name}_deblurred" / "deblurred.png") for name in folders]
    assert said.out.splitlines() == expected
    assert (tmp_path / "c_deblurred" / "deblurred.png").read_text() == "somebody's own"
    assert run_small(f"{tmp_path}/**") == 1  # what is no picture but called one
    assert "result 3" in capsys.readouterr().err


def test_a_closed_folder_asks_for_another(tmp_path, capsys, monkeypatch):
    def refuse(self):
        raise OSError(30, "Read-only file system")

    write_picture(tmp_path / "a.png")
    monkeypatch.setattr(pathlib.Path, "touch", refuse)
    assert run_small(tmp_path / "a.png") == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "Give --output_dir=FOLDER" in said


def test_a_limit_too_small_for_any_photo_is_said(tmp_path, capsys, monkeypatch):
    write_picture(tmp_path / "a.png")
    monkeypatch.setattr(memory.resource, "getrlimit", lambda _: (2**30, 2**30))
    assert run_small(tmp_path / "a.png") == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "1.0 GB of memory (ulimit -v)" in said
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


@pytest.mark.parametrize("where", ["_ask", "driver.run"])
@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("can't start new thread")])
def test_no_memory_and_no_threads_are_no_traceback(tmp_path, capsys, monkeypatch, where, error):
    def exhausted(*_, **__):
        raise error

    write_picture(tmp_path / "a.png")
    monkeypatch.setattr(f"dem_jax.main.{where}", exhausted)
    assert run_small(tmp_path / "a.png") == 1
    said = capsys.readouterr().err
    assert said.startswith("dem_jax: no memory or no thread is left")
    assert said.count("\n") == 1


def make_bad_photo(kind, folder):
    path = folder / "bad.png"
    if kind == "truncated":
        write_picture(path)
        path.write_bytes(path.read_bytes()[:1000])
    elif kind == "text":
        path.write_text("not a picture")
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "one pixel":
        write_picture(path, (1, 1, 3))
    elif kind == "small":
        write_picture(path, (40, 20, 3))
    elif kind == "constant":
        assert cv2.imwrite(str(path), np.full((64, 64, 3), 99, np.uint8))
    elif kind == "transparent":
        assert cv2.imwrite(str(path), np.zeros((64, 64, 4), np.uint8))
    elif kind in ("nan", "inf"):
        path = folder / "bad.tiff"
        pixels = np.full((64, 64), 0.5, np.float32)
        pixels[3, 3] = float(kind)
        tifffile.imwrite(path, pixels)
    return path


BAD_PHOTOS = {
    "truncated": "damaged",
    "text": "not a picture",
    "empty": "is an empty file",
    "one pixel": "1x1",
    "small": "kernel_size=",
    "constant": "constant",
    "transparent": "wholly transparent",
    "nan": "NaN",
    "inf": "infinite",
}


@pytest.mark.parametrize("kind", BAD_PHOTOS)
def test_bad_photo_is_a_failed_entry_and_nothing_else(kind, tmp_path, capsys):
    path = make_bad_photo(kind, tmp_path)
    out = tmp_path / "out"
    argv = [f"--input={path}", f"--output_dir={out}", "--kernel_size=21", "--blur=uniform"]
    never = Solver(*[lambda *_: pytest.fail("the photo should have been refused")] * 4)
    assert main.run([*argv, "--compilation_cache_dir="], solver=never) == 1
    (entry,) = json.loads((out / "summary.json").read_text())["photos"]
    assert entry["status"] == "failed"
    assert BAD_PHOTOS[kind] in entry["error"]
    assert entry["error"].endswith(".")
    assert capsys.readouterr().err.strip().endswith(entry["error"].removeprefix(f"{path} "))
    assert {p.name for p in out.rglob("*")} == {"summary.json", "bad", "run.json"}


def test_every_file_of_a_folder_is_accounted_for(tmp_path, capsys):
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    write_picture(folder / "good.png")
    (folder / "cut.jpg").write_bytes(b"\xff\xd8\xff\xe0" + bytes(30))
    (folder / "notes.txt").write_text("hello")
    (folder / "film.mp4").write_bytes(b"\0\0\0\x18ftypisom" + bytes(30))
    (folder / "inner").mkdir()
    write_picture(folder / "inner" / "deep.png")
    argv = [f"--input={folder}", f"--output_dir={out}", "--kernel_size=9", "--blur=uniform"]
    assert main.run([*argv, "--compilation_cache_dir="], solver=fake_solver.FAKE) == 1
    assert "2 files skipped, as they are no pictures: mp4 1, txt 1." in capsys.readouterr().err
    summary = json.loads((out / "summary.json").read_text())
    assert {photo["name"]: photo["status"] for photo in summary["photos"]} == {
        "good": "done",
        "cut": "failed",
    }
    skipped = {pathlib.Path(entry["input"]).name: entry["why"] for entry in summary["skipped"]}
    inner = {"inner": "folder inside, not searched"}
    assert skipped == {"notes.txt": "txt", "film.mp4": "mp4"} | inner
    argv[0] = f"--input={folder}/**"
    assert main.run([*argv, "--compilation_cache_dir="], solver=fake_solver.FAKE) == 1
    summary = json.loads((out / "summary.json").read_text())
    assert summary["counts"] == {"done": 2, "failed": 1}
    assert {pathlib.Path(entry["input"]).name for entry in summary["skipped"]} == set(skipped) - {
        "inner"
    }


def thirty_odd_files():
    """name -> (content, what becomes of it)."""
    picture, cut = odd_files.saved("PNG"), odd_files.saved("JPEG", quality=95)
    wide, floats = odd_files.PIXELS.astype(np.uint16) * 257, np.float32(odd_files.PIXELS) / 255
    done = {
        "a.png": picture,
        "a.jpg": cut,
        "a.bmp": odd_files.saved("BMP"),
        "a.gif": odd_files.saved("GIF"),
        "a.webp": odd_files.saved("WEBP"),
        "a.jp2": odd_files.saved("JPEG2000"),
        "a.avif": odd_files.saved("AVIF"),
        "a.ppm": odd_files.saved("PPM"),
        "grey.pgm": odd_files.saved("PPM", odd_files.PIXELS[..., 0]),
        "sixteen.tif": odd_files.tiff(wide, photometric="rgb"),
        "float.tif": odd_files.tiff(floats, photometric="rgb"),
        "preview.dng": odd_files.dng(wide, odd_files.PIXELS[:8, :8]),
        "noname": picture,
        "wrong.jpg": picture,
        "[1].png": picture,
        "写真.png": picture,
        "x" * 200 + ".png": picture,
        "sum.png": odd_files.with_chunk(b"tEXt", b"a\0b", sound=False),
        "last.jpg": cut[:-1],
    }
    failed = {
        "empty.png": b"",
        "text.jpg": b"hello",
        "half.webp": odd_files.saved("WEBP", lossless=True)[:900],
        "layers.psd": b"8BPS\0\1" + bytes(30),
        "beyond.tif": odd_files.tiff(255 * floats, photometric="rgb"),
        "flat.png": odd_files.saved("PNG", np.full_like(odd_files.PIXELS, 99)),
        "tiny.png": odd_files.saved("PNG", odd_files.PIXELS[:1, :1]),
    }
    skipped = {
        "notes.txt": b"hello",
        "film.mp4": b"\0\0\0\x18ftypisom" + bytes(30),
        "paper.pdf": b"%PDF-1.4",
        ".hidden.png": picture,
        "...png": picture,
    }
    groups = {"done": done, "failed": failed, "skipped": skipped}
    return {name: (data, fate) for fate, group in groups.items() for name, data in group.items()}


def test_a_folder_of_thirty_odd_files(tmp_path, capsys):
    files, folder, out = thirty_odd_files(), tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    for name, (data, _) in files.items():
        (folder / name).write_bytes(data)
    assert len(files) > 30
    assert run_small(folder, f"--output_dir={out}", "--blur=uniform") == 1
    summary = json.loads((out / "summary.json").read_text())
    fates = {pathlib.Path(entry["input"]).name: "skipped" for entry in summary["skipped"]}
    fates |= {pathlib.Path(entry["input"]).name: entry["status"] for entry in summary["photos"]}
    assert fates == {name: fate for name, (_, fate) in files.items()}
    said = capsys.readouterr()
    assert len(said.out.splitlines()) == summary["counts"]["done"]
    assert "5 files skipped, as they are hidden or no pictures" in said.err
