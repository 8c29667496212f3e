"""What does every part contribute? Four of Levin's photos, one line a variant.

    python -m benchmarks.quality.ablation --data=LEVIN --rows=benchmarks/results/ablation.json \\
        [--variants=baseline,sgld] [--photos=im1_kernel4] [-- FLAGS]

FLAGS come before those of the variant; `baseline` is levin without its refinement, so that EM's own
image is what differs. Scores follow Levin's protocol.
Every finished photo is a row in the file, and a run goes on where it stopped. A chain that diverged
is told as such. The posterior mean against single samples is in calibration.py.
"""

import functools
import math
import pathlib

import numpy as np

from benchmarks import common
from benchmarks.quality import levin
from dem_jax.evaluation import tables
from dem_jax.runtime.programs import Programs
from dem_jax.solver import make_solver

PHOTOS = "im1_kernel1,im1_kernel4,im2_kernel3,im2_kernel7"
LEVIN = common.REPOSITORY / "benchmarks" / "quality" / "levin.flags"
VARIANTS = {
    "baseline": "",
    "no_detail": "--detail=false",
    "two_chains": "--num_chains=2 --samples_per_chain=2",
    # Unpreconditioned steps must stay below 2 / curvature, of the order of noise^2 / pixels.
    "sgld": "--sampler=sgld --step_size=1e-11",
    "noisy_adam": "--sampler=noisy_adam",
    "no_m_step": "--m_steps=0",
    "refinement": "--refinement=0.5",  # levin as it is: half of the result from a deconvolution
    "t_k": "--kernels=network",  # the paper's prior on kernels, where levin has free ones
}
COLUMNS = {"start": "start", "EM": "result", "SSIM": "ssim", "kernel": "kernel"}
COLUMNS |= {"seconds": "seconds"}


@functools.cache
def programs_of(flags):
    """A variant's compiled programs and options."""
    return Programs(make_solver()), common.options(flags)


def measure(folder, name, flags):
    programs, options = programs_of(flags)
    (path,) = (folder / "blurry").glob(f"{name}_*.png")
    return levin.measure(programs, folder, path, options, options.seed)


def line(rows, variant, photos):
    """Mean over the photos, and EM's PSNR on each."""
    own = [rows[f"{variant}/{photo}"] for photo in photos]
    means = [float(np.mean([row[column] for row in own])) for column in COLUMNS.values()]
    baseline = float(np.mean([rows[f"baseline/{photo}"]["result"] for photo in photos]))
    cells = [*means, means[1] - baseline, *(row["result"] for row in own)]
    cells = [f"{x:.3f}" if math.isfinite(x) else "diverged" for x in cells]
    return [variant, f"`{VARIANTS[variant]}`" if VARIANTS[variant] else "", *cells]


def run(arguments, flags):
    folder, tasks = pathlib.Path(arguments.data), {}
    names, photos = arguments.variants.split(","), arguments.photos.split(",")
    for variant in ["baseline", *(name for name in names if name != "baseline")]:
        own = (
            f"--flagfile={LEVIN}",
            "--refinement=0",
            *flags,
            *VARIANTS[variant].split(),
        )
        for photo in photos:
            tasks[f"{variant}/{photo}"] = functools.partial(measure, folder, photo, own)
    rows = common.kept_rows(arguments.rows, tasks)
    header = ["variant", "flags", *COLUMNS, "against baseline", *photos]
    table = tables.markdown(header, [line(rows, name, photos) for name in names])
    command = f"python -m benchmarks.quality.ablation --data=LEVIN --rows=FILE -- {' '.join(flags)}"
    about = (
        f"Made by `{command}`; PSNR in dB after the best shift, seconds without compilation. "
        "All rows but `refinement` are without the last deconvolution."
    )
    common.report("What every part contributes", about, table)


if __name__ == "__main__":
    defaults = {"variants": ",".join(VARIANTS), "photos": PHOTOS}
    run(*common.arguments_and_flags(__doc__, data=None, rows=None, **defaults))
