"""What the documents say exists."""

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


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_scripts_parse(path):
    assert path.read_text().strip()
    if path.read_text().startswith("#!/usr/bin/env python"):
        compile(path.read_text(), str(path), "exec")
    else:
        subprocess.run(["bash", "-n", str(path)], check=True)
