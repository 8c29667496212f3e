import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dem_jax import solver
from dem_jax.config import DeblurConfig
from dem_jax.evaluation import camera_shake, metrics
from dem_jax.model import blur
from dem_jax.start import camera_path

SHAPE, GRID = (48, 60), (2, 3)


def density(seed=0, rolls=7, k=9):
    values = jax.random.uniform(jax.random.key(seed), (rolls, k, k)) ** 8
    return values / values.sum()


def test_no_roll_is_one_kernel_for_all():
    kernel = density()[0] / density()[0].sum()
    still = jnp.zeros((7, 9, 9)).at[3].set(kernel)
    kernels = camera_path.synthesise(still, SHAPE, GRID)
    np.testing.assert_allclose(kernels, np.tile(kernel, (6, 1, 1)), atol=1e-6)


def test_a_roll_moves_every_patch_as_a_rotating_camera_does():
    k, rolls = 15, 5
    rolled = jnp.zeros((rolls, k, k)).at[-1, k // 2, k // 2].set(1.0)
    kernels = camera_path.synthesise(rolled, SHAPE, GRID)
    np.testing.assert_allclose(kernels.sum((1, 2)), 1.0, atol=1e-5)
    moves = blur.centre_of_mass(kernels)
    # An independent simulator: one pose of a small roll about the picture's centre.
    centres = blur.patch_centres(SHAPE, GRID)
    lever = 0.8 * np.hypot(*SHAPE) / 2
    angle = (k // 2) / lever  # the last step moves a patch near the corner by half a kernel
    pose = jnp.zeros((1, 6)).at[0, 2].set(1e-3)
    there = camera_shake.local_kernels(
        camera_shake.homographies(pose, SHAPE), jnp.asarray(centres), 3
    )
    expected = np.asarray(blur.centre_of_mass(there)) / 1e-3 * angle
    sign = np.sign(np.sum(expected * np.asarray(moves)))  # both turns are in the family
    # The simulator turns about a point half a pixel away: half a pixel times the angle of 0.2.
    np.testing.assert_allclose(moves, sign * expected, atol=0.15)
    assert np.abs(expected).max() > 3


def test_a_density_means_the_same_on_every_grid():
    """Two patches with one centre see one kernel, whatever the other patches are."""
    odd, single = (3, 3), (1, 1)
    many = camera_path.synthesise(density(), SHAPE, odd)
    one = camera_path.synthesise(density(), SHAPE, single)
    centres = blur.patch_centres(SHAPE, odd)[4], blur.patch_centres(SHAPE, single)[0]
    np.testing.assert_allclose(*centres)
    np.testing.assert_allclose(many[4], one[0], atol=1e-6)


def test_synthesis_is_linear_and_differentiable():
    one, two = density(1), density(2)

    def kernels(w):
        return camera_path.synthesise(w, SHAPE, GRID)

    both = kernels(2 * one - 3 * two)
    np.testing.assert_allclose(both, 2 * kernels(one) - 3 * kernels(two), atol=1e-5)
    cotangent = jax.random.normal(jax.random.key(3), both.shape)
    (back,) = jax.linear_transpose(kernels, one)(cotangent)
    assert jnp.vdot(back, one) == pytest.approx(float(jnp.vdot(cotangent, kernels(one))), rel=1e-4)


@pytest.mark.parametrize(("shape", "grid"), [((48, 60), (2, 3)), ((31, 47), (3, 1))])
def test_crops_hold_the_whole_windows(shape, grid):
    crops = camera_path._crops(shape, grid)
    total = np.zeros(shape)
    np.add.at(total, (crops.rows[:, :, None], crops.cols[:, None, :]), crops.windows)
    np.testing.assert_allclose(total, 1.0, atol=1e-6)


def test_fit_finds_the_kernels_that_made_the_photo():
    truth = jnp.zeros((7, 9, 9)).at[1, 4, 2].set(0.3).at[3, 4, 4].set(0.4).at[5, 3, 6].set(0.3)
    kernels = camera_path.synthesise(truth, SHAPE, GRID)
    shape = (48, 48)
    edges = jax.random.normal(jax.random.key(4), (6, 2, 30, 30))
    edges = jnp.pad(edges, ((0, 0), (0, 0), (9, 9), (9, 9)))
    size = kernels.shape[-1]
    spectra = jnp.fft.rfft2(jnp.pad(kernels, ((0, 0), (0, 39), (0, 39))))
    blurred = jnp.fft.irfft2(spectra[:, None] * jnp.fft.rfft2(edges), s=shape)
    blurred = jnp.roll(blurred, (-(size // 2), -(size // 2)), (2, 3))
    flat = jnp.full_like(truth, 1 / truth.size)
    found = camera_path._fit(edges, blurred, flat, SHAPE, GRID, 0.0)
    error = jnp.abs(camera_path.synthesise(found, SHAPE, GRID) - kernels).sum((1, 2))
    start = jnp.abs(camera_path.synthesise(flat, SHAPE, GRID) - kernels).sum((1, 2))
    assert error.max() < 0.3 < 1.0 < start.min()


@pytest.mark.slow
def test_a_turning_camera_gains_by_a_kernel_for_every_patch():
    data = pytest.importorskip("skimage.data")
    sharp = jnp.asarray(data.camera(), jnp.float32)[..., None] / 255
    sharp = jnp.clip(jax.image.resize(sharp, (256, 256, 1), "cubic"), 0, 1)
    path_key, noise_key = jax.random.split(jax.random.key(32))
    path = camera_shake.random_rotation_path(path_key, sharp.shape, extent=19.0, translation=1.2)
    photo = camera_shake.blur_along_path(sharp, camera_shake.homographies(path, sharp.shape))
    photo = camera_shake.gaussian_noise(noise_key, photo, 0.003)

    def psnr(grid):
        config = DeblurConfig(kernel_size=21, patch_grid=grid)
        prepare = jax.jit(lambda g: solver.prepare(jax.random.key(0), g, config))
        problem = prepare(photo)
        latent = problem.start_latent / problem.gain
        registered = metrics.register_shift(
            np.asarray(latent)[10:-10, 10:-10, 0], np.asarray(sharp)[..., 0], max_shift=10
        )
        return float(metrics.psnr(registered.result, registered.truth))

    assert psnr((3, 3)) > psnr((1, 1)) + 1


def test_a_photo_without_edges_is_of_a_camera_that_did_not_move():
    run = jax.jit(lambda g: camera_path.path_kernels(g, 1e-2, kernel_size=5, grid=GRID))
    point = np.eye(25)[12].reshape(5, 5)
    np.testing.assert_allclose(run(jnp.full(SHAPE, 0.5)), np.tile(point, (6, 1, 1)), atol=1e-6)
