"""Memory estimates against XLA's own, and what is refused."""

import dataclasses
import types

import jax
import jax.numpy as jnp
import pytest
import tiny

from dem_jax.config import DeblurConfig, ImageNetworkConfig
from dem_jax.em import mcem
from dem_jax.runtime.scale import memory
from dem_jax.start.problem import prepare

CONFIG = DeblurConfig(kernel_size=31)


def measured_bytes(height, width, channels, config):
    """What XLA sets aside for EM's step on this platform."""
    key, photo = jax.random.key(0), jax.ShapeDtypeStruct((height, width, channels), jnp.float32)
    problem = jax.eval_shape(lambda k, p: prepare(k, p, config), key, photo)
    state = jax.eval_shape(lambda k, p: mcem.init(k, p, config), key, problem)
    step = tiny.jit(mcem.step, static_argnums=3, donate_argnums=1)
    analysis = step.lower(key, state, problem, config).compile().memory_analysis()
    return analysis.temp_size_in_bytes + analysis.argument_size_in_bytes


@pytest.mark.slow
@pytest.mark.parametrize(
    ("shape", "changes"),
    [
        ((128, 128, 3), {"image_network": ImageNetworkConfig(channels=64)}),
        ((192, 192, 3), {"image_network": ImageNetworkConfig(channels=16)}),
        (
            (256, 256, 3),
            {"image_network": ImageNetworkConfig(channels=32), "samples_per_chain": 16},
        ),
        ((192, 192, 1), {"num_chains": 4, "chain_axis": "vmap"}),
    ],
)
def test_estimate_is_near_what_xla_takes(shape, changes):
    config = dataclasses.replace(CONFIG, **changes)
    ratio = memory.em_bytes(*shape, config) / measured_bytes(*shape, config)
    assert 0.8 < ratio < 1.6


def test_more_of_anything_takes_more():
    least = memory.em_bytes(100, 100, 1, CONFIG)
    for shape, changes in (
        ((101, 100, 1), {}),
        ((100, 100, 3), {}),
        ((100, 100, 1), {"samples_per_chain": 40}),
        ((100, 100, 1), {"num_chains": 4}),
        ((100, 100, 1), {"kernel_size": 41}),
    ):
        assert memory.em_bytes(*shape, dataclasses.replace(CONFIG, **changes)) > least


def test_what_does_not_fit_is_refused_with_a_size_that_does(monkeypatch):
    monkeypatch.setattr(memory, "device_bytes", lambda: 8 * 2**30)
    memory.require_fit("a.png", (720, 1280, 3), CONFIG)
    with pytest.raises(
        memory.TooLarge, match=r"a\.png is 4096x3072 .* GB .*tile_size=auto"
    ) as caught:
        memory.require_fit("a.png", (3072, 4096, 3), CONFIG)
    width, height = map(int, str(caught.value).split("; ")[1].split(" ")[0].split("x"))
    assert width / height == pytest.approx(4 / 3, rel=0.02)
    memory.require_fit("a.png", (height, width, 3), CONFIG)


def test_host_that_cannot_hold_the_photo(monkeypatch):
    monkeypatch.setattr(memory, "total_host_bytes", lambda: 2**30)
    memory.require_host_fit("a.png", (1500, 2000, 3))
    with pytest.raises(memory.TooLarge, match="pixels fit"):
        memory.require_host_fit("a.png", (8000, 12000, 3))


def test_memory_is_found():
    assert 2**28 < memory.total_host_bytes() < 2**50
    assert memory.device_bytes() > 2**28


def limited(monkeypatch, limit):
    monkeypatch.setattr(memory.resource, "getrlimit", lambda _: (limit, limit))


def test_a_process_has_no_more_than_its_limit(monkeypatch):
    limited(monkeypatch, memory.resource.RLIM_INFINITY)
    memory.require_addresses()
    unlimited = memory.total_host_bytes()
    limited(monkeypatch, 2**31)
    memory.require_addresses()
    assert memory.total_host_bytes() == 2**28  # the rest is the program's own
    limited(monkeypatch, 2**50)
    assert memory.total_host_bytes() == unlimited
    memory.require_addresses()


LACKING = [
    MemoryError(),
    OSError(12, "Cannot allocate memory"),
    RuntimeError("can't start new thread"),
    RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 3 bytes."),
    ImportError("libscipy.so: failed to map segment from shared object"),
]


@pytest.mark.parametrize("error", LACKING)
def test_what_comes_of_too_little_memory(error):
    assert memory.is_lacking(error)


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), ValueError("memory")])
def test_what_does_not(error):
    assert not memory.is_lacking(error)


def test_all_but_tpus_take_one_photo_at_a_time(monkeypatch):
    assert memory.photos_at_once(64, 64, 3, CONFIG) == 1
    monkeypatch.setattr(memory, "device_bytes", lambda: 80 * 2**30)
    for platform, at_once in (("gpu", 1), ("tpu", 8)):
        device = types.SimpleNamespace(platform=platform)
        monkeypatch.setattr(jax, "local_devices", lambda device=device: [device])
        assert memory.photos_at_once(64, 64, 3, CONFIG) == at_once
    assert memory.photos_at_once(64, 64, 3, CONFIG) == 8
    assert memory.photos_at_once(5000, 4000, 3, CONFIG) == 1
    assert 1 < memory.photos_at_once(1280, 1280, 3, CONFIG) < 8 + 1
