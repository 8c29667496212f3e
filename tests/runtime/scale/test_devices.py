"""What is divided over the devices follows from the work."""

from types import SimpleNamespace

import jax
import pytest

from dem_jax.runtime.scale import devices


@pytest.mark.parametrize(
    ("platform", "count", "photos", "chains", "shard"),
    [
        ("gpu", 1, 5, 4, "none"),
        ("gpu", 4, 5, 4, "photos"),
        ("gpu", 4, 1, 8, "chains"),
        ("gpu", 4, 1, 6, "none"),
        ("cpu", 4, 5, 4, "chains"),  # cores share one memory
        ("cpu", 4, 5, 1, "none"),
    ],
)
def test_photos_come_first_and_chains_where_they_can_be_divided(
    platform, count, photos, chains, shard, monkeypatch
):
    monkeypatch.setattr(jax, "local_device_count", lambda: count)
    monkeypatch.setattr(jax, "local_devices", lambda: [SimpleNamespace(platform=platform)])
    assert devices.choose_shard(photos, chains) == shard


@pytest.mark.parametrize(("cores", "count"), [(1, 1), (2, 2), (3, 2), (6, 4), (64, 8)])
def test_cores_are_devices_as_far_as_they_share_the_candidates_evenly(cores, count, monkeypatch):
    asked = {}
    monkeypatch.setattr(devices.os, "sched_getaffinity", lambda _: range(cores), raising=False)
    monkeypatch.setattr(jax.config, "update", asked.__setitem__)
    devices.configure(precision="float32", cache_dir="")
    assert asked["jax_num_cpu_devices"] == count


REASON = "Unable to initialize backend 'x': no libx.so (set JAX_PLATFORMS='' to choose one)"
WITHOUT = {
    "tpu": "; unset JAX_PLATFORMS, or install JAX for it: pip install 'dem_jax[tpu]'.",
    "cuda,cpu": "; unset JAX_PLATFORMS, or install JAX for it: pip install 'dem_jax[cuda12]'.",
    "nonsense": "; unset JAX_PLATFORMS.",
    "": "; install JAX anew.",
}


@pytest.mark.parametrize("reason", [REASON, f"{REASON}. {'More words. ' * 30}", ""])
@pytest.mark.parametrize("wanted", WITHOUT)
def test_a_device_that_is_not_there_is_told_with_advice_for_its_kind(monkeypatch, wanted, reason):
    def refuse():
        raise RuntimeError(reason)

    monkeypatch.setattr(jax.config, "update", lambda *_: None)
    monkeypatch.setattr(jax, "local_devices", refuse)
    monkeypatch.setenv("JAX_PLATFORMS", wanted)
    with pytest.raises(ValueError, match="no device to compute on") as caught:
        devices.configure(precision="float32", cache_dir="")
    said = str(caught.value)
    assert said.endswith(WITHOUT[wanted])
    assert said.count("(") == said.count(")") == 0
    assert ("no libx.so" in said) == bool(reason)
    assert len(said) < 400
