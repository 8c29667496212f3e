"""What does a kernel for every patch gain over one kernel, where the camera also turned?

    python -m benchmarks.quality.nonuniform --folder=/tmp/nonuniform --seeds 31 32

Shakes scikit-image's camera picture (grey, 256 x 256) along random paths: rotation about a point
off the centre plus translation, kernels up to 20 pixels, Gaussian noise of 0.003. Then runs
dem_jax.main with the flagfiles quickstart and nonuniform and prints the PSNR in dB of
the blurred photo and of both warm starts and results after the best shift, and seconds.
benchmarks/NOTEBOOK.md has a typical output.
"""

import argparse
import json
import pathlib

import jax
import jax.numpy as jnp

from benchmarks import simulated
from dem_jax import main
from dem_jax.evaluation import camera_shake

COMMON = ("--kernel_size=21", "--overwrite")
MODES = {"uniform": "quickstart", "nonuniform": "nonuniform"}


def make(folder, seed):
    """Writes the sharp and the shaken picture of a seed."""
    pixels = jnp.asarray(simulated.sample("camera", 256))
    simulated.save(folder / "sharp" / f"camera_{seed}.png", pixels)
    path_key, noise_key = jax.random.split(jax.random.key(seed))
    path = camera_shake.random_rotation_path(path_key, pixels.shape, extent=19.0, translation=1.2)
    homographies = camera_shake.homographies(path, pixels.shape)
    shaken = camera_shake.blur_along_path(pixels, homographies)
    photo = simulated.exposed(noise_key, shaken, 0.003)
    simulated.save(folder / f"camera_{seed}.png", photo)


parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--folder", required=True, type=pathlib.Path)
parser.add_argument("--seeds", type=int, nargs="+", default=[31, 32])
arguments = parser.parse_args()
folder = arguments.folder
for seed in arguments.seeds:
    make(folder, seed)
photos = [f"--input={folder / f'camera_{seed}.png'}" for seed in arguments.seeds]
for mode, flagfile in MODES.items():
    main.run(
        [
            f"--flagfile={flagfile}",
            *(*COMMON, *photos),
            f"--output_dir={folder / mode}",
            f"--ground_truth={folder / 'sharp'}",
        ]
    )
names = "seed", "blurred", "uniform start", "uniform", "nonuniform start", "nonuniform", "seconds"
print("| " + " | ".join(names) + " |\n|---" + "|---:" * 6 + "|")
for seed in arguments.seeds:
    runs = {m: json.loads((folder / m / f"camera_{seed}" / "run.json").read_text()) for m in MODES}
    psnr = {m: r["psnr"] for m, r in runs.items()}
    numbers = (
        psnr["uniform"]["blurred"],
        psnr["uniform"]["warm_start"],
        psnr["uniform"]["result"],
        psnr["nonuniform"]["warm_start"],
        psnr["nonuniform"]["result"],
    )
    seconds = runs["nonuniform"]["timings_seconds"]["total"]
    print(f"| {seed} | " + " | ".join(f"{n:.2f}" for n in numbers) + f" | {seconds:.0f} |")
