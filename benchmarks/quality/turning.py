"""How good is the program on photos whose blur differs from place to place, at full size?

    python -m benchmarks.quality.turning --data=DIR --set=lai|koehler|gopro --folder=OUT \\
        --rows=benchmarks/results/turning_SET.json [--only='text*'] [-- FLAGS]

DIR holds lai (nonuniform, sharp, gyro), kohler (blurry, sharp_jpeg, peers/pmp) and gopro (pairs).
`lai` is the official photos and those of MADE, made anew at full size by the recipe of Lai et al.
(CVPR 2016) from every kind of sharp picture and every gyroscope's log; the sharp pictures of
`saturated` were stretched before, so that theirs compare with no table. `koehler` is the photos
whose sharp frame is at hand as a web page's JPEG, `gopro` pairs of an averaged and a sharp frame.
Neither kernel size nor blur is given; FLAGS go to all runs.

A row holds the PSNR in dB (luma, as Lai's protocol) by the best shift, by rotation and shift, and
by a homography, of the photo, of our result and, for Koehler's, of PMP's picture, whose published
mean is 29.98; whether the blur was found to differ across the photo, and what says so; seconds,
the peak of the process's memory in MB, and the warnings. Koehler's truth is a JPEG, so his scores
compare pictures with each other and with no table. Finished rows are kept in the file.
"""

import fnmatch
import functools
import pathlib
import zlib

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import common, simulated
from dem_jax.evaluation import camera_shake, protocols, tables
from dem_jax.runtime.files import images

SCORES = {"shift": "psnr", "rigid": "psnr_rigid", "homography": "psnr_homography"}
COLUMNS = ("turned", "gain", "kernel_size", "seconds", "memory")
MADE = (  # (sharp picture, gyroscope's log)
    ("manmade_01", 2),
    ("manmade_02", 3),
    ("natural_01", 4),
    ("natural_02", 2),
    ("natural_05", 3),
    ("people_01", 1),
    ("people_01", 4),
    ("people_02", 2),
    ("saturated_01", 3),
    ("saturated_02", 1),
    ("text_01", 4),
    ("text_02", 3),
)


def lai(data, folder):
    """Photo, truth and a peer's picture, by the photo's name."""
    photos = sorted((data / "lai" / "nonuniform").glob("*.png"))
    photos += [folder / "made" / f"{name}_gyro_{log:02d}.png" for name, log in MADE]
    sharp = data / "lai" / "sharp"
    return {path.stem: (path, sharp / f"{path.stem[:-8]}.png", None) for path in photos}


def make(photo, truth, data):
    """Writes a photo of `lai` that is no official one: shaken as its gyroscope's log says."""
    pixels = jnp.asarray(images.read_photo(truth).pixels)
    poses = camera_shake.read_poses(data / "lai" / "gyro" / f"poses_{photo.stem[-7:]}.txt")
    path = camera_shake.homographies(jnp.asarray(poses, jnp.float32), pixels.shape)
    key = jax.random.key(zlib.crc32(photo.stem.encode()))
    shaken = camera_shake.uniform_noise(key, camera_shake.blur_along_path(pixels, path))
    simulated.save(photo, camera_shake.expose(shaken, bits=8))


def koehler(data, _):
    folder, found = data / "kohler", {}
    for path in sorted((folder / "blurry").glob("*.png")):
        truth = folder / "sharp_jpeg" / f"GroundTruth{path.stem[6]}.jpg"
        found[path.stem] = path, truth, folder / "peers" / "pmp" / path.name
    return found


def gopro(data, _):
    truths = sorted((data / "gopro" / "pairs").glob("*_gt.png"))
    return {t.stem[:-3]: (t.with_name(f"{t.stem[:-3]}.png"), t, None) for t in truths}


SETS = {"lai": lai, "koehler": koehler, "gopro": gopro}


def scores(picture, truth, what):
    pixels = (images.read_photo(path).pixels for path in (picture, truth))
    found = protocols.lai_score(*pixels, rotation=True)
    return {f"{what}, {name}": float(found[key]) for name, key in SCORES.items()}


def measure(paths, data, folder, flags):
    photo, truth, peer = paths
    if not photo.exists():
        make(photo, truth, data)
    record = common.deblur(folder, f"--input={photo}", *flags)
    (result,) = folder.glob("*/deblurred.png")
    turned = record["turned"] or {}
    return {
        **scores(photo, truth, "blurred"),
        **scores(result, truth, "ours"),
        **(scores(peer, truth, "PMP") if peer else {}),
        "turned": turned.get("turned"),
        "gain": turned.get("gain"),
        "kernel_size": record["config"]["kernel_size"],
        "seconds": record["timings_seconds"]["total"],
        "memory": float(record["peak_memory_mb"]),
        "warnings": record["warnings"],
    }


def run(arguments, flags):
    data, folder = pathlib.Path(arguments.data), pathlib.Path(arguments.folder)
    cases = SETS[arguments.set](data, folder)
    tasks = {
        name: functools.partial(measure, cases[name], data, folder / name, flags)
        for name in fnmatch.filter(cases, arguments.only)
    }
    rows = common.kept_rows(arguments.rows, tasks)
    shown = [key for key in next(iter(rows.values())) if ", " in key]
    lines = [[name, *(row[key] for key in (*shown, *COLUMNS))] for name, row in rows.items()]
    means = [float(np.mean([row[key] for row in rows.values()])) for key in shown]
    lines.append(["**mean**", *means, *[None] * len(COLUMNS)])
    command = f"python -m benchmarks.quality.turning --set={arguments.set} -- {' '.join(flags)}"
    about = f"Made by `{command}`; PSNR in dB of luma, seconds with compiling."
    table = tables.markdown(["photo", *shown, *COLUMNS], lines)
    common.report(f"Photos of turning cameras: {arguments.set}", about, table)


if __name__ == "__main__":
    options = {"set": None, "data": None, "folder": None, "rows": None, "only": "*"}
    run(*common.arguments_and_flags(__doc__, **options))
