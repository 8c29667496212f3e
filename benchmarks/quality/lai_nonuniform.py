"""What do uniform and non-uniform deblurring gain on photos shaken as Lai's are?

    python -m benchmarks.quality.lai_nonuniform --data=LAI --folder=out/lai \\
        --rows=benchmarks/results/lai_nonuniform.json [--only=text] [-- FLAGS]

LAI holds sharp/ and gyro/poses_gyro_0N.txt. Photos are made anew by the recipe of Lai et al.
(CVPR 2016): sharp pictures reduced to 256 pixels on their longest side, in colour, averaged along
the rotations of a gyroscope's log, scaled so that the longest kernel anywhere has the given pixels;
noise U[0, 0.01], 8 bits. The six of CASES use each kind of picture but `saturated`, whose light is
stretched by a rule that is not published, and all four logs. Scores follow Lai's protocol (best
shift), and after the best homography too: the picture that a photo tells of may be seen from any
pose of the camera, and dem_jax gives it as from the middle of the path, while the sharp picture is
that of the path's first pose. What that costs is shown by `true kernels`: the deconvolution with
the true kernels of 5 x 5 patches, seen from the mean pose. No kernel size is given. FLAGS go to
all runs. Finished rows are kept in the file.
"""

import functools
import pathlib
import zlib

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from benchmarks import common, simulated
from dem_jax import stages
from dem_jax.config import DeblurConfig
from dem_jax.evaluation import camera_shake, protocols, tables
from dem_jax.model import blur
from dem_jax.model.likelihood import estimate_noise_std
from dem_jax.runtime import sizes
from dem_jax.runtime.files import images
from dem_jax.solve.deconvolution import prior_weight

# (sharp picture, gyroscope's log): longest kernel in pixels
CASES = {
    ("manmade_01", 4): 15,
    ("natural_01", 3): 12,
    ("natural_05", 1): 20,
    ("people_01", 2): 10,
    ("people_02", 3): 18,
    ("text_01", 1): 25,
}
MODES = {"uniform": "quickstart", "nonuniform": "nonuniform"}
SCORES = "blurred|uniform|non-uniform|gain|over uniform|true kernels"
HEADER = (
    f"photo|longest kernel|{SCORES}|{SCORES.replace('|', ' (h)|')} (h)|"
    "seconds, uniform|seconds, non-uniform|MB"
)
TRUE_GRID = (5, 5)


def camera_path(data, shape, log, extent):
    """Homographies [S, 3, 3] of a log, seen from its first pose."""
    poses = camera_shake.read_poses(data / "gyro" / f"poses_gyro_{log:02d}.txt")
    poses = camera_shake.scale_path(jnp.asarray(poses, jnp.float32), shape, extent)
    return camera_shake.homographies(poses, shape)


def make(data, folder, name, log, extent, side):
    """Writes sharp and shaken picture; returns their paths."""
    label = f"{name}_gyro_{log:02d}"
    paths = folder / "sharp" / f"{label}.png", folder / f"{label}.png"
    with Image.open(data / "sharp" / f"{name}.png") as picture:
        sharp = picture.convert("RGB")
    scale = side / max(sharp.size)
    size = tuple(round(scale * s) for s in sharp.size)
    sharp = sharp.resize(size, Image.Resampling.LANCZOS)
    pixels = jnp.asarray(np.asarray(sharp, np.float32) / 255)
    path = camera_path(data, pixels.shape, log, extent)
    key = jax.random.key(zlib.crc32(label.encode()))
    photo = camera_shake.uniform_noise(key, camera_shake.blur_along_path(pixels, path))
    pictures = pixels, camera_shake.expose(photo, bits=8)
    return [simulated.save(path, each) for path, each in zip(paths, pictures, strict=True)]


def measure(data, folder, case, mode, side, flags):
    """One run of dem_jax.main in a process of its own, so that its memory is its own."""
    sharp, shaken = make(data, folder, *case, CASES[case], side)
    results = folder / mode / shaken.stem
    record = common.deblur(
        results,
        f"--flagfile={MODES[mode]}",
        f"--input={shaken}",
        f"--ground_truth={sharp}",
        *flags,
    )
    truth = images.read_photo(sharp).pixels
    (picture,) = results.glob("*/deblurred.png")
    return {
        **scores(images.read_photo(picture).pixels, truth),
        "start": record["psnr"]["warm_start"],
        "seconds": record["timings_seconds"]["total"],
        "memory": float(record["peak_memory_mb"]),
    }


def scores(picture, truth):
    found = protocols.lai_score(picture, truth, rotation=True)
    names = ("psnr", "ssim", "psnr_rigid", "psnr_homography")
    return {name: float(found[name]) for name in names}


def measure_known(data, folder, case, side):
    """The photo itself, and its deconvolution with the true kernels, seen from the mean pose."""
    sharp, shaken = make(data, folder, *case, CASES[case], side)
    truth, photo = (images.read_photo(path).pixels for path in (sharp, shaken))
    path = camera_path(data, photo.shape, case[1], CASES[case])
    path = path @ jnp.linalg.inv(jnp.mean(path / path[:, 2:, 2:], 0))
    k = sizes.auto_kernel_size(min(photo.shape[:2]))
    centres = jnp.asarray(blur.patch_centres(photo.shape[:2], TRUE_GRID))
    kernels = blur.unit_sums(camera_shake.local_kernels(path, centres, k))
    config = DeblurConfig(kernel_size=k, patch_grid=TRUE_GRID)
    weight = prior_weight(estimate_noise_std(photo), 1)
    restore = jax.jit(lambda photo: stages.restore(photo, kernels, weight, config))
    latent = np.asarray(restore(jnp.asarray(photo)))
    found = {"photo": scores(photo, truth), "true": scores(np.clip(latent, 0, 1), truth)}
    return {f"{what}_{name}": x for what, row in found.items() for name, x in row.items()}


def line(rows, label, extent):
    known, one, many = (rows[f"{label}/{what}"] for what in ("known", *MODES))
    cells = [label, str(extent)]
    for name in ("psnr", "psnr_homography"):
        blurred, uniform, found = known[f"photo_{name}"], one[name], many[name]
        gains = found - blurred, found - uniform
        cells += [blurred, uniform, found, *gains, known[f"true_{name}"]]
    seconds = (f"{row['seconds']:.0f}" for row in (one, many))
    return [*cells, *seconds, f"{many['memory']:.0f}"]


def run(arguments, flags):
    data, folder = pathlib.Path(arguments.data), pathlib.Path(arguments.folder)
    cases = [case for case in CASES if arguments.only in case[0]]
    tasks, labels = {}, {case: f"{case[0]}_gyro_{case[1]:02d}" for case in cases}
    for case in cases:
        task = functools.partial(measure_known, data, folder, case, int(arguments.side))
        tasks[f"{labels[case]}/known"] = task
        for mode in MODES:
            task = functools.partial(measure, data, folder, case, mode, int(arguments.side), flags)
            tasks[f"{labels[case]}/{mode}"] = task
    rows = common.kept_rows(arguments.rows, tasks)
    lines = [line(rows, labels[case], CASES[case]) for case in cases]
    means = [float(np.mean([row[i] for row in lines])) for i in range(2, 14)]
    lines.append(["**mean**", None, *means, None, None, None])
    command = "python -m benchmarks.quality.lai_nonuniform --data=LAI --folder=OUT --rows=FILE"
    command += f" -- {' '.join(flags)}" if flags else ""
    about = f"Made by `{command}`; PSNR in dB after the best shift, and (h) after the best "
    about += "homography; seconds as in run.json, compilation included."
    table = tables.markdown(HEADER.split("|"), lines)
    common.report("Lai's shakes, made anew at 256 pixels", about, table)


if __name__ == "__main__":
    options = {"only": "", "side": "256"}
    run(*common.arguments_and_flags(__doc__, data=None, folder=None, rows=None, **options))
