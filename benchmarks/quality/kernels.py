"""How good is the start's kernel alone, without EM, its size unknown?

    python -m benchmarks.quality.kernels --data=DIR --set=lai|made|levin|sharp --rows=FILE \\
        [--processes=2] [--only='text*'] [--bound=75] [--cache=DIR] [--kernels=DIR] \\
        [--without=closer_look --known=FILE]

DIR holds the folders lai (uniform, sharp, kernels, peer_kernels) and levin (blurry, sharp,
kernels). `lai` is the photos of lai/uniform at full size, `made` the other pairs of lai/sharp and
lai/kernels, blurred here, `levin` the photos of levin/blurry, `sharp` the pictures of lai/sharp,
grey, 256 x 256 pixels, blurred by Levin's kernels; noise is 0.003.

A row holds the kernel's correlation with the true one, and the PSNR in dB (luma, after the best
shift) of the photo and of its deconvolutions with our kernel, the true one and each peer's that
lai/peer_kernels/METHOD/PHOTO.png holds; seconds without compiling, and the peak of the process's
memory in MB. A failure is a correlation below 0.7, or 6 dB less than the true kernel gives.
Finished rows are kept in the file; --kernels keeps the kernels found. --without leaves out one of
the start's parts, see PARTS, to show what it is worth. --known is rows of an earlier run: what the
true kernel and the peers' give is taken from there, and which way up the true kernel is.
"""

import argparse
import concurrent.futures
import fnmatch
import functools
import json
import multiprocessing
import os
import pathlib
import sys
import time
import zlib
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import common, simulated
from dem_jax import solver
from dem_jax.config import DeblurConfig
from dem_jax.em.result import restore
from dem_jax.evaluation import metrics, tables
from dem_jax.model import likelihood
from dem_jax.model.luma import luma
from dem_jax.runtime import first_look as looking
from dem_jax.runtime import sizes
from dem_jax.runtime.files import atomic, given_kernels, images
from dem_jax.runtime.programs import compile_quickly
from dem_jax.solve import deconvolution
from dem_jax.start import edges, find, overview
from dem_jax.start.choice import choose
from dem_jax.types import Given

NOISE = 0.003  # of the set `sharp`, image units
MAX_SHIFT, CROP = 10, 15  # pixels, of the score
FAILED_CORRELATION, FAILED_LOSS = 0.7, 6.0  # dB
PARTS = {  # what to put in whose place to leave a part out
    "choice": (
        overview,
        "choose",
        lambda view, kernels: choose(view, kernels)._replace(number=2),
    ),
    "closer_look": (looking, "_is_doubtful", lambda choice, shape: False),
    "useful_edges": (edges, "_most_useful", lambda view, found, *_: jnp.ones(found.shape[1:])),
    "strong_edges": (edges, "strongest", lambda found, where, fraction: found * where[None]),
    "clipped_left_out": (edges, "_FEW_CLIPPED", 0.0),
    "few_edges": (find, "_MUST_GAIN", (0.0, float("inf"))),
    "window_that_fits": (find, "_NARROWED_ALTERNATIONS", 0),
    "evidence": (find, "_IMPROVEMENTS", 0),
    "polish": (find, "polish", lambda view, kernel: kernel),
    "ridge": (find, "_LAST_SMOOTHNESS", 0.0),
}
SOLVER = solver.make_solver()
COLUMNS = ("correlation", "blurred", "ours", "true", "seconds", "memory", "kernel_size")


class Case(NamedTuple):
    """A photo [H, W, C], its sharp picture and kernel, and peers' kernels by their names."""

    photo: np.ndarray
    sharp: np.ndarray
    kernel: np.ndarray
    peers: dict[str, np.ndarray]


def read_kernel(path):
    kernel = np.asarray(luma(jnp.asarray(images.read_photo(path).pixels)))
    kernel = np.pad(kernel, [(0, 1 - n % 2) for n in kernel.shape])
    return kernel / kernel.sum()


def lai(data, name):
    scene, _, number = name.rpartition("_kernel_")
    folder = data / "lai"
    peers = {
        path.parent.name: read_kernel(path)
        for path in sorted((folder / "peer_kernels").glob(f"*/{name}.png"))
    }
    return Case(
        images.read_photo(folder / "uniform" / f"{name}.png").pixels,
        images.read_photo(folder / "sharp" / f"{scene}.png").pixels,
        read_kernel(folder / "kernels" / f"kernel_{number}.png"),
        peers,
    )


def made(data, name):
    scene, _, number = name.rpartition("_kernel_")
    folder = data / "lai"
    picture = images.read_photo(folder / "sharp" / f"{scene}.png").pixels
    kernel = read_kernel(folder / "kernels" / f"kernel_{number}.png")
    key = jax.random.key(zlib.crc32(name.encode()))
    return Case(simulated.shaken(key, picture, kernel, NOISE), picture, kernel, {})


def levin(data, name):
    picture, kernel = name.split("_")
    folder = data / "levin"
    return Case(
        images.read_photo(folder / "blurry" / f"{name}_img.png").pixels,
        images.read_photo(folder / "sharp" / f"{picture}.png").pixels,
        read_kernel(folder / "kernels" / f"{kernel}.png"),
        {},
    )


def sharp(data, name):
    names = photos(data, "sharp")
    kernels = sorted((data / "levin" / "kernels").glob("*.png"))
    number = names.index(name)
    picture = simulated.picture(data / "lai" / "sharp" / f"{name}.png", (256, 256))
    kernel = read_kernel(kernels[number % len(kernels)])
    photo = simulated.shaken(jax.random.key(number), picture, kernel, NOISE)
    return Case(photo, picture, kernel, {})


def photos(data, name):
    """The names of a set's photos."""
    if name == "made":
        scenes, kernels = photos(data, "sharp"), (data / "lai" / "kernels").glob("*.png")
        pairs = {f"{scene}_{path.stem}" for path in kernels for scene in scenes}
        return sorted(pairs - set(photos(data, "lai")))
    folder = {"lai": "lai/uniform", "levin": "levin/blurry", "sharp": "lai/sharp"}[name]
    return [path.stem.removesuffix("_img") for path in sorted((data / folder).glob("*.png"))]


@functools.cache
def program(function, *static):
    return jax.jit(lambda *args: function(*args, *static))


def timed(function, args, *static):
    """The result and its seconds, without compiling."""
    run = compile_quickly(program(function, *static).lower(*args))
    began = time.monotonic()
    result = jax.block_until_ready(run(*args))
    return result, time.monotonic() - began


def restored_psnr(case, kernel):
    """dB of the luma of the photo's deconvolution with a kernel."""
    plane = luma(jnp.asarray(case.photo))[..., None]
    size = next(n for n in (*sizes.KERNEL_SIZES, 301) if n >= max(kernel.shape))
    config = DeblurConfig(kernel_size=size)
    kernel = given_kernels.fit(kernel[None], size, (1, 1))
    noise = likelihood.estimate_noise_std(plane)
    weight = deconvolution.prior_weight(noise, 1)
    latent, _ = timed(restore, (plane, jnp.asarray(kernel), weight), config)
    return psnr(np.clip(latent, 0, 1), case)


def psnr(picture, case):
    truth = np.asarray(luma(jnp.asarray(case.sharp)))[..., None]
    pair = metrics.register_shift(picture, truth, max_shift=MAX_SHIFT, crop=CROP)
    return float(metrics.psnr(pair.result, pair.truth))


def turned(kernel, other):
    """A kernel, or what it is turned by 180 degrees, whichever is more like another."""
    both = (kernel, kernel[::-1, ::-1])
    return max(both, key=lambda k: metrics.kernel_correlation(k, other))


def flip(kernel, flipped):
    return kernel[::-1, ::-1] if flipped else kernel


def of_others(case):
    """dB by the true kernel and each peer's, and how like the true one the peers' are.

    Some files hold the true kernel `flipped`: turned by 180 degrees. The photo tells.
    """
    both = [restored_psnr(case, flip(case.kernel, flipped)) for flipped in (False, True)]
    found = {"true": max(both), "flipped": both[1] > both[0]}
    true = flip(case.kernel, found["flipped"])
    for peer, kernel in case.peers.items():
        kernel = turned(kernel, true)
        found[f"{peer}, correlation"] = float(metrics.kernel_correlation(kernel, true))
        found[peer] = restored_psnr(case, kernel)
    return found


def measure(data, set_name, name, bound, kept, known):
    """The row of one photo; `known`, where there is one, is that of an earlier run."""
    forget_peak()
    case = SETS[set_name](pathlib.Path(data), name)
    photo = jnp.asarray(case.photo)
    largest = sizes.largest_kernel_size(min(photo.shape[:2]))
    seconds = []

    def call(name, *args):
        result, each = timed(getattr(SOLVER, name), args[:-1], args[-1])
        seconds.append(each)
        return result

    config = DeblurConfig(kernel_size=min(bound or largest, largest))
    config, given, choice, _ = looking.first_look(call, Given(photo), config)
    found, memory = given.kernel, peak_memory()
    others = known or of_others(case)
    true = flip(case.kernel, others["flipped"])
    row = {
        "commit": common.commit(),
        "correlation": float(metrics.kernel_correlation(found, true)),
        "agreement": float(choice.agreement),
        "kernel_size": config.kernel_size,
        "blurred": psnr(np.asarray(luma(photo))[..., None], case),
        "ours": restored_psnr(case, found),
        "seconds": sum(seconds),
        "memory": memory,
    }
    row = others | row
    if kept:
        np.save(pathlib.Path(kept) / f"{name}.npy", found)
    return row


SETS = {"lai": lai, "made": made, "levin": levin, "sharp": sharp}


def forget_peak():
    """Begins to measure the peak of this process's memory anew, where Linux lets it."""
    try:
        pathlib.Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        pass


def peak_memory():
    """MB."""
    for line in pathlib.Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1e3
    return float("nan")


def set_up(cache, without):
    if without:
        setattr(*PARTS[without])
    jax.config.update("jax_compilation_cache_dir", cache or None)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)


def failed(row):
    return row["correlation"] < FAILED_CORRELATION or row["true"] - row["ours"] > FAILED_LOSS


def report(rows):
    """A table, the means, and how many failed."""
    means = ["**mean**", *(float(np.mean([r[c] for r in rows.values()])) for c in COLUMNS)]
    lines = [[name, *(row[c] for c in COLUMNS)] for name, row in rows.items()]
    print(tables.markdown(["photo", *COLUMNS], [*lines, means]))
    peers = sorted({key.split(",")[0] for row in rows.values() for key in row if ", " in key})
    for peer in peers:
        both = [
            (row[peer], row["ours"], row[f"{peer}, correlation"])
            for row in rows.values()
            if peer in row
        ]
        theirs, ours, alike = np.mean(both, axis=0)
        print(f"{peer}, {len(both)} photos: {theirs:.2f} dB, {alike:.3f}; ours {ours:.2f} dB")
    print(f"failures: {sum(map(failed, rows.values()))} of {len(rows)}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("data", "rows"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--set", required=True, choices=SETS)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--bound", type=int, default=0)
    parser.add_argument("--without", default="", choices=["", *PARTS])
    for name, default in (("only", "*"), ("cache", ""), ("kernels", ""), ("known", "")):
        parser.add_argument(f"--{name}", default=default)
    given = parser.parse_args()
    path = pathlib.Path(given.rows)
    names = fnmatch.filter(photos(pathlib.Path(given.data), given.set), given.only)
    rows = json.loads(path.read_text()) if path.exists() else {}
    known = json.loads(pathlib.Path(given.known).read_text()) if given.known else {}
    for folder in filter(None, (path.parent, given.kernels)):
        pathlib.Path(folder).mkdir(parents=True, exist_ok=True)
    if given.processes > 1:  # a core each
        os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + (
            " --xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
        )
    pool = concurrent.futures.ProcessPoolExecutor(
        given.processes,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=set_up,
        initargs=(given.cache, given.without),
    )
    with pool:
        tasks = {
            pool.submit(
                measure, given.data, given.set, name, given.bound, given.kernels, known.get(name)
            ): name
            for name in names
            if name not in rows
        }
        for task in concurrent.futures.as_completed(tasks):
            name = tasks[task]
            if task.exception():  # the others go on; a later run tries it again
                print(name, repr(task.exception()), flush=True)
                continue
            rows[name] = task.result()
            print(name, {c: round(rows[name][c], 2) for c in COLUMNS}, flush=True)
            atomic.write_json(path, rows)
    report({name: rows[name] for name in names if name in rows})
    sys.exit(any(name not in rows for name in names))


if __name__ == "__main__":
    main()
