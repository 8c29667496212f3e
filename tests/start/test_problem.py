"""The problem that EM begins with."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import shaken
from odd_files import saved
from scipy import ndimage
from shaken import SIZE, change
from tiny import jit

from dem_jax.config import DeblurConfig
from dem_jax.evaluation import camera_shake, metrics
from dem_jax.model import softness
from dem_jax.runtime.files import pillow_reader
from dem_jax.runtime.files.photo import make
from dem_jax.solve.hyper_laplacian import hyper_laplacian
from dem_jax.start.problem import prepare
from dem_jax.types import Given

compiled = jit(prepare, static_argnums=2)


@pytest.fixture(scope="module")
def case():
    return shaken.make_case()


def test_pixels_that_are_not_known_do_not_count():
    photo = jax.random.uniform(jax.random.key(0), (24, 28, 3), maxval=0.9)
    known = jnp.ones((24, 28)).at[3:6, 20:].set(0.0).at[10, 4].set(0.5)
    config = change(warm_start=False)
    problem = prepare(jax.random.key(0), Given(photo, weight=known), config)
    np.testing.assert_array_equal(problem.weight, known)


@pytest.mark.parametrize("divisor", [4, 16])
def test_a_darker_photo_is_the_same_problem(divisor):
    photo = jax.random.uniform(jax.random.key(0), (24, 28, 3), maxval=0.9)
    run = functools.partial(prepare, config=change(warm_start=False))
    one, other = (run(jax.random.key(0), g) for g in (photo, photo / divisor))
    np.testing.assert_allclose(other.photo, one.photo, rtol=1e-6)
    np.testing.assert_allclose(other.noise_std, one.noise_std, rtol=1e-5)
    np.testing.assert_allclose(other.photo / other.gain, photo / divisor, rtol=1e-6)


@pytest.mark.parametrize("channels", [1, 3])
def test_prepare_hands_over_what_the_networks_need(channels):
    """The guide, and the photo beside it, are inputs of T_f only after a warm start."""
    photo = jax.ShapeDtypeStruct((31, 40, channels), jnp.float32)
    for warm, inputs in ((True, 8 + 2 * channels), (False, 8)):
        config = change(warm_start=warm, patch_grid=(2, 3))
        run = functools.partial(prepare, config=config)
        problem = jax.eval_shape(run, jax.random.key(0), photo)
        assert problem.image_input.shape == (35, 44, inputs)
        assert problem.start_latent.shape == (35, 44, channels)
        assert problem.start_kernels.shape == (6, SIZE, SIZE)
        assert problem.weight.shape == (31, 40)
        assert problem.noise_std.shape == ()


def test_given_kernels_are_started_from_and_kept(case):
    """Given the true kernel, the start alone beats the photo; `fixed` keeps the kernel."""
    sharp, kernel, photo = case
    config = change(kernels="fixed")
    green = photo[..., 1:2]
    problem = compiled(jax.random.key(0), green, config, kernels=3 * kernel[None])
    np.testing.assert_allclose(problem.start_kernels[0], kernel, atol=1e-6)
    inner = problem.start_latent[2:-2, 2:-2, 0] / problem.gain
    truth = np.asarray(sharp[..., 1])
    start = metrics.psnr(np.asarray(inner)[6:-6, 6:-6], truth[6:-6, 6:-6])
    assert start > metrics.psnr(np.asarray(green)[6:-6, 6:-6, 0], truth[6:-6, 6:-6]) + 2


def test_what_no_kernel_explains_is_the_cameras(scene):
    """A picture that a computer has blurred is explained down to its noise; a photo is not."""
    _, kernel, photo = scene
    config = DeblurConfig(kernel_size=9, em_iterations=0, noise_std=0.003)

    def part(photo, config=config):
        return float(compiled(jax.random.key(0), Given(photo, kernel=kernel), config).cameras_part)

    assert part(photo) < 0.2
    unlike = np.random.default_rng(1).normal(size=photo.shape).astype(np.float32)
    odd = photo + 0.03 * unlike
    assert part(odd) > 0.8
    assert part(odd, dataclasses.replace(config, camera_softness=False)) == 0
    assert part(odd, dataclasses.replace(config, kernels="fixed")) == 0
    grid = dataclasses.replace(config, patch_grid=(2, 2))
    assert part(photo, grid) == pytest.approx(softness.GRIDS_PART)


@pytest.fixture(scope="module")
def scene():
    """A sharp picture [H, W, 1], a slanted kernel [k, k], and the photo."""
    rng = np.random.default_rng(0)
    sharp = ndimage.gaussian_filter(rng.normal(size=(64, 72)), 2.0)
    sharp = np.where(sharp > 0, 0.6, 0.3)[..., None].astype(np.float32)
    kernel = np.eye(9, dtype=np.float32) / 9
    photo = np.array(camera_shake.blur_uniform(sharp, kernel))
    return sharp, kernel, photo + 0.003 * rng.normal(size=photo.shape).astype(np.float32)


def worst(image, sharp):
    """The largest mean error of a square of 8 x 8 pixels, apart from the photo's border."""
    errors = np.abs(np.asarray(image) - sharp)[8:-8, 8:-8, 0]
    return ndimage.uniform_filter(errors, 8).max()


def test_a_stamp_makes_no_rings_without_em(scene):
    sharp, kernel, photo = scene
    stamp = np.zeros_like(photo, dtype=bool)
    stamp[30:34, 20:40:4] = True
    stamped = np.where(stamp, 0.95, photo)
    around = sharp + stamp * (0.95 - sharp)
    config = DeblurConfig(kernel_size=9, em_iterations=0)
    problem = compiled(jax.random.key(0), Given(stamped, kernel=kernel), config)
    plain = hyper_laplacian(stamped[..., 0], kernel, 1e-4)[..., None]
    found, plain = (
        np.where(stamp, around, image[4:-4, 4:-4]) for image in (problem.start_latent, plain)
    )
    assert worst(found, around) < 0.5 * worst(plain, around)


def test_what_a_file_has_rounded_is_not_undone(case):
    """A JPEG's error counts beside the noise, and the start's image is nearer to the truth."""
    sharp, kernel, photo = case
    plane = np.rint(255 * np.asarray(photo[..., 1])).astype(np.uint8)
    stored = make(pillow_reader.read_jpeg(saved("JPEG", plane, quality=60)))
    truth, found = np.asarray(sharp[..., 1])[6:-6, 6:-6], []
    config = change(kernels="fixed")
    for error in (0.0, stored.coding_std):
        given = Given(jnp.asarray(stored.pixels), coding_std=jnp.float32(error))
        problem = compiled(jax.random.key(0), given, config, kernels=kernel[None])
        inner = np.asarray(problem.start_latent[2:-2, 2:-2, 0] / problem.gain)
        found.append((problem, metrics.psnr(inner[6:-6, 6:-6], truth)))
    (without, before), (with_it, after) = found
    both = np.hypot(without.noise_std, stored.coding_std * without.gain)
    np.testing.assert_allclose(with_it.noise_std, both, rtol=1e-5)
    assert after > before + 0.3
