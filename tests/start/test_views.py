"""Views of a photo: the right part of it, its padding and clipped pixels with it."""

import jax
import jax.numpy as jnp
import numpy as np

from dem_jax.start import edges, one_kernel, views
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
    clipped, useful = jnp.zeros((30, 30)).at[10, 10].set(1.0), jnp.ones((30, 30))
    found = edges.far_from(clipped, useful, 5)
    assert found.sum() == 900 - 49  # half a window and the pixel that the difference reaches
    assert not found[7:14, 7:14].any()
    many = clipped.at[::9, ::9].set(1.0)  # half a window of 29 around them is all
    found = edges.far_from(many, useful, 29)
    assert 0 < found.sum() < 900 - many.sum()
    assert not (found * edges.widened(many, 3)).any()
    assert found[2, 2] == 1


def test_hot_pixels_do_not_change_the_kernel():
    """As they do where they vote: the kernels are then alike by 0.85 only."""
    rng = np.random.default_rng(0)
    sharp = np.kron(rng.uniform(0.2, 0.7, (16, 16)), np.ones((8, 8))).astype(np.float32)
    photo = sum(np.roll(sharp, shift, 1) for shift in range(-3, 4)) / 7
    places = tuple(rng.integers(0, 128, (2, 12)))
    hot = photo.copy()
    hot[places] = 1.0
    seen = View(jnp.asarray(hot), None, jnp.asarray(hot < 0.99))
    kernel = jnp.zeros((15, 15)).at[7, 6:9].set(1 / 3)
    run = jax.jit(lambda view: one_kernel.alternate(view, kernel, one_kernel.FINER)[0])
    found, plain = run(seen), run(View(jnp.asarray(photo), None, jnp.ones((128, 128), bool)))
    alike = jnp.sum(found * plain) / jnp.sqrt(jnp.sum(found**2) * jnp.sum(plain**2))
    assert alike > 0.9
