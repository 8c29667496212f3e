"""Importing the package must leave other people's JAX programs as they were."""

import json
import subprocess
import sys

import pytest

SCRIPT = """
import json, sys, warnings
import jax
from jax._src import xla_bridge
before = dict(jax.config.values)
filters = list(warnings.filters)
import importlib
for name in {modules!r}:
    importlib.import_module(name)
print(json.dumps({{
    "initialised": xla_bridge.backends_are_initialized(),
    "changed": [k for k, v in jax.config.values.items() if before.get(k, v) != v],
    "heavy": [m for m in ("cv2", "skimage", "orbax.checkpoint", "scipy", "tifffile")
              if m in sys.modules],
    "filters": len(warnings.filters) - len(filters),
}}))
"""


@pytest.mark.parametrize("modules", [["dem_jax"], ["dem_jax", "dem_jax.main"]])
def test_import_has_no_side_effects(modules, tmp_path):
    ran = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(modules=modules)],
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(ran.stdout)
    assert found["initialised"] is False
    assert found["changed"] == []
    assert found["filters"] == 0
    if modules == ["dem_jax"]:
        assert found["heavy"] == []
    assert ran.stderr == ""
