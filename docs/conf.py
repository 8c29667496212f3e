"""The site's settings. `bin/docs` builds it; nothing is fetched from the network."""

import dataclasses
import inspect
import re
import sys

import dem_jax

project = "dem_jax"
author = "The dem_jax authors"
version = release = dem_jax.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
html_theme = "furo"
html_title = f"dem_jax {release}"
myst_heading_anchors = 3
exclude_patterns = ["_build"]
default_role = "code"  # docstrings have names in single backticks
smartquotes = False  # "--flag" has two hyphens
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_default_options = {"members": True, "undoc-members": True}
napoleon_use_rtype = False


def describe_field(app, what, name, obj, options, lines):
    """Documents fields: a setting by its help, a named field by the comment behind it."""
    if inspect.isclass(obj) and dataclasses.is_dataclass(obj):
        fields = [f for f in dataclasses.fields(obj) if "help" in f.metadata]
        lines += [f":param {f.name}: {f.metadata['help']}" for f in fields]
    path, _, field = name.rpartition(".")
    owner = find(path)
    if field in getattr(owner, "_fields", ()):
        found = re.search(rf"^    {field}: .*?  # (.*)$", inspect.getsource(owner), re.M)
        lines[:] = [found[1].replace("*", r"\*") if found else "", ""]


def find(path):
    """The object of a dotted name, or None."""
    module, _, name = path.rpartition(".")
    return getattr(sys.modules.get(module), name, None) if module else None


def keep_formulas(app, what, name, obj, options, lines):
    """Shows indented blocks as they stand, and |x| as a length: docstrings are plain text first."""
    for number, line in reversed(list(enumerate(lines))):
        before = [text for text in lines[:number] if text.strip()]
        last = before[-1] if before else ""
        begins = line.startswith("    ") and number and not lines[number - 1].strip()
        if begins and not last.startswith((" ", ":", "..", ">>>")):
            lines[number:number] = ["::", ""]
    literal = False
    for number, line in enumerate(lines):
        literal = line == "::" or (literal and (line.startswith("    ") or not line.strip()))
        if not literal and not line.lstrip().startswith((">>>", "...")):
            lines[number] = line.replace("|", r"\|")


def setup(app):
    app.connect("autodoc-process-docstring", describe_field)
    app.connect("autodoc-process-docstring", keep_formulas)
