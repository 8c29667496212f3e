"""How many seconds and how much memory does a photo take, by its side and the number of chains?

    python -m benchmarks.speed.sizing --sides=256,512,1024 --chains=1,4

Every row is a run of its own, so that its peak memory is its own: the picture of a camera man from
scikit-image, enlarged and blurred by 9 pixels, two EM iterations with the flags given after `--`
(default: those of quickstart). Prints a table, and on what it was made.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
from PIL import Image
from scipy import ndimage
from skimage import data

_COLUMNS = ("side", "chains", "compile s", "warm start s", "s per EM iteration", "peak memory MiB")


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sides", default="256,512")
    parser.add_argument("--chains", default="1,4")
    parser.add_argument("flags", nargs="*", default=["--flagfile=configs/quickstart.flags"])
    arguments = parser.parse_args()
    print("| " + " | ".join(_COLUMNS) + " |\n" + "|---" * len(_COLUMNS) + "|")
    record = {}
    for side in map(int, arguments.sides.split(",")):
        for chains in map(int, arguments.chains.split(",")):
            with tempfile.TemporaryDirectory() as folder:
                record = measure(pathlib.Path(folder), side, chains, arguments.flags)
            print("| " + " | ".join(map(str, row(side, chains, record))) + " |", flush=True)
    print(f"\n{record['device']}, {record['versions']}, flags: {' '.join(arguments.flags)}")


def measure(folder: pathlib.Path, side: int, chains: int, flags: list[str]) -> dict:
    """run.json of one run, with the entries of metrics.jsonl as "history"."""
    picture = ndimage.zoom(data.camera().astype(np.float32), side / 512, order=1)
    blurred = ndimage.uniform_filter1d(picture, 9, axis=1)
    Image.fromarray(blurred.clip(0, 255).astype(np.uint8)).save(folder / "photo.png")
    command = [sys.executable, "-m", "dem_jax.main", *flags, "--em_iterations=2"]
    command += [f"--num_chains={chains}", "--kernel_size=31", "--compilation_cache_dir="]
    command += [f"--input={folder / 'photo.png'}", f"--output_dir={folder}"]
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    record = json.loads((folder / "photo" / "run.json").read_text())
    lines = (folder / "photo" / "metrics.jsonl").read_text().splitlines()
    return record | {"history": [json.loads(line) for line in lines]}


def row(side: int, chains: int, record: dict) -> tuple:
    """The entries of the table's row; the second EM iteration is timed, when all is warm."""
    first, second = (entry["seconds"] for entry in record["history"])
    timings = record["timings_seconds"]
    memory = record["device_peak_memory_mb"] or record["peak_memory_mb"]
    times = (timings["compile"], timings["warm_start"], second - first)
    return side, chains, *(f"{value:.1f}" for value in times), memory


if __name__ == "__main__":
    main()
