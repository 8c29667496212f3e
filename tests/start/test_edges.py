"""Which gradients of a photo vote."""

import jax.numpy as jnp

from dem_jax.start import edges


def test_gradients_near_clipped_pixels_do_not_vote_unless_too_few_are_left():
    clipped, useful = jnp.zeros((30, 30)).at[10, 10].set(1.0), jnp.ones((30, 30))
    found = edges._far_from(clipped, useful, 5)
    assert found.sum() == 900 - 49  # half a window and the pixel that the difference reaches
    assert not found[7:14, 7:14].any()
    many = clipped.at[::9, ::9].set(1.0)  # half a window of 29 around them is all
    found = edges._far_from(many, useful, 29)
    assert 0 < found.sum() < 900 - many.sum()
    assert not (found * edges._widened(many, 3)).any()
    assert found[2, 2] == 1
