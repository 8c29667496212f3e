"""What do uniform and non-uniform deblurring gain on photos shaken as Lai's are?

    python benchmarks/lai_nonuniform.py --data=LAI --folder=out/lai \\
        --rows=docs/lai_nonuniform.json --table=docs/lai_nonuniform.md [--only=text] [-- FLAGS]

LAI holds sharp/ and gyro/poses_gyro_0N.txt. Photos are made anew by the recipe of Lai et al.
(CVPR 2016): sharp pictures reduced to 256 pixels on their longest side, in colour, averaged along
the rotations of a gyroscope's log, scaled so that the longest kernel anywhere has the given pixels;
noise U[0, 0.01], 8 bits. The six of CASES use each kind of picture but `saturated`, whose light is
stretched by a rule that is not published, and all four logs. Scores follow Lai's protocol (best
shift), and after the best homography too. No kernel size is given. FLAGS go to all runs. Finished
rows are kept in the file.
"""

import functools
import pathlib
import zlib

import common
import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from dem_jax.evaluation import camera_shake, protocols, tables
from dem_jax.runtime import images

# (sharp picture, gyroscope's log): longest kernel in pixels
CASES = {
    ("manmade_01", 4): 15,
    ("natural_01", 3): 12,
    ("natural_05", 1): 20,
    ("people_01", 2): 10,
    ("people_02", 3): 18,
    ("text_01", 1): 25,
}
MODES = {"uniform": "quickstart", "nonuniform": "quickstart_nonuniform"}
HEADER = (
    "photo|longest kernel|blurred|warm start|uniform|non-uniform|gain|over uniform|"
    "uniform, homography|non-uniform, homography|seconds, uniform|seconds, non-uniform|MB"
)


def make(data, folder, name, log, extent, side):
    """Writes sharp and shaken picture; returns their paths."""
    label = f"{name}_gyro_{log:02d}"
    paths = folder / "sharp" / f"{label}.png", folder / f"{label}.png"
    paths[0].parent.mkdir(parents=True, exist_ok=True)
    with Image.open(data / "sharp" / f"{name}.png") as picture:
        sharp = picture.convert("RGB")
    scale = side / max(sharp.size)
    size = tuple(round(scale * s) for s in sharp.size)
    sharp = sharp.resize(size, Image.Resampling.LANCZOS)
    sharp.save(paths[0])
    pixels = jnp.asarray(np.asarray(sharp, np.float32) / 255)
    poses = camera_shake.read_poses(data / "gyro" / f"poses_gyro_{log:02d}.txt")
    poses = camera_shake.scale_path(jnp.asarray(poses, jnp.float32), pixels.shape, extent)
    path = camera_shake.homographies(poses, pixels.shape)
    key = jax.random.key(zlib.crc32(label.encode()))
    photo = camera_shake.uniform_noise(key, camera_shake.blur_along_path(pixels, path))
    levels = np.asarray(255 * camera_shake.expose(photo, bits=8)).round().astype(np.uint8)
    Image.fromarray(levels).save(paths[1])
    return paths


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
    scores = protocols.lai_score(images.read_photo(picture).pixels, truth, rotation=True)
    names = ("psnr", "ssim", "psnr_rigid", "psnr_homography")
    return {
        "blurred": protocols.lai_score(images.read_photo(shaken).pixels, truth)["psnr"],
        "warm_start": record["psnr"]["warm_start"],
        **{name: float(scores[name]) for name in names},
        "seconds": record["timings_seconds"]["total"],
        "memory_mb": float(record["peak_memory_mb"]),
    }


def line(rows, label, extent):
    one, many = rows[f"{label}/uniform"], rows[f"{label}/nonuniform"]
    psnr, turned = (one["psnr"], many["psnr"]), (one["psnr_homography"], many["psnr_homography"])
    gains = many["psnr"] - one["blurred"], many["psnr"] - one["psnr"]
    seconds = (f"{row['seconds']:.0f}" for row in (one, many))
    start, memory = (one["blurred"], one["warm_start"]), f"{many['memory_mb']:.0f}"
    return [label, str(extent), *start, *psnr, *gains, *turned, *seconds, memory]


def run(arguments, flags):
    data, folder = pathlib.Path(arguments.data), pathlib.Path(arguments.folder)
    cases = [case for case in CASES if arguments.only in case[0]]
    tasks, labels = {}, {case: f"{case[0]}_gyro_{case[1]:02d}" for case in cases}
    for case in cases:
        for mode in MODES:
            task = functools.partial(measure, data, folder, case, mode, int(arguments.side), flags)
            tasks[f"{labels[case]}/{mode}"] = task
    rows = common.kept_rows(arguments.rows, tasks)
    lines = [line(rows, labels[case], CASES[case]) for case in cases]
    means = [float(np.mean([row[i] for row in lines])) for i in range(2, 10)]
    lines.append(["**mean**", None, *means, None, None, None])
    command = "python benchmarks/lai_nonuniform.py --data=LAI --folder=OUT --rows=FILE"
    command += f" -- {' '.join(flags)}" if flags else ""
    about = f"Made by `{command}`; PSNR in dB, seconds as in run.json, compilation included."
    table = tables.markdown(HEADER.split("|"), lines)
    common.report(arguments.table, "Lai's shakes, made anew at 256 pixels", about, table)


if __name__ == "__main__":
    options = {"table": "", "only": "", "side": "256"}
    run(*common.arguments_and_flags(__doc__, data=None, folder=None, rows=None, **options))
