"""Eight simulated devices: chains or photos over them give one device's numbers."""

import json
import subprocess
import sys

import jax
import pytest

from dem_jax.config import DeblurConfig
from dem_jax.em import sharded

SCRIPT = '''
import dataclasses, json, re
import jax
jax.config.update("jax_num_cpu_devices", 8)
jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_enable_x64", True)  # Langevin steps enlarge rounding: processors differ
jax.config.update("jax_compilation_cache_dir", {cache!r})
import jax.numpy as jnp
import numpy as np
from dem_jax.config import DeblurConfig, ImageNetworkConfig, KernelNetworkConfig
from dem_jax import solver
from dem_jax.em import mcem, sharded
from dem_jax.start.problem import prepare

config = DeblurConfig(
    kernel_size=5, kernels="network", em_iterations=2, num_chains=8, samples_per_chain=2,
    burn_in=2, thinning=2, m_steps=3, m_learning_rate=1e-2, detail_iterations=3,
    image_network=ImageNetworkConfig(channels=4, levels=1),
    kernel_network=KernelNetworkConfig(channels=(4,)),
)
jit = lambda f, n: jax.jit(f, static_argnums=n, compiler_options=dict(
    xla_backend_optimization_level=0))
photos = np.random.default_rng(0).uniform(size=(8, 24, 28, 1))
key = jax.random.key(0)
config_cold = dataclasses.replace(config, warm_start=False)

def start(photo, config):
    problem = prepare(key, photo, config)
    return problem, mcem.init(key, problem, config)

def compare(one, many):
    """Largest difference: absolute of small numbers, relative of large ones.

    The softmax does not depend on T_K's last bias: its gradient is rounding, enlarged by Adam.
    """
    one, many = jax.tree.leaves_with_path(one), jax.tree.leaves(many)
    return max(
        float(np.max(np.abs(np.asarray(a, np.float64) - np.asarray(b)) / (1 + np.abs(a))))
        for (path, a), b in zip(one, many, strict=True)
        if not jax.tree_util.keystr(path).endswith(".theta_k['logits']['bias']")
    )

def collectives(program):
    text = program.as_text()
    return {{name: len(re.findall(rf" {{name}}(?:-start)?[(]", text))
            for name in ("all-gather", "all-reduce", "all-to-all", "collective-permute")}}

def chains():
    problem, state = jit(start, 1)(photos[0], config_cold)
    one = jit(mcem.step, 3)(key, state, problem, config_cold)
    mesh = jax.sharding.Mesh(jax.local_devices(), (sharded.CHAINS,))
    step = lambda k, s, p, c: sharded.step_over_chains(k, s, p, c, mesh=mesh)
    program = jit(step, 3).lower(key, state, problem, config_cold).compile()
    many = program(key, state, problem)
    moved = float(jnp.abs(one[0].kernels - state.kernels).max())
    sizes = [len(x.sharding.device_set) for x in jax.tree.leaves(many[0].chains)]
    rows = [x.addressable_shards[0].data.shape[0] for x in jax.tree.leaves(many[0].chains)]
    return dict(difference=compare(one, many), moved=moved, devices=min(sizes), rows=max(rows),
                **collectives(program))

def many_photos():
    single = dataclasses.replace(config_cold, num_chains=2)
    mesh = jax.sharding.Mesh(jax.local_devices(), (sharded.PHOTOS,))
    problem, state = jit(lambda p: jax.vmap(lambda x: start(x, single))(p), ())(photos)
    keys = jnp.stack([key] * 8)
    one = jit(mcem.step, 3)
    rows = [jax.tree.map(lambda x: x[i], (state, problem)) for i in range(8)]
    ones = jax.tree.map(lambda *x: jnp.stack(x), *[one(key, *row, single) for row in rows])
    step = sharded.over_photos(mcem.step, mesh)
    program = jit(step, 3).lower(keys, state, problem, single).compile()
    many = program(keys, state, problem)
    return dict(difference=compare(ones, many), **collectives(program))

print(json.dumps({layout}()))
'''


def run(layout, tmp_path_factory):
    cache = str(tmp_path_factory.getbasetemp() / "compiled")
    ran = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(layout=layout, cache=cache)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def test_chains_over_devices(tmp_path_factory):
    found = run("chains", tmp_path_factory)
    assert found["moved"] > 1e-3  # the M-step did something
    assert found["difference"] < 1e-9
    assert found["devices"] == 8
    assert found["rows"] == 1
    assert found["all-gather"] == found["all-to-all"] == 0
    assert 1 <= found["all-reduce"] <= 4  # power, mean, variance, the M-step's gradient


@pytest.mark.slow
def test_photos_over_devices_exchange_nothing(tmp_path_factory):
    found = run("many_photos", tmp_path_factory)
    assert found["difference"] < 1e-9
    assert all(found[name] == 0 for name in ("all-gather", "all-reduce", "all-to-all"))


def test_chains_that_do_not_divide():
    mesh = jax.sharding.AbstractMesh((3,), (sharded.CHAINS,))
    with pytest.raises(ValueError, match="num_chains=4 cannot be divided over 3 devices"):
        sharded.step_over_chains(None, None, None, DeblurConfig(num_chains=4), mesh=mesh)
