"""How good is the program on photos whose blur differs from place to place, at full size?

    python -m benchmarks.quality.turning --data=DIR --set=lai|koehler|gopro --folder=OUT \\
        --rows=benchmarks/results/turning.json [--only='text*'] [-- FLAGS]

DIR holds lai (nonuniform, sharp), kohler (blurry, sharp_jpeg, peers/pmp) and gopro (pairs). `lai`
is the official photos, `koehler` those whose sharp frame is at hand as a web page's JPEG, `gopro`
pairs of an averaged and a sharp frame. Neither kernel size nor blur is given; FLAGS go to all runs.

A row holds the PSNR in dB (luma, as Lai's protocol) by the best shift, by rotation and shift, and
by a homography, of the photo, of our result and, for Koehler's, of PMP's picture, whose published
mean is 29.98; whether the blur was found to differ across the photo; seconds, the peak of the
process's memory in MB, and the warnings. Koehler's truth is a JPEG, so his scores compare pictures
with each other and with no table. Finished rows are kept in the file.
"""

import fnmatch
import functools
import pathlib

import numpy as np

from benchmarks import common
from dem_jax.evaluation import protocols, tables
from dem_jax.runtime.files import images

SCORES = {"shift": "psnr", "rigid": "psnr_rigid", "homography": "psnr_homography"}
COLUMNS = ("turned", "kernel_size", "seconds", "memory")


def lai(data):
    """Photo, truth and a peer's picture, by the photo's name."""
    photos = sorted((data / "lai" / "nonuniform").glob("*.png"))
    sharp = data / "lai" / "sharp"
    return {path.stem: (path, sharp / f"{path.stem[:-8]}.png", None) for path in photos}


def koehler(data):
    folder, found = data / "kohler", {}
    for path in sorted((folder / "blurry").glob("*.png")):
        truth = folder / "sharp_jpeg" / f"GroundTruth{path.stem[6]}.jpg"
        found[path.stem] = path, truth, folder / "peers" / "pmp" / path.name
    return found


def gopro(data):
    truths = sorted((data / "gopro" / "pairs").glob("*_gt.png"))
    return {t.stem[:-3]: (t.with_name(f"{t.stem[:-3]}.png"), t, None) for t in truths}


SETS = {"lai": lai, "koehler": koehler, "gopro": gopro}


def scores(picture, truth, what):
    pixels = (images.read_photo(path).pixels for path in (picture, truth))
    found = protocols.lai_score(*pixels, rotation=True)
    return {f"{what}, {name}": float(found[key]) for name, key in SCORES.items()}


def measure(paths, folder, flags):
    photo, truth, peer = paths
    record = common.deblur(folder, f"--input={photo}", *flags)
    (result,) = folder.glob("*/deblurred.png")
    turned = record["turned"] or {}
    return {
        **scores(photo, truth, "blurred"),
        **scores(result, truth, "ours"),
        **(scores(peer, truth, "PMP") if peer else {}),
        "turned": turned.get("turned"),
        "alike_near": turned.get("alike_near"),
        "alike_far": turned.get("alike_far"),
        "kernel_size": record["config"]["kernel_size"],
        "seconds": record["timings_seconds"]["total"],
        "memory": float(record["peak_memory_mb"]),
        "warnings": record["warnings"],
    }


def run(arguments, flags):
    cases = SETS[arguments.set](pathlib.Path(arguments.data))
    folder = pathlib.Path(arguments.folder)
    tasks = {
        name: functools.partial(measure, cases[name], folder / name, flags)
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
