"""Orbax writes in several threads at once, and keeps quiet."""

import numpy as np
import orbax.checkpoint as ocp

from dem_jax.runtime.files import local_arrays


def test_a_save_that_ends_does_not_let_another_speak(tmp_path, caplog):
    tree = {"x": np.ones(2)}
    with local_arrays._checkpointer() as slow:
        local_arrays.save(tmp_path / "fast", tree)
        slow.save(tmp_path / "slow", args=ocp.args.PyTreeSave(tree))
    assert [r.getMessage() for r in caplog.records if r.levelname == "WARNING"] == []
    np.testing.assert_array_equal(local_arrays.restore(tmp_path / "slow", tree)["x"], tree["x"])
