"""Views of a photo: the right part of it, its padding and clipped pixels with it."""

import jax.numpy as jnp
import numpy as np

from dem_jax.start import edges, views
from dem_jax.start.views import View

ROWS, COLS = np.indices((40, 60)).astype(np.float32)
PLANE = jnp.asarray(100 * ROWS + COLS)


def test_a_view_at_full_scale_is_a_cut():
    found = views.view(View(PLANE), (10, 20), 1.0)
    np.testing.assert_array_equal(found.plane, PLANE[15:25, 20:40])
    found = views.view(View(PLANE), (10, 20), 1.0, jnp.array([33.0, 2.0]))
    np.testing.assert_array_equal(found.plane, PLANE[30:40, 2:22])  # it ends with the photo


def test_a_smaller_view_shows_the_same_places():
    found = views.view(View(PLANE), (10, 15), 0.5, jnp.array([5.0, 10.0]))
    rows, cols = 2 * (np.arange(10) + 5) + 0.5, 2 * (np.arange(15) + 10) + 0.5
    np.testing.assert_allclose(found.plane, 100 * rows[:, None] + cols[None], rtol=1e-5)


def test_padding_and_clipped_pixels_come_along():
    trusted = jnp.ones((40, 60), bool).at[20, 30].set(False)
    whole = View(PLANE, jnp.array([30, 50]), trusted)
    cut = views.view(whole, (20, 30), 1.0, jnp.array([15.0, 25.0]))
    assert cut.size.tolist() == [15, 25]
    assert not cut.trusted[5, 5]
    assert cut.trusted.sum() == 599
    half = views.smaller(whole, (20, 30))
    assert half.size.tolist() == [15, 25]
    assert not half.trusted[10, 15]
    assert (1 - half.trusted).sum() <= 4


def test_a_kernel_keeps_its_sum_and_place_when_it_is_zoomed():
    kernel = jnp.zeros((9, 9)).at[4, 3:6].set(1 / 3)
    large = views.zoom_kernel(kernel, 19, 2.0)
    np.testing.assert_allclose(large.sum(), 1, rtol=1e-6)
    np.testing.assert_allclose(large, large[::-1, ::-1], atol=1e-6)
    assert large[9, 6:13].sum() > 0.3


def test_gradients_near_clipped_pixels_do_not_vote_unless_too_few_are_left():
    clipped = jnp.zeros((30, 30)).at[10, 10].set(1.0)
    useful, power = jnp.ones((30, 30)), jnp.ones((2, 30, 30))
    found = edges.far_from(clipped, useful, power, 5)
    assert found.sum() == 900 - 49  # half a window and the pixel that the difference reaches
    assert not found[7:14, 7:14].any()
    strong = power.at[:, 10, 10].set(100.0)  # most of the power is there
    np.testing.assert_array_equal(edges.far_from(clipped, useful, strong, 5), useful)
