"""Imports go one way: runtime -> solver -> start, em -> solve -> model."""

import ast
import pathlib

import pytest

PACKAGE = pathlib.Path(__file__).parents[1] / "dem_jax"
# What each room may import besides itself.
GROUND = {"types", "config"}
ALLOWED = {
    "types": set(),
    "config": set(),
    "run_keys": set(),
    "model": GROUND,
    "solve": GROUND | {"model"},
    "start": GROUND | {"model", "solve"},
    "em": GROUND | {"model", "solve"},
    "solver": GROUND | {"run_keys", "model", "start", "em"},
    "evaluation": set(),
    "runtime": GROUND
    | {"run_keys", "model", "solve", "start", "em", "solver", "evaluation", "__version__"},
}


def rooms_of_imports(path):
    """The rooms of dem_jax that the file at `path` imports from, inside functions too."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            package, *room = node.module.split(".")
            if package == "dem_jax":
                yield from room[:1] or [alias.name for alias in node.names]


@pytest.mark.parametrize("room", ALLOWED)
def test_imports_go_one_way(room):
    folder = PACKAGE / room
    files = sorted(folder.rglob("*.py")) if folder.is_dir() else [folder.with_suffix(".py")]
    for path in files:
        wrong = set(rooms_of_imports(path)) - ALLOWED[room] - {room}
        assert not wrong, f"{path.relative_to(PACKAGE)} imports {sorted(wrong)}"


def test_every_file_lives_in_a_room():
    found = {path.stem for path in PACKAGE.glob("*") if path.suffix in ("", ".py")}
    others = {"__init__", "__pycache__", "main", "shake", "evaluate", "configs"}
    assert found - others == set(ALLOWED)


@pytest.mark.parametrize("room", sorted(set(ALLOWED) - {"runtime", "evaluation"}))
def test_the_library_never_jits_configures_or_seeds(room):
    folder = PACKAGE / room
    files = sorted(folder.rglob("*.py")) if folder.is_dir() else [folder.with_suffix(".py")]
    for path in files:
        calls = {
            ast.unparse(node.func)
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Call)
        }
        assert not calls & {"jax.jit", "jax.config.update", "jax.random.key", "print"}, path
