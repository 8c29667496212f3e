import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dem_jax.evaluation import camera_shake
from dem_jax.model import blur
from dem_jax.start import camera_path, motion_spectrum
from dem_jax.start.motion_spectrum import agrees, line_ends, straight_motion
from dem_jax.start.warm_start import shortness

SHAPE, K = (96, 120), 21


def texture(seed, shape=SHAPE):
    """A picture whose differences have a white spectrum, as photos' nearly have."""
    waves = [np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1])[None]]
    radius = np.hypot(*waves)
    radius[0, 0] = np.inf
    noise = np.random.default_rng(seed).normal(size=shape)
    picture = np.fft.irfft2(np.fft.rfft2(noise) / radius, s=shape)
    return jnp.asarray(0.5 + 0.12 * picture / picture.std(), jnp.float32)


def shaken(sharp, motion):
    """Its photo, by the evaluation's simulator, along a straight motion (theta, rows, columns)."""
    middle = np.eye(3)
    middle[:2, 2] = (np.asarray(sharp.shape) - 1) / 2
    poses = []
    for time in np.linspace(-0.5, 0.5, 61):
        angle = time * motion[0] / motion_spectrum.lever(sharp.shape)
        pose = np.array(
            [
                [np.cos(angle), -np.sin(angle), time * motion[1]],
                [np.sin(angle), np.cos(angle), time * motion[2]],
                [0, 0, 1],
            ]
        )
        poses.append(middle @ pose @ np.linalg.inv(middle))
    poses = jnp.asarray(np.array(poses), jnp.float32)
    photo = camera_shake.blur_along_path(sharp[..., None], poses)
    return camera_shake.gaussian_noise(jax.random.key(0), photo, 0.003)[..., 0]


@pytest.mark.parametrize("motion", [(0, 14, 0), (0, 8, -8), (12, 0, 0), (8, -7, 4), (-6, 3, 9)])
def test_finds_a_straight_motion(motion):
    photo = shaken(texture(1), motion)
    found = jax.jit(lambda g: straight_motion(g, kernel_size=K))(photo)
    cosine = abs(np.dot(found, motion)) / np.linalg.norm(found) / np.linalg.norm(motion)
    assert cosine > 0.95
    assert 0.5 < np.linalg.norm(found) / np.linalg.norm(motion) < 2


def test_a_longer_kernel_is_searched_for_in_a_smaller_photo():
    motion = (0.0, 30.0, 20.0)
    found = straight_motion(shaken(texture(2, (200, 240)), motion), kernel_size=51)
    cosine = abs(np.dot(found, motion)) / np.linalg.norm(found) / np.linalg.norm(motion)
    assert cosine > 0.95
    assert 0.5 < np.linalg.norm(found) / np.linalg.norm(motion) < 2


def test_a_sharp_texture_and_a_grey_card_did_not_move():
    assert np.linalg.norm(straight_motion(texture(3), kernel_size=K)) < 2
    np.testing.assert_array_equal(straight_motion(jnp.full(SHAPE, 0.5), kernel_size=K), 0)


def test_padding_is_not_seen():
    photo = shaken(texture(4), (0, 12, 4))
    padded = jnp.pad(photo, ((0, 30), (0, 40)), mode="edge")
    size = jnp.asarray(SHAPE)
    found = straight_motion(padded, kernel_size=K, size=size)
    other = straight_motion(padded.at[:, SHAPE[1] + 1 :].set(0.9), kernel_size=K, size=size)
    cosine = abs(np.dot(found, (0, 12, 4))) / np.linalg.norm(found) / np.linalg.norm((0, 12, 4))
    assert cosine > 0.95
    np.testing.assert_allclose(found, other, atol=1e-4)


@pytest.mark.parametrize("motion", [(0.0, 9.0, 5.0), (8.0, -4.0, 2.0)])
def test_straight_density_is_a_line_in_every_patch(motion):
    grid = (3, 4)
    motion = jnp.asarray(motion)
    density = camera_path.straight_density(motion, K)
    assert density.sum() == pytest.approx(1)
    kernels = camera_path.synthesise(density, SHAPE, grid)
    moves = np.asarray(line_ends(motion, blur.patch_centres(SHAPE, grid), SHAPE))
    steps = np.arange(K) - K // 2
    for kernel, move in zip(np.asarray(kernels), moves, strict=True):
        rows, cols = steps[:, None] + 0 * kernel, steps[None] + 0 * kernel
        second = [np.sum(kernel * a * b) for a, b in ((rows, rows), (rows, cols), (cols, cols))]
        line = [move[0] ** 2 / 12, move[0] * move[1] / 12, move[1] ** 2 / 12]
        # Sharing mass between neighbouring entries widens a line by under half a square pixel.
        np.testing.assert_allclose(second, line, atol=0.8)


def test_shortness_is_none_for_the_lines_themselves_and_more_the_shorter_the_kernels_are():
    motion, grid = jnp.asarray([6.0, 8.0, 4.0]), (3, 4)
    moves = line_ends(motion, blur.patch_centres(SHAPE, grid), SHAPE)

    def at(part):
        density = camera_path.straight_density(part * motion, K)
        return float(shortness(camera_path.synthesise(density, SHAPE, grid), moves))

    assert at(1.0) == at(0.7) == 0
    assert 0 < at(0.3) < at(0.1) < at(0.0)
    # A point: log(0.6 L / 0.5), and nothing to be short of where nothing moved.
    point = jnp.zeros((1, 5, 5)).at[0, 2, 2].set(1.0)
    assert shortness(point, jnp.asarray([[0.0, 12.0]])) == pytest.approx(
        np.log(1.2 * 12**0.5), 1e-5
    )
    assert shortness(point, jnp.zeros((1, 2))) == 0


def test_works_under_vmap():
    photos = jnp.stack([shaken(texture(5), (0, 10, 0)), shaken(texture(6), (0, 0, 10))])
    both = jax.vmap(lambda g: straight_motion(g, kernel_size=K))(photos)
    one = [straight_motion(g, kernel_size=K) for g in photos]
    np.testing.assert_allclose(both, jnp.stack(one), atol=1e-3)


def test_strong_edges_turn_a_line_to_where_the_camera_moved():
    data = pytest.importorskip("skimage.data")
    sharp = jnp.asarray(data.camera(), jnp.float32) / 255
    sharp = jnp.clip(jax.image.resize(sharp, (160, 160), "cubic"), 0, 1)
    motion = np.array([4.5, -8.1, 3.6])
    photo = shaken(sharp, motion)

    def cosine(line):
        return abs(np.dot(line, motion)) / np.linalg.norm(line) / np.linalg.norm(motion)

    run = jax.jit(lambda g, m: camera_path.turned_motion(g, m, kernel_size=15))
    for wrong in ((2.0, -12.0, 2.0), (0.0, -9.0, 0.0)):
        turned = run(photo, jnp.asarray(wrong))
        assert cosine(wrong) < 0.95
        assert cosine(turned) > 0.99
        assert 0.8 < np.linalg.norm(turned) / np.linalg.norm(motion) < 1.25


def test_turning_no_motion_leaves_none():
    turned = camera_path.turned_motion(texture(8), jnp.zeros(3), kernel_size=7)
    np.testing.assert_array_equal(turned, 0)


def test_spectra_agree_with_a_motion_nearby_and_with_no_other():
    motion = np.array([3.0, 9.0, 7.0], np.float32)
    photo = shaken(texture(9), motion)
    best = straight_motion(photo, kernel_size=K)
    check = jax.jit(lambda m: agrees(photo, best, m, kernel_size=K))
    assert check(best)
    assert check(-best)
    assert check(jnp.asarray(motion))
    assert not check(jnp.asarray([3.0, 9.0, -7.0]))
    assert not check(jnp.zeros(3))
