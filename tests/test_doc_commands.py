"""Commands that documents and headers tell people to type: each parses, the programs' own run.

Nothing is run to see whether a command parses: the program's own flags, or the script's own
argparse, read its words.
"""

import argparse
import ast
import contextlib
import dataclasses
import functools
import json
import pathlib
import re
import runpy
import shlex
import sys
import textwrap

import jax
import numpy as np
import pytest
from absl import flags
from PIL import Image

import dem_jax
from dem_jax import evaluate, main, shake
from dem_jax.config import ImageNetworkConfig, KernelNetworkConfig
from dem_jax.runtime.command.flagfiles import find_flagfiles
from dem_jax.runtime.command.flags import define_flags
from dem_jax.runtime.command.options import make_options

JAX_CONFIG = (  # what main.run sets
    "jax_default_matmul_precision",
    "jax_compilation_cache_dir",
    "jax_persistent_cache_min_compile_time_secs",
)
ROOT = pathlib.Path(__file__).parents[1]
SOURCES = [
    *sorted(ROOT.glob("*.md")),
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted(path for path in (ROOT / "bin").iterdir() if path.is_file()),
    *sorted((ROOT / "configs").glob("*.flags")),
    *sorted((ROOT / "benchmarks").rglob("*.py")),
    *sorted((ROOT / "benchmarks").rglob("*.flags")),
    ROOT / "benchmarks" / "NOTEBOOK.md",
    *(ROOT / "dem_jax" / f"{name}.py" for name in ("main", "evaluate", "shake")),
]
PROGRAM = re.compile(
    r"""(?:"?\S*\bpython3?"?[ ]-m[ ]dem_jax\.(?P<module>main|evaluate|shake)
        |\S*bin/(?P<console>dem-jax)"?(?=[ ])|^(?P<plain>dem-jax)(?=[ ])
        |(?P<image>docker[ ]run.*?[ ]dem_jax:\w+)
        |python[ ](?:-m[ ](?P<script>benchmarks[.\w]+)|(?P<path>benchmarks/[\w/]+)\.py))
        (?P<rest>.*)""",
    re.VERBOSE,
)


@dataclasses.dataclass(frozen=True)
class Command:
    source: str
    program: str
    words: list[str]
    inline: bool  # within a sentence, where --input may be left out

    def __str__(self):
        return f"{self.source}: {self.program} {' '.join(self.words)}"


def commands_of(path):
    """The commands of one file; of a program, those of its docstring or its comments."""
    text = path.read_text()
    if path.suffix == ".py":
        text = ast.get_docstring(ast.parse(text), clean=False) or ""
    else:
        text = re.sub(r"^#(?!!)", " ", text, flags=re.M)
    text = re.sub(r"\s*\\\n\s*|\n\s+(?=\[--)", " ", text)  # continued lines
    for line in text.splitlines():
        spans = re.findall(r"`+([^`]+)`+", line)
        for piece in spans or [line]:
            found = PROGRAM.search(piece.strip())
            if found and (spans or re.match(r"\s", line) or path.suffix == ""):
                yield from _command(path, found, bool(spans))


def _command(path, found, inline):
    rest = re.split(r"\s+(?:>|2>|&&|\||#|\() ?", found["rest"])[0]
    rest = re.sub(r"\[-- FLAGS\]|[\[\]]|\.\.\.| FLAGS\b", " ", rest)  # optional parts are given
    rest = re.sub(r"=N\b", "=2", rest)
    rest = re.sub(r"(=\w+)(?:\|\w+)+", r"\1", rest)  # the first of several choices
    with contextlib.suppress(ValueError):  # half a command of a script, in shell's own language
        words = shlex.split(rest)
        if "$" not in rest:
            script = found["script"] or (found["path"] or "").replace("/", ".")
            name = script or f"dem_jax.{found['module'] or 'main'}"
            yield Command(str(path.relative_to(ROOT)), name, words, inline)


def all_commands():
    """Every command once, in the order of the documents."""
    found = [command for path in SOURCES if path.exists() for command in commands_of(path)]
    return list({str(command): command for command in found}.values())


class Parsed(Exception):
    """Thrown in place of a benchmark's work: what its parser left over."""


@pytest.fixture
def parse_script(monkeypatch):
    """Runs a script up to the end of its argparse; returns (its arguments, words left over)."""
    parse = argparse.ArgumentParser.parse_known_args

    def stop(self, args=None, namespace=None):
        raise Parsed(*parse(self, args, namespace))

    def stop_strictly(self, args=None, namespace=None):
        known, rest = parse(self, args, namespace)
        assert rest == []
        raise Parsed(known, rest)

    def run(script, words):
        monkeypatch.syspath_prepend(str(ROOT))
        monkeypatch.setattr(argparse.ArgumentParser, "parse_known_args", stop)
        monkeypatch.setattr(argparse.ArgumentParser, "parse_args", stop_strictly)
        monkeypatch.setattr(sys, "argv", [script, *words])
        path = ROOT / f"{script.replace('.', '/')}.py"
        with pytest.raises(Parsed) as parsed:
            runpy.run_path(str(path), run_name="__main__")
        return parsed.value.args

    return run


def check_main(words, *, complete=True):
    """The words are flags of dem_jax.main with values that it takes."""
    words = [re.sub("^--flagfile=(?=.*/)", f"--flagfile={ROOT}/", word) for word in words]
    for word in words:
        if word.startswith("--flagfile=") and "/" in word:
            assert pathlib.Path(word.partition("=")[2]).is_file(), word
    values = define_flags()
    photos = values(["dem_jax", *find_flagfiles(words)])[1:]
    assert all(re.fullmatch(r"[\w./:*-]+", photo) for photo in photos), photos
    given = values.flag_values_dict()
    helps = given["help"] or given["helpfull"]
    assert photos or given["input"] or helps or not complete, "no photo is given"
    if path := given["init_kernels"]:
        pathlib.Path(path).parent.mkdir(parents=True)
        np.save(path, np.full((3, 3), 1 / 9))
    if given["kernel_size"] == "LIST":
        pathlib.Path("LIST").write_text("photo.jpg 21\n")
    make_options(values)


def check_shake(words):
    values = shake.define_flags()
    assert values(["shake", *words]) == ["shake"]
    assert values["path"].value.partition(":")[0] in shake.PATHS
    noise, _, level = values["noise"].value.partition(":")
    assert noise == "none" or (noise in shake.NOISES and float(level) >= 0)
    shake._grid(values["patch_grid"].value)


@pytest.mark.parametrize("command", all_commands(), ids=str)
def test_command_parses(command, parse_script, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = command.words
    if command.program == "dem_jax.main":
        check_main(words, complete=not command.inline)
    elif command.program == "dem_jax.evaluate":
        assert evaluate.define_flags()(["evaluate", *words]) == ["evaluate"]
    elif command.program == "dem_jax.shake":
        if words != ["--input="]:  # the module's own first line
            check_shake(words)
    else:
        _, rest = parse_script(command.program, words)
        check_main([word for word in rest if word != "--"], complete=False)


def test_commands_are_found():
    """The net has no hole: each kind of place and each kind of program is among the commands."""
    found = all_commands()
    sources = {command.source for command in found}
    assert {"README.md", "docs/tutorial.md", "docs/scoring.md", "bin/demo"} <= sources
    assert {f"configs/{path.name}" for path in (ROOT / "configs").iterdir()} <= sources
    programs = {command.program for command in found}
    assert {f"dem_jax.{name}" for name in ("main", "evaluate", "shake")} <= programs
    written = {path.stem for path in (ROOT / "benchmarks").rglob("*.py")}
    called = {name.rpartition(".")[2] for name in programs if name.startswith("benchmarks")}
    assert written - called == {"__init__", "common", "simulated", "run_all", "torch_unet"}


@pytest.mark.parametrize(
    "words",
    [
        ["--flagfile=configs/quickest.flags"],
        ["--kernel_sise=21"],
        ["--kernel_size=20"],
        ["--crop=1,2,3"],
        ["effort=quick"],
    ],
)
def test_wrong_commands_are_found_out(words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises((AssertionError, ValueError, flags.Error)):
        check_main([*words, "photo.jpg"])


@pytest.mark.parametrize("words", [["--kernals=3"], ["--size=large"]])
def test_wrong_arguments_of_scripts_are_found_out(words, parse_script):
    with pytest.raises((AssertionError, SystemExit)):
        parse_script("benchmarks.speed.chains", words)


@pytest.mark.parametrize("path", [p for p in SOURCES if p.suffix == ".md"], ids=lambda p: p.name)
def test_named_files_exist(path):
    """Scripts of bin/, tests, benchmarks and flagfiles that a document names."""
    folders = "bin|tests|benchmarks|configs|examples"
    named = re.findall(rf"(?<![\w/.-])((?:{folders})/[\w/.]*\w)", path.read_text())
    assert [name for name in named if not (ROOT / name).exists()] == []


@pytest.fixture
def stand_ins(tmp_path, monkeypatch):
    """A folder with the files that the commands ask of their reader, tiny."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for name in ("photo.jpg", "photo.png", "sharp.png"):  # grey, as the clock is: one program
        Image.fromarray(rng.integers(0, 256, (64, 72), dtype=np.uint8)).save(name)
    truth, result = pathlib.Path("DATA/levin/sharp/im1.png"), pathlib.Path("out/im1_kernel1")
    for path in (truth, result / "deblurred.png"):
        path.parent.mkdir(parents=True)
        Image.fromarray(rng.integers(0, 256, (80, 80), dtype=np.uint8)).save(path)
    before = {name: getattr(jax.config, name) for name in JAX_CONFIG}
    yield tmp_path
    for name, value in before.items():
        jax.config.update(name, value)


def cropped(photo, values):
    """What makes every picture one of 72 x 64 pixels."""
    if "--crop" in values:
        return ["--crop=0,0,72,64"]
    return ["--crop=100,100,72,64"] if photo == "sample:clock" else []


def in_documents(*names):
    return [command for command in all_commands() if command.source in names and not command.inline]


@pytest.mark.slow  # minutes of compilation
def test_commands_of_readme_and_tutorial_run(stand_ins):
    """In order, since later ones use what earlier ones left; only --crop has other numbers."""
    cache = jax.config.jax_compilation_cache_dir
    tiny = ["--flagfile=smoke", f"--compilation_cache_dir={cache}", "--overwrite"]
    for command in in_documents("README.md", "docs/tutorial.md"):
        values = dict(word.partition("=")[::2] for word in command.words)
        (photo,) = [word for word in command.words if not word.startswith("--")]
        assert main.run([*command.words, *tiny, *cropped(photo, values)]) == 0, command
        name = pathlib.Path(photo.removeprefix("sample:")).stem
        folder = pathlib.Path(f"{name}_deblurred")
        if "--output_dir" in values:
            folder = pathlib.Path(values["--output_dir"], name)
        record = json.loads((folder / "run.json").read_text())
        assert record["status"] == "done"
        assert record["linear_light"] == ("--linear_light" in values)
        assert bool(record["psnr"]) == ("--ground_truth" in values)
        with Image.open(folder / "deblurred.png") as image:
            assert image.size == (72, 64)


@pytest.mark.slow
def test_commands_of_scoring_run(stand_ins):
    for command in in_documents("docs/scoring.md"):
        program = {"dem_jax.evaluate": evaluate, "dem_jax.shake": shake}[command.program]
        assert program.run(command.words) == 0, command
    assert json.loads(pathlib.Path("scores.json").read_text())["failed"] == {}
    assert np.load("kernels.npy").shape == (16, 31, 31)
    with Image.open("blurry.png") as image:
        assert image.size == (512, 512)


@pytest.mark.slow  # compilation
def test_python_of_the_readme_runs(monkeypatch):
    text = (ROOT / "README.md").read_text().split("## From Python")[1]
    code = textwrap.dedent("\n".join(re.findall(r"^(?: {4}.*)?$", text, re.M)))
    few = {"em_iterations": 1, "samples_per_chain": 2, "burn_in": 2, "thinning": 1, "m_steps": 2}
    few["image_network"] = ImageNetworkConfig(channels=4, levels=1)
    few["kernel_network"] = KernelNetworkConfig(channels=(4,))
    small = functools.partial(dem_jax.DeblurConfig, num_chains=1, detail_iterations=2, **few)
    monkeypatch.setattr(dem_jax, "DeblurConfig", small)
    names = {"blurry": jax.random.uniform(jax.random.key(1), (64, 72, 3))}
    exec(code, names)
    result = names["result"]
    assert result.latent.shape == result.std.shape == (64, 72, 3)
    assert result.kernels.shape == (1, 31, 31)
    np.testing.assert_allclose(result.kernels.sum(), 1, rtol=1e-4)
    assert result.confidence.shape == ()
