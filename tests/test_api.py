"""The public names keep their promises: keys first, options by name, shapes and examples told."""

import doctest
import importlib
import inspect
import pathlib
import re

import jax
import jax.numpy as jnp
import pytest

import dem_jax
from dem_jax import blur, langevin, mcem, solver
from dem_jax.em import m_step, result
from dem_jax.em import state as em_state
from dem_jax.model import paper_model
from dem_jax.start import overview
from dem_jax.start import problem as start_problem

PACKAGE = pathlib.Path(dem_jax.__file__).parent
WITH_EXAMPLES = sorted(
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
    for path in PACKAGE.rglob("*.py")
    if ">>> " in path.read_text()
)
MODULES = [
    *(blur, langevin, mcem, m_step, overview, paper_model, result, solver, em_state, start_problem)
]
FUNCTIONS = {
    f"{module.__name__}.{name}": function
    for module in MODULES
    for name, function in vars(module).items()
    if inspect.isfunction(function)
    and function.__module__ == module.__name__
    and not name.startswith("_")
}


def test_what_is_public():
    assert set(dem_jax.__all__) <= set(vars(dem_jax))
    assert len(FUNCTIONS) > 20
    for name in dem_jax.__all__:
        value = getattr(dem_jax, name)
        if not name.startswith("__"):
            assert inspect.getdoc(value), name


@pytest.mark.parametrize("name", FUNCTIONS)
def test_keys_come_first_and_options_by_name(name):
    parameters = list(inspect.signature(FUNCTIONS[name]).parameters.values())
    names = [parameter.name for parameter in parameters]
    assert "rng" not in names
    assert "seed" not in names
    if "key" in names:
        assert names[0] == "key"
    for parameter in parameters:
        assert parameter.annotation is not inspect.Parameter.empty, parameter.name
        if parameter.default is not inspect.Parameter.empty:
            assert parameter.kind is inspect.Parameter.KEYWORD_ONLY, parameter.name


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_say_what_they_take_and_give(name):
    text = inspect.getdoc(FUNCTIONS[name])
    assert text.split("\n")[0].endswith((".", ":")), "one sentence first"
    returns = inspect.signature(FUNCTIONS[name]).return_annotation
    if "jax.Array" in str(returns) or "np.ndarray" in str(returns):
        assert re.search(r"\[[A-Za-z0-9_+\-, .]*\]", text), "shapes"
    if "finish" not in name and "prepare" not in name:
        assert ">>>" in text, "an example"


def shapes_of_a_run():
    """What the docstring of mcem says its examples have; computing it would take too long."""
    config = dem_jax.DeblurConfig(kernel_size=5, num_chains=2, samples_per_chain=3)
    key, photo = jax.random.key(0), jax.ShapeDtypeStruct((32, 40, 3), jnp.float32)
    problem = jax.eval_shape(lambda g: start_problem.prepare(key, g, config), photo)
    state = jax.eval_shape(lambda p: mcem.init(key, p, config), problem)
    return {"config": config, "key": key, "problem": problem, "state": state}


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_examples_of_docstrings_run(name):
    """Those of every module that has any; all of em has what the docstring of mcem says."""
    shapes = shapes_of_a_run() if name.startswith("dem_jax.em.") else {}
    failed, tried = doctest.testmod(importlib.import_module(name), extraglobs=shapes)
    assert tried > 0
    assert failed == 0


def test_public_modules_have_examples():
    assert {module.__name__ for module in MODULES} <= set(WITH_EXAMPLES)


def test_every_public_name_is_in_the_documentation():
    pages = sorted((pathlib.Path(__file__).parents[1] / "docs" / "api").glob("*.md"))
    text = "\n".join(page.read_text() for page in pages)
    named = set(re.findall(r"^\.\. auto\w+:: ([\w.]+)", text, re.M))
    for name in set(dem_jax.__all__) - {"__version__"}:
        value = getattr(dem_jax, name)
        assert (value.__name__ if inspect.ismodule(value) else name) in named
