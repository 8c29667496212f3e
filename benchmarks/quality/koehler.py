"""How good is a flagfile on real shaken photos, and does EM help there?

    python -m benchmarks.quality.koehler --data=KOEHLER --folder=out/koehler \\
        --rows=benchmarks/results/koehler.json -- --flagfile=quickstart

The middle 320 x 320 pixels of photos of Koehler's set, which a robot replayed recorded shakes for,
in colour, by the program itself in a process of its own. The set's sharp frames are not at hand,
only a web page's JPEG of one frame an image (KOEHLER/sharp_jpeg), so that the numbers compare our
own results with each other and with nothing published. PSNR in dB of brightness after the best
shift. `misfit` is what the start leaves over, in deviations of the noise. Finished rows are kept in
the file.
"""

import functools
import pathlib

import numpy as np
from PIL import Image

from benchmarks import common
from dem_jax.evaluation import tables

SIDE = 320  # pixels
PHOTOS = "1_1,1_2,1_3,1_4,2_1,2_2,2_3,2_4"
COLUMNS = {
    "blurred": "blurred",
    "start": "start",
    "result": "result",
    "gain": "gain",
    "misfit": "misfit",
    "seconds": "seconds",
}


def middle(source, target):
    """Writes the middle of a picture as PNG; returns its path."""
    with Image.open(source) as opened:
        picture = opened.convert("RGB")
    left, top = ((n - SIDE) // 2 for n in picture.size)
    target.parent.mkdir(parents=True, exist_ok=True)
    picture.crop((left, top, left + SIDE, top + SIDE)).save(target)
    return target


def measure(data, folder, name, flags):
    photo = middle(data / "blurry" / f"Blurry{name}.png", folder / "photos" / f"{name}.png")
    frame = data / "sharp_jpeg" / f"GroundTruth{name.split('_')[0]}.jpg"
    truth = middle(frame, folder / "sharp" / f"{name}.png")
    given = (f"--input={photo}", f"--ground_truth={truth}")
    record = common.deblur(folder / "results" / name, *given, *flags)
    psnr = record["psnr"]
    return {
        "blurred": psnr["blurred"],
        "start": psnr["warm_start"],
        "result": psnr["result"],
        "gain": psnr["result"] - psnr["blurred"],
        "misfit": record["evidence"]["start_misfit"],
        "seconds": record["timings_seconds"]["total"],
    }


def run(arguments, flags):
    data, folder = pathlib.Path(arguments.data), pathlib.Path(arguments.folder)
    names = arguments.photos.split(",")
    tasks = {name: functools.partial(measure, data, folder, name, flags) for name in names}
    rows = common.kept_rows(arguments.rows, tasks)
    lines = [[name, *(row[column] for column in COLUMNS)] for name, row in rows.items()]
    means = [float(np.mean([row[column] for row in rows.values()])) for column in COLUMNS]
    table = tables.markdown(["photo", *COLUMNS.values()], [*lines, ["**mean**", *means]])
    command = "python -m benchmarks.quality.koehler --data=KOEHLER --folder=OUT --rows=FILE"
    about = (
        f"Made by `{command} -- {' '.join(flags)}`; PSNR in dB after the best shift, against a "
        "JPEG of one frame: for comparisons of our own results only."
    )
    common.report("Koehler's photos, the middle of each", about, table)


if __name__ == "__main__":
    defaults = {"photos": PHOTOS}
    run(*common.arguments_and_flags(__doc__, data=None, folder=None, rows=None, **defaults))
