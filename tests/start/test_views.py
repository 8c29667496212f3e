"""Views of a photo: the right part of it, its padding and clipped pixels with it."""

import jax
import jax.numpy as jnp
import numpy as np

from dem_jax.start import views
from dem_jax.start.views import View, of_photo
from dem_jax.types import Given

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


def test_what_is_clipped_or_not_known_does_not_vote():
    photo = jnp.full((3, 4, 3), 0.5).at[0, 1, 2].set(1.0)
    known = jnp.ones((3, 4)).at[2, 3].set(0.0)
    seen = of_photo(Given(photo, size=jnp.array([3, 4]), weight=known))
    np.testing.assert_allclose(seen.plane[1:], 0.5, rtol=1e-6)
    np.testing.assert_allclose(seen.plane[0, 1], 0.5 + 0.5 * 0.114, rtol=1e-6)
    assert [tuple(place) for place in np.argwhere(~seen.trusted)] == [(0, 1), (2, 3)]
    np.testing.assert_array_equal(seen.size, [3, 4])
    assert of_photo(Given(photo)).trusted.sum() == 11
    assert of_photo(photo).trusted.sum() == 11
    assert of_photo(seen) is seen


def test_the_coding_error_counts_beside_the_noise_in_the_units_of_the_view():
    """It is stretched with the photo, and stays where the photo is shown in fewer pixels."""
    photo = jax.random.uniform(jax.random.key(0), (40, 60, 1), minval=0.2, maxval=0.4)
    plain, coded = of_photo(Given(photo)), of_photo(Given(photo, coding_std=jnp.float32(0.01)))
    seen, both = (float(views.noise_variance(v)) for v in (plain, coded))
    np.testing.assert_allclose(both - seen, 0.01**2, rtol=1e-3)
    bright, dark = (
        views.stretched(v) for v in (coded, of_photo(Given(photo / 8, coding_std=0.01 / 8)))
    )
    np.testing.assert_allclose(views.noise_variance(dark), views.noise_variance(bright), rtol=1e-3)
    part = views.view(coded, (20, 20), 0.5)
    assert part.coding_std == coded.coding_std == views.smaller(coded, (20, 30)).coding_std
