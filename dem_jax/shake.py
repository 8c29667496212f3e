"""Blurs a sharp picture as a shaking camera does: `python -m dem_jax.shake --input=... `.

The truth stays known: the picture itself, and the kernels where --kernels_output is given.
"""

import functools
import pathlib
import sys
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags

from dem_jax.evaluation import camera_shake
from dem_jax.model import blur
from dem_jax.runtime.command import plain
from dem_jax.runtime.files import atomic, images, samples, writing

USAGE = """python -m dem_jax.shake --input=sharp.png --path=random --output=blurry.png

--path says how the camera moves:
  random         random smooth path in six degrees of freedom, --extent pixels long
  rotation       random rotation about a point away from the centre, plus a translation
  random_kernel  one random kernel for the whole picture
  gyro:LOG_DIR   a gyroscope's log (gyro.txt and info.txt, as in Lai's data set)
  poses:FILE     three rotation angles a line, as in Lai's data set
  kernel:FILE    a kernel's picture or .npy file, applied as a true convolution
--noise is none, gaussian:STD, poisson:ELECTRONS or uniform:HIGH (Lai's is uniform:0.01).
Exit status: 0 done, 2 bad flags or files (nothing written).
"""
PATHS = ("random", "rotation", "random_kernel", "gyro", "poses", "kernel")
NOISES: dict[str, Callable[..., jax.Array]] = {
    "gaussian": camera_shake.gaussian_noise,
    "poisson": camera_shake.poisson_noise,
    "uniform": camera_shake.uniform_noise,
}


def run(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    values = define_flags()
    try:
        given = plain.read(values, "shake", argv, usage=USAGE, required=("input", "path", "output"))
        if given is None:
            return 0
        output = pathlib.Path(given["output"]).expanduser()
        if output.suffix.lower() not in (".png", ".tiff"):
            raise ValueError(f"--output={output} must end in .png or .tiff.")
        sharp = images.read_photo(_input_path(given["input"]))
        photo, kernels = shake(jax.random.key(given["seed"]), jnp.asarray(sharp.pixels), given)
        writing.write_photo(output, np.asarray(photo), like=sharp)
        if given["kernels_output"]:
            atomic.write_array(given["kernels_output"], np.asarray(kernels))
    except (flags.Error, ValueError, OSError) as error:
        print(f"shake: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    return 0


def define_flags() -> flags.FlagValues:
    """All flags, in a registry of their own."""
    values = flags.FlagValues()
    own: dict[str, Any] = {"flag_values": values}
    flags.DEFINE_string("input", None, "Sharp picture, or sample:NAME.", **own)
    flags.DEFINE_string("path", None, "The camera's path, see above.", **own)
    flags.DEFINE_string("output", None, "The blurry picture, .png or .tiff.", **own)
    flags.DEFINE_string("noise", "none", "The sensor's noise, see above.", **own)
    flags.DEFINE_integer("seed", 0, "Of the random path and the noise.", lower_bound=0, **own)
    flags.DEFINE_float("extent", 15.0, "Pixels a random path covers.", lower_bound=0.1, **own)
    flags.DEFINE_float(
        "pose_scale", 1.0, "Factor on gyro and pose files, for reduced pictures.", **own
    )
    flags.DEFINE_float(
        "gain", 1.0, "Factor on the light before noise; above 1 it saturates.", lower_bound=0, **own
    )
    flags.DEFINE_boolean(
        "flip_kernel", False, "The kernel file is meant for correlation, as Lai's are.", **own
    )
    flags.DEFINE_string(
        "kernels_output", None, "File for the true kernels, float32 [P, k, k] in .npy.", **own
    )
    flags.DEFINE_string("patch_grid", "3x3", "Where these kernels are taken, ROWSxCOLS.", **own)
    flags.DEFINE_integer(
        "kernel_size", 31, "Their odd size; also that of random_kernel.", lower_bound=3, **own
    )
    flags.DEFINE_boolean("help", False, "This text.", short_name="h", **own)
    return values


def shake(key: jax.Array, sharp: jax.Array, given: dict[str, Any]) -> tuple[jax.Array, jax.Array]:
    """The blurry picture [H, W, C] and the true kernels [P, k, k] that the flags ask for."""
    path_key, noise_key = jax.random.split(key)
    kind, _, argument = given["path"].partition(":")
    if kind not in PATHS:
        raise ValueError(f"--path={given['path']} is unknown; use one of {', '.join(PATHS)}.")
    size, extent = given["kernel_size"], given["extent"]
    if kind in ("kernel", "random_kernel"):
        if kind == "kernel":
            kernel = read_kernel(argument, flip=given["flip_kernel"])
        else:
            kernel = camera_shake.random_kernel(path_key, size, extent=min(extent, size - 1))
        photo, kernels = camera_shake.blur_uniform(sharp, kernel), kernel[None]
    else:
        if kind in ("gyro", "poses"):
            read = camera_shake.read_gyro_log if kind == "gyro" else camera_shake.read_poses
            poses = jnp.asarray(given["pose_scale"] * read(argument), jnp.float32)
        else:
            draw = (
                camera_shake.random_path if kind == "random" else camera_shake.random_rotation_path
            )
            poses = jax.jit(lambda key: draw(key, sharp.shape, extent=extent))(path_key)
        latent = (sharp.shape[0] + size - 1, sharp.shape[1] + size - 1)
        centres = blur.patch_centres(latent, _grid(given["patch_grid"])) - (size - 1) / 2
        photo, kernels = _shake_along(poses, sharp, jnp.asarray(centres, jnp.float32), size)
    photo = _add_noise(noise_key, given["gain"] * photo, given["noise"])
    return camera_shake.expose(photo), kernels


def read_kernel(file: str, *, flip: bool) -> jax.Array:
    """Kernel [k, k] that sums to one, from a picture or an .npy file."""
    if file.endswith(".npy"):
        kernel = np.load(file).astype(np.float32)
        kernel = kernel[0] if kernel.ndim == 3 and len(kernel) == 1 else kernel
    else:
        kernel = images.read_photo(file).pixels.mean(axis=2)
    if kernel.ndim != 2 or not kernel.sum() > 0:
        raise ValueError(f"{file} is not one kernel with a positive sum.")
    side = max(kernel.shape) | 1
    kernel = np.pad(kernel, [(0, side - n) for n in kernel.shape])
    return jnp.asarray((kernel[::-1, ::-1] if flip else kernel) / kernel.sum())


@functools.partial(jax.jit, static_argnames="size")
def _shake_along(
    poses: jax.Array, sharp: jax.Array, centres: jax.Array, size: int
) -> tuple[jax.Array, jax.Array]:
    path = camera_shake.homographies(poses, sharp.shape)
    kernels = camera_shake.local_kernels(path, centres, size)
    return camera_shake.blur_along_path(sharp, path), kernels


def _add_noise(key: jax.Array, photo: jax.Array, text: str) -> jax.Array:
    kind, _, level = text.partition(":")
    if kind == "none":
        return photo
    try:
        return NOISES[kind](key, photo, float(level))
    except (KeyError, ValueError) as error:
        raise ValueError(
            f"--noise={text} is unknown; use none, gaussian:STD, poisson:ELECTRONS or uniform:HIGH."
        ) from error


def _grid(text: str) -> tuple[int, int]:
    try:
        rows, cols = (int(part) for part in text.split("x"))
    except ValueError as error:
        raise ValueError(f"--patch_grid={text} must be ROWSxCOLS, such as 3x4.") from error
    return rows, cols


def _input_path(text: str) -> pathlib.Path:
    if text.startswith(samples.PREFIX):
        return samples.sample_path(text.removeprefix(samples.PREFIX))
    return pathlib.Path(text).expanduser()


if __name__ == "__main__":
    sys.exit(run())
