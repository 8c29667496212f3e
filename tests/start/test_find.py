"""One kernel, from photos whose blur is known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dem_jax.config import DeblurConfig
from dem_jax.evaluation import camera_shake, metrics
from dem_jax.model import blur
from dem_jax.start import find, views
from dem_jax.start.one_kernel import FINER
from dem_jax.start.views import View

SIZE, BOUND, SIDE = 9, 13, 112


@pytest.fixture(scope="module")
def shaken():
    """A true kernel and a corner of a picture blurred by it."""
    from skimage import data

    side = SIDE + SIZE - 1
    sharp = jnp.asarray(data.camera()[60 : 60 + side, 150 : 150 + side] / 255, jnp.float32)
    keys = jax.random.split(jax.random.key(1))
    kernel = camera_shake.random_kernel(keys[0], SIZE, extent=SIZE - 2)
    photo = blur.uniform(kernel, sharp[..., None])[..., 0]
    return kernel, np.asarray(camera_shake.gaussian_noise(keys[1], photo, 0.003))


@pytest.fixture(scope="module")
def found():
    """find() for a photo of any size up to SIDE, padded."""
    config = DeblurConfig(kernel_size=BOUND)
    run = jax.jit(lambda g, size: find.find(View(g, size), config))

    def of(plane):
        padded = np.zeros((SIDE, SIDE), np.float32)
        padded[: plane.shape[0], : plane.shape[1]] = plane
        return run(padded, jnp.array(plane.shape))

    return of


def correlation(a, b):
    return float(metrics.kernel_correlation(np.asarray(a), np.asarray(b)))


def test_a_shake_is_found_though_its_size_is_not_known(shaken, found):
    kernel, photo = shaken
    estimate, agreement = found(photo)
    assert estimate.shape == (BOUND, BOUND)
    assert (estimate >= 0).all()
    np.testing.assert_allclose(estimate.sum(), 1, rtol=1e-5)
    assert correlation(estimate, kernel) > 0.8
    assert 0 <= agreement <= 1


@pytest.mark.parametrize("divisor", [4, 16])
def test_exposure_does_not_matter(shaken, found, divisor):
    """Of a darker photo, to rounding; and of one of 16 bit, whose rounding this small one feels."""
    _, photo = shaken
    estimate, _ = found(photo)
    np.testing.assert_allclose(found(photo / divisor)[0], estimate, atol=1e-3)
    rounded = np.round(photo / divisor * 65535) / 65535
    assert correlation(found(rounded)[0], estimate) > 0.9


def test_padding_does_not_vote(shaken, found):
    kernel, photo = shaken
    estimate, _ = found(photo[:96, :104])
    assert correlation(estimate, kernel) > 0.8


def test_kernels_of_a_large_photo_are_refined_where_its_edges_are(monkeypatch):
    """With small views: nothing but the textured corner tells the kernel."""
    monkeypatch.setattr(views, "OVERVIEW", (48, 64))
    monkeypatch.setattr(views, "LARGEST", (48, 64))
    seen = []
    monkeypatch.setattr(
        find, "alternate", lambda view, kernel, *_, **__: seen.append(view) or (kernel, 0)
    )
    monkeypatch.setattr(find, "polish", lambda view, kernel, **_: kernel)
    monkeypatch.setattr(find, "improved", lambda view, kernel, **_: kernel)
    photo = np.zeros((192, 256), np.float32)
    photo[140:180, 200:240] = np.kron(
        np.random.default_rng(0).uniform(size=(5, 5)), np.ones((8, 8))
    )
    kernel = jnp.zeros((5, 5)).at[2, 1:4].set(1 / 3)
    find.refined(View(jnp.asarray(photo)), kernel[None], DeblurConfig(kernel_size=13))
    half, full = seen
    assert half.plane.shape == full.plane.shape == (48, 64)
    inner = views.stretched(View(jnp.asarray(photo))).plane[140:180, 200:240]
    assert np.sum(full.plane**2) > 0.95 * np.sum(inner**2)


@pytest.mark.parametrize("right", [0, 1])
def test_of_many_and_few_edges_the_sparser_kernel_is_taken(shaken, monkeypatch, right):
    """Settings that find the true kernel and a line across it: whichever has the true one wins."""
    kernel, photo = shaken
    wrong = jnp.zeros((SIZE, SIZE)).at[:, SIZE // 2].set(1 / SIZE)
    by_edges = [setting.fraction for setting in FINER]

    def alternate(view, start, setting, **_):
        is_right = setting.fraction == jnp.float32(by_edges[right])
        return jnp.where(is_right, kernel, wrong), setting.sparsity

    monkeypatch.setattr(views, "OVERVIEW", (48, 64))
    monkeypatch.setattr(views, "SQUARE", (56, 56))
    monkeypatch.setattr(find, "alternate", alternate)
    monkeypatch.setattr(find, "polish", lambda view, kernel: kernel)
    monkeypatch.setattr(find, "improved", lambda view, kernel, **_: kernel)

    def refined():
        return find.refined(View(jnp.asarray(photo)), wrong[None], DeblurConfig(kernel_size=SIZE))

    np.testing.assert_array_equal(refined(), kernel)
    monkeypatch.setattr(find, "_MUST_GAIN", (0.0, np.inf))
    np.testing.assert_array_equal(refined(), wrong if right else kernel)


@pytest.mark.parametrize("right", [0, 1])
def test_of_two_looks_the_sparser_kernel_is_taken(shaken, monkeypatch, right):
    """Finer views that change nothing: of what was seen before, the true kernel wins."""
    kernel, photo = shaken
    wrong = jnp.zeros((SIZE, SIZE)).at[:, SIZE // 2].set(1 / SIZE)
    seen = jnp.stack([wrong, wrong]).at[right].set(kernel)
    monkeypatch.setattr(views, "OVERVIEW", (48, 64))
    monkeypatch.setattr(views, "SQUARE", (56, 56))
    monkeypatch.setattr(find, "zoom_kernel", lambda kernel, *_: kernel)
    monkeypatch.setattr(find, "alternate", lambda view, start, *_, **__: (start, 0))
    monkeypatch.setattr(find, "polish", lambda view, kernel: kernel)
    monkeypatch.setattr(find, "improved", lambda view, kernel, **_: kernel)
    config = DeblurConfig(kernel_size=SIZE)
    np.testing.assert_array_equal(find.refined(View(jnp.asarray(photo)), seen, config), kernel)


def test_what_a_wide_window_let_in_is_lost_in_one_that_fits(shaken):
    """From a kernel that is half a line across: the rest of the search is not enough."""
    kernel, photo = shaken
    line = jnp.zeros((SIZE, SIZE)).at[SIZE // 2].set(1 / SIZE)
    seen, config = (kernel + line) / 2, DeblurConfig(kernel_size=SIZE)

    def refined(window):
        margin = (window - SIZE) // 2
        return find.refined(View(jnp.asarray(photo)), jnp.pad(seen, margin)[None], config)

    wide, fitting = (correlation(refined(window), kernel) for window in (31, SIZE))
    assert wide > 0.9
    assert wide > fitting + 0.03
