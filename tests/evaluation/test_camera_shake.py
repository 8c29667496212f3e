"""The simulator against closed forms, an independent convolution, and Lai's official files."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.signal

from dem_jax.evaluation import camera_shake

# Compiled once: op by op, these spend their time in the compiler.
homographies = jax.jit(camera_shake.homographies, static_argnums=1)
local_kernels = jax.jit(camera_shake.local_kernels, static_argnums=2)
blur_along_path = jax.jit(camera_shake.blur_along_path)
random_path = jax.jit(camera_shake.random_path, static_argnums=1)
random_rotation_path = jax.jit(camera_shake.random_rotation_path, static_argnums=1)


def smooth_picture(rows, cols, row_wave=23.0, col_wave=31.0):
    r, c = np.meshgrid(np.arange(rows), np.arange(cols), indexing="ij")
    grey = 0.5 + 0.2 * np.sin(2 * np.pi * r / row_wave) + 0.2 * np.cos(2 * np.pi * c / col_wave)
    return jnp.asarray(np.stack([grey, 1 - grey], axis=2), jnp.float32)


def random_picture(seed, shape):
    return jax.random.uniform(jax.random.key(seed), shape)


def test_uniform_blur_is_a_true_convolution():
    sharp = random_picture(0, (20, 24, 3))
    kernel = camera_shake.random_kernel(jax.random.key(1), 7)
    valid = camera_shake.blur_uniform(sharp, kernel, boundary="valid")
    for c in range(3):
        expected = scipy.signal.convolve2d(sharp[..., c], kernel, mode="valid")
        np.testing.assert_allclose(valid[..., c], expected, atol=1e-5)
    same = camera_shake.blur_uniform(sharp, kernel)
    assert same.shape == sharp.shape
    np.testing.assert_allclose(same[3:-3, 3:-3], valid, atol=1e-5)


def test_a_rendered_displacement_moves_the_picture_by_it():
    sharp = random_picture(0, (16, 16, 1))
    kernel = camera_shake.render_kernel(jnp.array([[2.0, -1.0]]), 5)
    moved = camera_shake.blur_uniform(sharp, kernel, boundary="valid")
    np.testing.assert_allclose(moved, sharp[0:12, 3:15], atol=1e-5)


def test_rendered_kernel_has_the_paths_centre_of_mass_and_reports_what_is_outside():
    path = jnp.array([[0.25, -1.5], [1.0, 0.5], [-0.75, 1.25]])
    kernel = np.asarray(camera_shake.render_kernel(path, 7))
    r = np.arange(7) - 3
    centre = [(kernel.sum(1) * r).sum(), (kernel.sum(0) * r).sum()]
    assert kernel.sum() == pytest.approx(1, abs=1e-6)
    np.testing.assert_allclose(centre, np.mean(np.asarray(path), axis=0), atol=1e-6)
    outside = camera_shake.render_kernel(jnp.array([[0.0, 0.0], [0.0, 9.0]]), 7)
    assert float(outside.sum()) == pytest.approx(0.5, abs=1e-6)


@pytest.mark.parametrize("size", [3, 11, 31])
def test_random_kernel_is_a_kernel_of_the_asked_extent(size):
    kernel = np.asarray(camera_shake.random_kernel(jax.random.key(3), size, extent=size - 1))
    assert kernel.shape == (size, size)
    assert kernel.min() >= 0
    assert kernel.sum() == pytest.approx(1, abs=1e-5)
    used = [np.flatnonzero(kernel.sum(axis)) for axis in (0, 1)]
    assert max(u[-1] - u[0] for u in used) == size - 1
    assert not np.array_equal(kernel, camera_shake.random_kernel(jax.random.key(4), size))


def test_rotation_matrices_match_scipy():
    from scipy.spatial.transform import Rotation

    vectors = np.array([[0.0, 0.0, 0.0], [0.1, -0.2, 0.3], [1e-5, 0.0, 2e-5]])
    shape = (30, 40)
    camera = camera_shake.camera_matrix(shape)
    rotations = Rotation.from_rotvec(vectors).as_matrix()
    expected = camera @ np.linalg.inv(rotations) @ np.linalg.inv(camera)
    found = homographies(jnp.asarray(vectors), shape)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_warp_by_a_translation_shifts_bilinearly_and_repeats_the_border():
    sharp = random_picture(0, (9, 11, 2))
    shift = jnp.array([[1.0, 0, 0.5], [0, 1.0, 2.0], [0, 0, 1.0]])
    seen = jax.jit(camera_shake.warp)(sharp, shift)
    expected = (sharp[:-1, 2:] + sharp[1:, 2:]) / 2
    np.testing.assert_allclose(seen[:-1, :-2], expected, atol=1e-6)
    np.testing.assert_allclose(seen[-1, :-2], sharp[-1, 2:], atol=1e-6)


def test_translation_path_equals_uniform_blur_with_its_kernel():
    sharp = smooth_picture(48, 40)
    shape = sharp.shape
    focal = camera_shake.camera_matrix(shape)[0, 0]
    curve = camera_shake.smooth_curve(jax.random.key(2), 40, 2, smoothness=1.5)
    poses = jnp.zeros((40, 6)).at[:, 3:5].set(4 / focal * curve / jnp.max(jnp.abs(curve)))
    path = homographies(poses, shape)
    centre = jnp.array([[20.0, 20.0], [5.0, 30.0]])
    kernels = local_kernels(path, centre, 15)
    np.testing.assert_allclose(kernels[0], kernels[1], atol=1e-4)
    photo = blur_along_path(sharp, path)
    uniform = camera_shake.blur_uniform(sharp, kernels[0])
    np.testing.assert_allclose(photo, uniform, atol=2e-4)


def test_local_kernel_explains_the_photo_at_its_point():
    sharp = random_picture(0, (64, 64, 1))
    poses = random_path(jax.random.key(7), sharp.shape, extent=9.0)
    path = homographies(poses, sharp.shape)
    photo = blur_along_path(sharp, path)
    for point in [(20, 20), (32, 45), (45, 24)]:
        kernel = local_kernels(path, jnp.array([point], jnp.float32), 21)[0]
        r, c = point
        patch = sharp[r - 10 : r + 11, c - 10 : c + 11, 0]
        expected = jnp.sum(patch * kernel[::-1, ::-1])
        assert float(kernel.sum()) == pytest.approx(1, abs=1e-4)
        assert float(photo[r, c, 0]) == pytest.approx(float(expected), abs=1e-4)


@pytest.mark.parametrize("make", [random_path, random_rotation_path])
def test_random_paths_have_the_asked_extent_and_vary_over_the_picture(make):
    shape = (128, 96, 3)
    poses = make(jax.random.key(5), shape, extent=17.0)
    assert poses.shape == (64, 6)
    path = homographies(poses, shape)
    assert float(camera_shake.path_extent(path, shape)) == pytest.approx(17.0, rel=1e-2)
    corners = jnp.array([[0.0, 0.0], [127.0, 95.0]])
    kernels = local_kernels(path, corners, 41)
    np.testing.assert_allclose(kernels.sum((1, 2)), 1, atol=1e-4)
    assert float(jnp.abs(kernels[0] - kernels[1]).sum()) > 0.5


def test_functions_work_under_jit_and_vmap():
    keys = jax.random.split(jax.random.key(0), 3)
    sharp = random_picture(0, (24, 24, 1))

    def shake(key):
        poses = camera_shake.random_rotation_path(key, sharp.shape, extent=5.0, num_poses=8)
        return camera_shake.blur_along_path(sharp, camera_shake.homographies(poses, sharp.shape))

    together = jax.jit(jax.vmap(shake))(keys)
    np.testing.assert_allclose(together[1], shake(keys[1]), atol=1e-5)


def test_noise_models_have_their_moments():
    photo = jnp.full((200, 200, 1), 0.25)
    key = jax.random.key(0)
    count = photo.size
    gaussian = np.asarray(camera_shake.gaussian_noise(key, photo, 0.02) - photo)
    assert abs(gaussian.mean()) < 5 * 0.02 / count**0.5
    assert gaussian.std() == pytest.approx(0.02, rel=0.02)
    shot = np.asarray(camera_shake.poisson_noise(key, photo, 1000.0) - photo)
    assert shot.var() == pytest.approx(0.25 / 1000, rel=0.05)
    uniform = np.asarray(camera_shake.uniform_noise(key, photo) - photo)
    assert uniform.min() >= -1e-6
    assert uniform.max() <= 0.01 + 1e-6
    assert uniform.mean() == pytest.approx(0.005, rel=0.02)


def test_exposure_clips_and_quantises():
    photo = jnp.array([[[0.1], [0.6], [-0.2]]])
    np.testing.assert_allclose(camera_shake.expose(photo, gain=2.0).ravel(), [0.2, 1, 0], atol=1e-6)
    steps = camera_shake.expose(photo, bits=8).ravel() * 255
    np.testing.assert_allclose(steps, np.round(steps), atol=1e-4)


def test_bad_input_gets_a_clear_sentence(tmp_path):
    with pytest.raises(ValueError, match="odd"):
        camera_shake.random_kernel(jax.random.key(0), 8)
    with pytest.raises(ValueError, match="extent"):
        camera_shake.random_kernel(jax.random.key(0), 9, extent=20)
    with pytest.raises(ValueError, match="boundary"):
        camera_shake.blur_uniform(jnp.ones((9, 9, 1)), jnp.ones((3, 3)) / 9, boundary="wrap")
    with pytest.raises(ValueError, match="fit"):
        camera_shake.blur_uniform(jnp.ones((9, 9, 1)), jnp.ones((11, 11)), boundary="valid")
    table = tmp_path / "poses.txt"
    table.write_text("1 2\n3 4\n")
    with pytest.raises(ValueError, match="2 columns"):
        camera_shake.read_poses(table)
    table.write_text("no numbers here\n")
    with pytest.raises(ValueError, match="not a table"):
        camera_shake.read_poses(table)


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_gyro_log_gives_the_pose_file(data_folder, number):
    gyro = data_folder / "lai" / "gyro"
    from_log = camera_shake.read_gyro_log(gyro / f"gyro_0{number}")
    from_file = camera_shake.read_poses(gyro / f"poses_gyro_0{number}.txt")
    np.testing.assert_allclose(from_log, from_file, atol=1e-10)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "number"), [("natural_05", 1), ("manmade_01", 4)])
def test_official_nonuniform_photo_is_regenerated(data_folder, name, number):
    image = pytest.importorskip("PIL.Image")
    lai = data_folder / "lai"
    sharp = np.asarray(image.open(lai / "sharp" / f"{name}.png"), np.float32) / 255
    official = np.asarray(image.open(lai / "nonuniform" / f"{name}_gyro_0{number}.png")) / 255
    poses = camera_shake.read_poses(lai / "gyro" / f"poses_gyro_0{number}.txt")
    path = camera_shake.homographies(jnp.asarray(poses, jnp.float32), sharp.shape)
    photo = np.asarray(camera_shake.blur_along_path(jnp.asarray(sharp), path))
    error = np.mean((photo + 0.005 - official) ** 2)
    assert -10 * np.log10(error) >= 48.0
