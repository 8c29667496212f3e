"""The plane that votes on a kernel."""

import jax.numpy as jnp
import numpy as np

from dem_jax.start.luma import view
from dem_jax.types import Given


def test_what_is_clipped_or_not_known_does_not_vote():
    photo = jnp.full((3, 4, 3), 0.5).at[0, 1, 2].set(1.0)
    known = jnp.ones((3, 4)).at[2, 3].set(0.0)
    seen = view(Given(photo, size=jnp.array([3, 4]), weight=known))
    np.testing.assert_allclose(seen.plane[1:], 0.5, rtol=1e-6)
    np.testing.assert_allclose(seen.plane[0, 1], 0.5 + 0.5 * 0.114, rtol=1e-6)
    assert [tuple(place) for place in np.argwhere(~seen.trusted)] == [(0, 1), (2, 3)]
    np.testing.assert_array_equal(seen.size, [3, 4])
    assert view(Given(photo)).trusted.sum() == 11
