"""Candidates over three simulated devices: the looks find what one device finds."""

import json
import subprocess
import sys

import jax
import jax.numpy as jnp
import pytest

from dem_jax.start import spread

SCRIPT = """
import json
import jax
jax.config.update("jax_num_cpu_devices", 3)
jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_enable_x64", True)  # the search enlarges rounding
jax.config.update("jax_compilation_cache_dir", {cache!r})
import numpy as np
from jax.sharding import Mesh
from dem_jax.config import DeblurConfig
from dem_jax.start import comparison, find, overview, spread, turning

mesh = Mesh(np.asarray(jax.local_devices()), (spread.CANDIDATES,))
def both(look, *args):
    quick = dict(xla_backend_optimization_level=0)
    one = jax.jit(look, static_argnums=len(args) - 1, compiler_options=quick)(*args)
    spreaded = spread.over_candidates(look, mesh)
    many = jax.jit(spreaded, static_argnums=len(args) - 1, compiler_options=quick)(*args)
    assert all(len(x.sharding.device_set) == 3 for x in jax.tree.leaves(many))
    return jax.tree.leaves(one), jax.tree.leaves(many)

blocks = np.random.default_rng(0).uniform(size=(13, 16)).repeat(8, 0).repeat(8, 1)
kernel = np.diag([0, 0.2, 0.3, 0.3, 0.2])
photo = sum(w * np.roll(blocks, s, (0, 1)) for w, s in zip(np.diag(kernel), range(-2, 3)))
photo = photo[4:100, 4:124, None]
config = DeblurConfig(kernel_size=7, patch_grid=(2, 2))
pairs = {{
    "overview": both(overview.overview, photo, config),
    "refined": both(find.refined, photo, np.stack([kernel] * 2), config),
    "told": both(comparison.told, photo, kernel, config),
    "turned": both(turning.turned, photo, kernel, config),
}}
print(json.dumps({{
    name: max(float(np.max(np.abs(np.asarray(a) - np.asarray(b)))) for a, b in zip(*pair))
    for name, pair in pairs.items()
}}))
"""


@pytest.fixture(scope="module")
def differences():
    script = SCRIPT.format(cache=jax.config.jax_compilation_cache_dir)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert not done.returncode, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("look", ["overview", "refined", "told", "turned"])
def test_a_look_by_three_devices_finds_what_one_finds(differences, look):
    assert differences[look] < 1e-6


def test_without_devices_every_item_is_tried_here_in_either_way():
    items = {"a": jnp.arange(4.0), "b": jnp.ones((4, 2))}
    for mapped in (jax.lax.map, spread.vmapped):
        found = spread.each(lambda x: x["a"] * x["b"], items, None, mapped=mapped)
        assert found.tolist() == [[i, i] for i in range(4)]
