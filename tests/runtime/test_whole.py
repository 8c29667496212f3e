"""A photo in one piece: previews, and what the start alone is worth."""

import cv2
import jax
import numpy as np
import pytest
from PIL import Image
from scipy import ndimage
from small_runs import make_photo, run
from tiny import jit

from dem_jax import stages
from dem_jax.config import DeblurConfig
from dem_jax.evaluation import camera_shake
from dem_jax.solve import deconvolution
from dem_jax.types import Given

CONFIG = DeblurConfig(kernel_size=9, em_iterations=0)
PREPARE = jit(stages.prepare, static_argnums=2)


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
    problem = PREPARE(jax.random.key(0), Given(stamped, kernel=kernel), CONFIG)
    plain = deconvolution.hyper_laplacian(stamped[..., 0], kernel, 1e-4)[..., None]
    found, plain = (
        np.where(stamp, around, image[4:-4, 4:-4]) for image in (problem.start_latent, plain)
    )
    assert worst(found, around) < 0.5 * worst(plain, around)


def test_previews_and_the_animation(tmp_path):
    make_photo(tmp_path / "a.png")
    status, said = run(tmp_path, ["a.png"], preview_every=2)
    assert status == 0, said
    folder = tmp_path / "out" / "a"
    preview, result = (cv2.imread(str(folder / n)) for n in ("preview.png", "deblurred.png"))
    np.testing.assert_array_equal(preview, result)
    with Image.open(folder / "sharpening.webp") as animation:
        assert animation.n_frames == 4  # before, start, EM 2, after
        assert animation.size == (48, 40)
    run(tmp_path, ["a.png"], overwrite=True)
    assert not (folder / "preview.png").exists()
    assert not (folder / "sharpening.webp").exists()
