import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dem_jax.config import DeblurConfig
from dem_jax.evaluation import camera_shake, metrics
from dem_jax.model import blur
from dem_jax.solve.kernels import zoom_kernel
from dem_jax.start import camera_path, find, turning, views
from dem_jax.start.problem import prepare
from dem_jax.start.views import View

SHAPE, GRID = (48, 60), (2, 3)
CENTRES = blur.patch_centres(SHAPE, GRID)


def density(seed=0, rolls=7, k=9):
    values = jax.random.uniform(jax.random.key(seed), (rolls, k, k)) ** 8
    return values / values.sum()


def turned_camera(k=15):
    """A density of a camera that was turned and shifted, and its kernels at nine points."""
    rolls = camera_path.rolls(k)
    path = np.zeros((rolls, k, k), np.float32)
    for step in np.linspace(-1, 1, 41):
        place = rolls // 2 + 5 * step, k // 2 + 3 * step**2 - 1, k // 2 + 3 * step
        path[tuple(round(x) for x in place)] += 1 / 41
    shape = (90, 120)
    points = np.stack(np.meshgrid([15, 45, 75], [20, 60, 100], indexing="ij"), -1).reshape(-1, 2)
    kernels = blur.unit_sums(camera_path.synthesise(jnp.asarray(path), points, shape))
    return jnp.asarray(path), points, shape, kernels


def test_no_turn_is_one_kernel_for_all_around_the_middle():
    kernel = density()[0] / density()[0].sum()
    still = jnp.zeros((7, 9, 9)).at[3].set(kernel)
    middle = np.tile((np.asarray(SHAPE) - 1) / 2, (2, 1))
    kernels = camera_path.synthesise(still, middle, SHAPE)
    np.testing.assert_allclose(kernels, np.tile(kernel, (2, 1, 1)), atol=1e-6)


@pytest.mark.parametrize(("axis", "entry"), [(0, (0, 5)), (1, (2, 0)), (2, (1, 0))])
def test_a_turn_moves_every_patch_as_a_turning_camera_does(axis, entry):
    """Against the simulator: one pose of a small rotation about an axis through the lens."""
    k, rolls, place = 31, 5, [2, 15, 15]
    place[axis] = -1 if axis == 0 else 15 + 6
    turned = jnp.zeros((rolls, k, k)).at[tuple(place)].set(1.0)
    shape = (480, 640)
    points = blur.patch_centres(shape, (3, 4))
    kernels = camera_path.synthesise(turned, points, shape)
    np.testing.assert_allclose(kernels.sum((1, 2)), 1.0, atol=1e-5)
    moves = np.asarray(blur.centre_of_mass(kernels))
    # Lai's padding makes the simulator's focal length 6 % longer.
    index = entry[0] if axis == 0 else {1: 1, 2: 0}[axis]
    pose = jnp.zeros((1, 3)).at[0, 2 if axis == 0 else index].set(1e-3)
    path = camera_shake.homographies(pose, shape)
    seen = camera_shake.local_kernels(path, jnp.asarray(points, jnp.float32), 3)
    expected = np.asarray(blur.centre_of_mass(seen))
    factor = np.sum(expected * moves) / np.sum(expected**2)
    np.testing.assert_allclose(moves, factor * expected, atol=0.25)
    assert np.abs(moves).max() > 5


def test_synthesis_is_linear_and_has_the_right_adjoint():
    one, two = density(1), density(2)

    def kernels(w):
        return camera_path.synthesise(w, CENTRES, SHAPE)

    both = kernels(2 * one - 3 * two)
    np.testing.assert_allclose(both, 2 * kernels(one) - 3 * kernels(two), atol=1e-5)
    cotangent = jax.random.normal(jax.random.key(3), both.shape)
    (back,) = jax.linear_transpose(kernels, one)(cotangent)
    assert jnp.vdot(back, one) == pytest.approx(float(jnp.vdot(cotangent, kernels(one))), rel=1e-4)


def test_a_zoomed_density_makes_zoomed_kernels():
    path, points, _, kernels = turned_camera()
    finer = camera_path.zoom(path, 29, 2.0)
    twice = camera_path.synthesise(finer, 2 * points + 0.5, (180, 240))
    for small, large in zip(kernels, twice, strict=True):
        expected = zoom_kernel(small, 29, 2.0)
        assert metrics.kernel_correlation(large, expected) > 0.9


@pytest.fixture(scope="module")
def camera():
    """The sharp picture, one of a turning camera, and one of a camera that only shook."""
    data = pytest.importorskip("skimage.data")
    sharp = jnp.asarray(data.camera(), jnp.float32)[..., None] / 255
    sharp = jnp.clip(jax.image.resize(sharp, (256, 256, 1), "cubic"), 0, 1)
    path_key, noise_key, kernel_key = jax.random.split(jax.random.key(32), 3)
    path = camera_shake.random_rotation_path(path_key, sharp.shape, extent=19.0, translation=1.2)
    turned = camera_shake.blur_along_path(sharp, camera_shake.homographies(path, sharp.shape))
    shaken = camera_shake.blur_uniform(sharp, camera_shake.random_kernel(kernel_key, 15))
    noise = camera_shake.gaussian_noise
    return sharp, noise(noise_key, turned, 0.003), noise(noise_key, shaken, 0.003)


@pytest.mark.slow
def test_a_turning_camera_gains_by_a_kernel_for_every_patch(camera):
    sharp, photo, _ = camera

    def psnr(grid):
        config = DeblurConfig(kernel_size=21, patch_grid=grid)
        start = jax.jit(lambda g: prepare(jax.random.key(0), g, config))
        problem = start(photo)
        latent = problem.start_latent / problem.gain
        registered = metrics.register_shift(
            np.asarray(latent)[10:-10, 10:-10, 0], np.asarray(sharp)[..., 0], max_shift=10
        )
        return float(metrics.psnr(registered.result, registered.truth))

    assert psnr((3, 3)) > psnr((1, 1)) + 1


@pytest.mark.slow
def test_a_path_beats_one_kernel_where_the_camera_turned_and_only_there(camera):
    k, grid = 21, (3, 3)

    @jax.jit
    def gain(photo):
        view = View(photo[..., 0])
        config = DeblurConfig(kernel_size=k, patch_grid=grid)
        kernel, _ = find.find(view, config)
        return turning.turned(view, kernel, config).gain

    _, turned, shaken = camera
    assert gain(turned) > 0
    assert gain(shaken) < 0


def test_kernels_are_improved_where_the_photo_tells_them_and_kept_elsewhere():
    """A picture beside a grey wall; a kernel that is thicker than the right one."""
    data = pytest.importorskip("skimage.data")
    sharp = np.asarray(data.camera(), np.float32)[150:302, 150:302] / 255
    kernel = np.eye(9, dtype=np.float32) / 9
    photo = np.asarray(jax.scipy.signal.convolve(sharp, kernel, mode="valid"))
    photo = np.concatenate([photo, *[np.full_like(photo, 0.5)] * 2], axis=1)
    photo = photo + 0.002 * np.random.default_rng(0).standard_normal(photo.shape)
    view = views.stretched(View(jnp.asarray(photo, jnp.float32)))
    bell = np.exp(-0.5 * (np.arange(-3, 4) / 1.2) ** 2)
    thick = jax.scipy.signal.convolve(kernel, np.outer(bell, bell) / bell.sum() ** 2, mode="same")
    before = jnp.tile(blur.unit_sums(thick[None]), (2, 1, 1))
    after = jax.jit(lambda v, k: turning.each_improved(v, k, (1, 2)))(view, before)
    np.testing.assert_allclose(after.sum((1, 2)), 1, rtol=1e-5)
    np.testing.assert_array_equal(after[1], before[1])
    old, new = (float(metrics.kernel_correlation(k, kernel)) for k in (before[0], after[0]))
    assert new > old + 0.1


def test_a_photo_without_edges_is_of_a_camera_that_did_not_move():
    config = DeblurConfig(kernel_size=5, patch_grid=GRID)
    run = jax.jit(lambda g, k: turning.refined(View(g), k, config))
    point = np.eye(25, dtype=np.float32)[12].reshape(5, 5)
    found = run(jnp.full(SHAPE, 0.5), point)
    np.testing.assert_allclose(found, np.tile(point, (6, 1, 1)), atol=1e-6)


def test_a_camera_that_was_only_shifted_has_one_kernel_everywhere():
    kernel = np.random.default_rng(0).random((7, 7)).astype(np.float32)
    density = camera_path.without_roll(jnp.asarray(kernel / kernel.sum()))
    found = camera_path.patch_kernels(density, SHAPE, GRID, 0.0)
    np.testing.assert_allclose(found, np.tile(kernel / kernel.sum(), (6, 1, 1)), atol=1e-6)
