"""What is divided over the devices follows from the work."""

import jax
import pytest

from dem_jax.runtime.scale import devices


@pytest.mark.parametrize(
    ("count", "photos", "chains", "shard"),
    [(1, 5, 4, "none"), (4, 5, 4, "photos"), (4, 1, 8, "chains"), (4, 1, 6, "none")],
)
def test_photos_come_first_and_chains_where_they_can_be_divided(
    count, photos, chains, shard, monkeypatch
):
    monkeypatch.setattr(jax, "local_device_count", lambda: count)
    assert devices.choose_shard(photos, chains) == shard
