"""The windows of a grid, whole."""

from dem_jax.model.windows import windows


def full_windows(shape, grid):
    """[P, H, W] of photos of a `shape`."""
    rows, cols = windows(shape, grid)
    return (rows[:, None, :, None] * cols[None, :, None, :]).reshape(-1, *shape)
