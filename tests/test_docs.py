"""What the documents say exists."""

import ast
import pathlib
import re
import subprocess

import pytest

from dem_jax.runtime.command.flags import define_flags

ROOT = pathlib.Path(__file__).parents[1]
DOCUMENTS = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "benchmarks" / "NOTEBOOK.md"]
)
SCRIPTS = sorted(
    path
    for path in [*(ROOT / "bin").iterdir(), ROOT / ".ci" / "run"]
    if path.suffix in ("", ".sh") and path.is_file() and path.name != "Dockerfile"
)


def test_flags_of_the_readme_exist():
    rows = re.findall(r"^\| (`--.*?) \|", (ROOT / "README.md").read_text(), re.M)
    named = {name for row in rows for name in re.findall(r"`--(\w+)`", row)}
    assert 0 < len(named) <= 8  # a reader has a minute; --help has them all
    known = set(define_flags())
    assert named - {"flagfile"} <= known


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_to_files_resolve(path):
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", path.read_text())
    missing = [
        target for target in targets if "://" not in target and not (path.parent / target).exists()
    ]
    assert missing == []


def names_in(path):
    """Functions, classes and Class.method of a file."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            yield node.name
        if isinstance(node, ast.ClassDef):
            yield from (f"{node.name}.{part.name}" for part in node.body if hasattr(part, "name"))


@pytest.mark.parametrize("path", [ROOT / "CONTRIBUTING.md", ROOT / "docs" / "method.md"])
def test_functions_that_are_named_with_their_file_are_there(path):
    """Written as `room/file.py`: `function`, `function`."""
    found = re.findall(r"`([\w/]+\.py)`:((?:,?\s+`[\w.]+`)+)", path.read_text())
    assert len(found) > 5
    for file, named in found:
        known = set(names_in(ROOT / "dem_jax" / file))
        assert set(re.findall(r"`([\w.]+)`", named)) <= known, file


def test_a_photo_comes_back_to_no_file():
    """On its way as CONTRIBUTING.md tells it, by at most 45 functions."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    way = text[text.index("comes by these functions") : text.index("## House rules")]
    files = re.findall(r"`([\w/]+\.py)`:", way)
    assert len(files) == len(set(files)) > 20
    named = [name for name in re.findall(r"`([\w./]+)`", way) if not name.endswith(("/", ".py"))]
    assert len(named) <= 45


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_scripts_parse(path):
    assert path.read_text().strip()
    if path.read_text().startswith("#!/usr/bin/env python"):
        compile(path.read_text(), str(path), "exec")
    else:
        subprocess.run(["bash", "-n", str(path)], check=True)
