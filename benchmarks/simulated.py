"""Photos with a known truth: pictures, their 8-bit photos, and the files of both.

Every benchmark that simulates a photo does it here. The blur itself is dem_jax.evaluation's.
"""

import pathlib

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image, ImageOps

from dem_jax.evaluation import camera_shake
from dem_jax.runtime.files import images, samples


def picture(
    path: str | pathlib.Path, shape: tuple[int, int], *, colour: bool = False
) -> np.ndarray:
    """[*shape, 1 or 3]: the middle of a picture, reduced to the given rows and columns."""
    with Image.open(path) as opened:
        mode = opened.convert("RGB" if colour else "L")
    fitted = ImageOps.fit(mode, shape[::-1], Image.Resampling.LANCZOS)
    return np.asarray(fitted, np.float32).reshape(*shape, -1) / 255


def sample(name: str, side: int) -> np.ndarray:
    """[side, side, 1]: a picture that scikit-image brings, grey."""
    return picture(samples.sample_path(name), (side, side))


def true_kernel(path: str | pathlib.Path) -> np.ndarray:
    """[k, k]: a kernel file of a data set, its sum one."""
    kernel = images.read_photo(path).pixels[..., 0]
    return kernel / kernel.sum()


def exposed(noise_key: jax.Array, shaken: jax.Array, noise: float) -> np.ndarray:
    """[H, W, C]: a blurred picture with Gaussian noise (image units), rounded to 8 bits."""
    noisy = camera_shake.gaussian_noise(noise_key, jnp.asarray(shaken), noise)
    return np.asarray(camera_shake.expose(noisy, bits=8))


def shaken(
    noise_key: jax.Array, sharp: np.ndarray, kernel: np.ndarray | jax.Array, noise: float
) -> np.ndarray:
    """[H, W, C]: the photo of a picture that one kernel blurs."""
    blurred = camera_shake.blur_uniform(jnp.asarray(sharp), jnp.asarray(kernel))
    return exposed(noise_key, blurred, noise)


def save(path: pathlib.Path, pixels: np.ndarray) -> pathlib.Path:
    """Writes [H, W, 1 or 3] with 8 bits; returns the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    levels = (255 * np.clip(pixels, 0, 1)).round().astype(np.uint8)
    Image.fromarray(levels if levels.shape[-1] == 3 else levels[..., 0]).save(path)
    return path
