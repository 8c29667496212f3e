"""Windows sum to one, and lie where their patches do."""

import numpy as np
import pytest
from grids import full_windows

from dem_jax.model.windows import patch_centres, windows


@pytest.mark.parametrize("size", [798, 800, 801])
@pytest.mark.parametrize("grid", [(6, 8), (1, 1), (3, 5)])
def test_partition_of_unity(size, grid):
    rows, cols = windows((size, size + 1), grid)
    assert rows.shape == (grid[0], size)
    assert cols.shape == (grid[1], size + 1)
    for weights in (rows, cols):
        assert weights.min() >= 0
        assert weights.max(axis=1).min() > 0.9  # every patch counts somewhere
        np.testing.assert_allclose(weights.sum(axis=0), 1.0, rtol=0, atol=1e-15)


def test_patch_centres_are_where_windows_peak():
    """Between the outermost centres; the outermost windows stay at one beyond theirs."""
    shape, grid = (200, 331), (4, 5)
    centres = patch_centres(shape, grid)
    assert centres.shape == (20, 2)
    for p, weight in enumerate(full_windows(shape, grid)):
        row, col = centres[p]
        top = weight[int(row) : int(row) + 2, int(col) : int(col) + 2]
        assert top.min() > 0.98 * weight.max()
    inner = full_windows(shape, grid)[7]  # second row, third column
    mean = [(inner.sum(1 - axis) * np.arange(shape[axis])).sum() / inner.sum() for axis in (0, 1)]
    np.testing.assert_allclose(mean, centres[7], atol=0.05)
