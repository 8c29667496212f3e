"""A photo too large for EM in one piece: kernels from crops, the photo restored tile by tile.

1. For every patch of the grid the best crop is chosen (`crops`), and EM finds its kernel there.
2. The photo is restored with these kernels in overlapping tiles (`tiles`), by the hyper-Laplacian
   deconvolution that is EM's warm start. Within a tile the filter flow is taken as uniform, its
   kernel being sum_p w_p k_p with the windows w_p of `model.blur` at the tile's centre.

There is no posterior of the whole photo, hence no uncertainty map. How long it takes is estimated
before it begins, from the speed of a transform and of a convolution on this machine.
"""

import dataclasses
import itertools
import time
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dem_jax.config import DeblurConfig
from dem_jax.inference import spectral
from dem_jax.inference.deconvolution import hyper_laplacian, prior_weight
from dem_jax.model import blur, promotion
from dem_jax.runtime import (
    buckets,
    crops,
    darkroom,
    devices,
    images,
    memory,
    plan,
    run_folder,
    tiles,
)
from dem_jax.runtime.inputs import Source
from dem_jax.runtime.job import Found, Job, Options, Outcome, Session
from dem_jax.runtime.run_folder import RunFolder

TILE = 1024  # pixels along each side, where nothing else is asked for
_LEAST_CROP = 384  # pixels along each side, and
_CROP_IN_KERNELS = 6  # kernels
_ITERATIONS = 40  # of the deconvolution
_TRANSFORMS = 40.0  # time of one iteration for one channel, in transforms of its canvas: powers
_CONVOLUTIONS = 13.0  # time of one step of T_f, in convolutions of the finest level
_PROBE = 256  # pixels along each side of what the machine's speed is measured on


class LargePlan(NamedTuple):
    """How a large photo is taken apart."""

    tiling: tiles.Tiling
    crop_size: int  # pixels along each side of a crop


def make_job(source: Source, folder: RunFolder, session: Session) -> Job:
    """The job for a photo: in tiles where its header tells a size that needs them."""
    options = session.options
    shape = plan.shape_of(source.path, options.crop)
    if shape is None or options.tile_size == 0:
        return Job(source, folder, session)
    try:
        config = plan.resolve(
            options.config, options.sizes, shape, source.path.stem, options.batching.buckets
        )
    except ValueError:  # told when the photo is read
        return Job(source, folder, session)
    if not needs_tiles(shape, config, options):
        return Job(source, folder, session)
    return LargeJob(source, folder, session)


def needs_tiles(shape: tuple[int, int, int], config: DeblurConfig, options: Options) -> bool:
    """Whether a photo is cut: larger than the tiles asked for, or than the memory holds."""
    if options.tile_size:
        return max(shape[:2]) > options.tile_size
    return memory.em_bytes(*shape, config) > memory.USABLE * memory.device_bytes()


def make_plan(shape: tuple[int, ...], config: DeblurConfig, tile_size: int | None) -> LargePlan:
    """Tiles and crops for a photo of that shape.

    Raises:
      ValueError: if the tiles are too small for the kernels.
    """
    side = max(_LEAST_CROP, _CROP_IN_KERNELS * config.kernel_size)
    crop_size = min(-(-side // 32) * 32, *shape[:2])
    return LargePlan(tiles.make_tiling(tile_size or TILE, config.kernel_size), crop_size)


@promotion.standard
def restore_tile(tile: jax.Array, kernel: jax.Array, weight: jax.Array) -> jax.Array:
    """The sharp picture of a tile: `hyper_laplacian` of every channel, cropped to the tile.

    Args:
      tile: [h, w, C] in [0, 1].
      kernel: [k, k] of sum one.
      weight: [] of the prior.

    Returns:
      [h, w, C], not clipped.
    """
    half = kernel.shape[0] // 2
    tile, kernel, weight = (jnp.asarray(x, float) for x in (tile, kernel, weight))
    planes = jnp.moveaxis(tile, -1, 0)
    latent = jax.lax.map(
        lambda plane: hyper_laplacian(plane, kernel, weight, iterations=_ITERATIONS), planes
    )
    return jnp.moveaxis(latent, 0, -1)[half:-half, half:-half]


def tile_kernel(
    kernels: np.ndarray, grid: tuple[int, int], shape: tuple[int, ...], tile: tiles.Tile
) -> np.ndarray:
    """The kernel [k, k] of a tile: the patches' kernels, weighed by the windows at its centre."""
    if grid == (1, 1):
        return kernels[0]
    half = kernels.shape[-1] // 2
    rows, cols = blur.windows((shape[0] + 2 * half, shape[1] + 2 * half), grid)
    row = rows[:, half + (tile.rows.start + tile.rows.stop) // 2]
    col = cols[:, half + (tile.cols.start + tile.cols.stop) // 2]
    weights = np.outer(row, col).reshape(-1, 1, 1)
    return np.asarray(np.sum(weights * kernels, axis=0), np.float32)


class Seconds(NamedTuple):
    """An estimate of what the parts of the work take."""

    em: float
    restoration: float


def estimate_seconds(
    shape: tuple[int, int, int], config: DeblurConfig, taken: LargePlan
) -> Seconds:
    """How long a photo takes without compiling, measured by small probes: good to a factor of 2."""
    channels = config.image_network.channels
    picture = jnp.ones((1, _PROBE, _PROBE, channels))
    filters = jnp.ones((3, 3, channels, channels))
    names = ("NHWC", "HWIO", "NHWC")
    convolve = jax.jit(
        lambda x, w: jax.lax.conv_general_dilated(x, w, (1, 1), "SAME", dimension_numbers=names)
    )
    plane = jnp.ones((_PROBE, _PROBE))
    transform = jax.jit(jnp.fft.rfft2)
    convolution, fourier = _seconds(convolve, picture, filters), _seconds(transform, plane)
    per_iteration = config.burn_in + config.samples_per_chain * config.thinning
    steps = (config.em_iterations - 1) * config.num_chains * per_iteration
    crop = (taken.crop_size + config.kernel_size - 1) ** 2 / _PROBE**2
    em = len(_grid_cells(config)) * steps * crop * _CONVOLUTIONS * convolution
    cut = tiles.cut(shape[0], shape[1], taken.tiling)
    sides = cut[0].window.shape
    canvas = np.prod(spectral.canvas_shape(sides, config.kernel_size)) / _PROBE**2
    transforms = len(cut) * shape[2] * _ITERATIONS * _TRANSFORMS
    return Seconds(em, transforms * float(canvas) * fourier)


class LargeJob(Job):
    """A large photo on its way from file to results."""

    def run(self) -> Outcome:
        """As `Job.run`, by crops and tiles."""
        began, compiled = time.monotonic(), self._programs.compile_seconds
        with self._timed("start"):
            photo, config = self._read()
            taken = make_plan(photo.pixels.shape, config, self._options.tile_size)
            memory.require_host_fit(self._source.label, photo.pixels.shape)
            crop_shape = (taken.crop_size, taken.crop_size, photo.pixels.shape[2])
            memory.require_fit(f"A crop of {self._source.label}", crop_shape, _for_crop(config))
            estimate = self._announce(photo, config, taken)
            self._open_truth(photo)
            self._folder.start(
                self._record(photo, config)
                | {"tile_size": taken.tiling.size, "crop_size": taken.crop_size}
                | {"estimated_seconds": {k: round(v) for k, v in estimate._asdict().items()}}
            )
        light = darkroom.to_light(photo.pixels) if self._linear else photo.pixels
        with self._timed("em"):
            kernels, problem, history, outcome = self._kernels(light, config, taken)
        with self._timed("restoration"):
            picture = self._restore(light, kernels, problem, config, taken)
        with self._timed("write"):
            self._progress.stage("writing")
            how = f"pixels in tiles, kernels up to {config.kernel_size} pixels from "
            how += f"{len(_grid_cells(config))} crops"
            self._deliver(photo, Found(picture, kernels), problem, config, history, how)
        self._timings["compile"] = self._programs.compile_seconds - compiled
        self._timings["total"] = time.monotonic() - began
        self._folder.finish(
            outcome.status,
            outcome.why,
            em_iterations_done=len(history),
            psnr=self._psnr or None,
            timings_seconds=self._rounded_timings(),
            device_peak_memory_mb=devices.device_peak_memory_mb(),
        )
        return outcome

    def _announce(self, photo: images.Photo, config: DeblurConfig, taken: LargePlan) -> Seconds:
        """Says before the work begins how it is done, and how long that takes without compiling."""
        shape = photo.pixels.shape
        height, width, channels = shape
        seconds = estimate_seconds((height, width, channels), config, taken)
        count = len(_grid_cells(config))
        crop_bytes = memory.em_bytes(taken.crop_size, taken.crop_size, channels, _for_crop(config))
        total = memory.host_bytes(height, width, channels) + crop_bytes
        self._progress.say(
            f"{self._source.label}: {width}x{height} pixels are restored in "
            f"{len(tiles.cut(height, width, taken.tiling))} tiles of {taken.tiling.size} pixels, "
            f"the kernels come from {count} crops of {taken.crop_size} pixels; about "
            f"{_minutes(seconds.em)} for EM and {_minutes(seconds.restoration)} for the tiles, "
            f"beside compiling, and {total / 2**30:.1f} GB of memory."
        )
        return seconds

    def _kernels(
        self, light: np.ndarray, config: DeblurConfig, taken: LargePlan
    ) -> tuple[np.ndarray, Any, list[dict[str, Any]], Outcome]:
        """Kernels [P, k, k] from the best crop of every patch, and the best crop's problem."""
        chosen = crops.choose(light, taken.crop_size, config.patch_grid)
        self._folder.note(crops=[crop._asdict() for crop in chosen])
        best = int(np.argmax([crop.score for crop in chosen]))
        found, problems = [], []
        history: list[dict[str, Any]] = []
        outcome = Outcome(run_folder.DONE)
        for number, crop in enumerate(chosen):
            rows, cols = (slice(at, at + taken.crop_size) for at in (crop.top, crop.left))
            pixels: Any = np.ascontiguousarray(light[rows, cols])
            if self._options.batching.buckets:
                pixels = buckets.pad(pixels)
            kernel, problem = self._kernel_of(pixels, number, _for_crop(config), history)
            found.append(kernel)
            problems.append(problem)
            if self._interrupt.requested:
                outcome = Outcome(
                    run_folder.FAILED, "interrupted; restored with the kernels found so far."
                )
                found += [found[0]] * (len(chosen) - len(found))
                break
        kernels = np.concatenate(found)
        return crops.align(kernels, best), problems[min(best, len(problems) - 1)], history, outcome

    def _kernel_of(
        self, pixels: Any, number: int, config: DeblurConfig, history: list[dict[str, Any]]
    ) -> tuple[np.ndarray, Any]:
        """EM on one crop: its kernel [1, k, k] and problem; its iterations go to `history`."""
        key = jax.random.fold_in(jax.random.key(self._options.seed), number)
        prepare_key, init_key = jax.random.split(jax.random.fold_in(key, 0))
        self._progress.stage("compiling")
        self._in_thread(lambda: self._programs.begin(prepare_key, pixels, config))
        problem = self._call("prepare", prepare_key, pixels, config)
        state = self._call("init", init_key, problem, config)
        for iteration in range(1, config.em_iterations):  # the last one has no M-step
            if self._interrupt.requested:
                break
            step_key = jax.random.fold_in(key, iteration)
            state, info = self._call("step", step_key, state, problem, config)
            numbers = {name: float(value) for name, value in info._asdict().items()}
            if not numbers.pop("finite"):
                return np.asarray(problem.start_kernels), problem
            history.append({"iteration": len(history) + 1, "crop": number, **numbers})
            self._folder.log_metrics(history[-1])
            self._progress.iteration(len(history), numbers["negative_log_likelihood"], log=True)
        return np.asarray(self._call("finish", state, problem, config).kernels), problem

    def _restore(
        self,
        light: np.ndarray,
        kernels: np.ndarray,
        problem: Any,
        config: DeblurConfig,
        taken: LargePlan,
    ) -> np.ndarray:
        """The whole photo [H, W, C], tile by tile."""
        noise_std = float(problem.noise_std)
        weight = prior_weight(noise_std, config.start.smoothness, config.model_std)
        run = jax.jit(restore_tile)
        cut = tiles.cut(light.shape[0], light.shape[1], taken.tiling)
        done = itertools.count(1)

        def restore(pixels: np.ndarray, tile: tiles.Tile) -> np.ndarray:
            self._progress.stage(f"restoring tile {next(done)} of {len(cut)}")
            kernel = tile_kernel(kernels, config.patch_grid, light.shape, tile)
            return np.asarray(self._in_thread(lambda: run(pixels, kernel, weight)))

        return np.clip(tiles.blend(light, cut, restore), 0, 1)


def _for_crop(config: DeblurConfig) -> DeblurConfig:
    """A crop is small, so one kernel explains it."""
    return dataclasses.replace(config, patch_grid=(1, 1))


def _grid_cells(config: DeblurConfig) -> range:
    return range(config.patch_grid[0] * config.patch_grid[1])


def _seconds(function: Any, *args: Any) -> float:
    """The shorter of two runs, after one that compiles."""
    jax.block_until_ready(function(*args))
    times = []
    for _ in range(2):
        began = time.perf_counter()
        jax.block_until_ready(function(*args))
        times.append(time.perf_counter() - began)
    return min(times)


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"
