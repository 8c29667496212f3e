"""A photo too large for EM in one piece: kernels from crops, the photo restored tile by tile.

1. Kernels are found in all of the photo. For every patch of the grid the best crop is chosen
   (`crops`), and EM, where it is wanted, improves the patch's kernel there.
2. The photo is restored with these kernels in overlapping tiles (`tiles`), by the deconvolution
   that EM starts from. Within a tile the filter flow is taken as uniform, its
   kernel being sum_p w_p k_p with the windows w_p of `model.blur` at the tile's centre.

There are no samples of the whole photo; its deviation is that of a Gaussian model, see
`em.uncertainty`.
"""

import dataclasses
import itertools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dem_jax import run_keys
from dem_jax.config import DeblurConfig
from dem_jax.em import uncertainty
from dem_jax.model import blur, softness
from dem_jax.runtime import estimate, sizes
from dem_jax.runtime.desk import Desk, Options, Session
from dem_jax.runtime.files import colour, images, run_folder
from dem_jax.runtime.files.inputs import Source
from dem_jax.runtime.files.run_folder import RunFolder
from dem_jax.runtime.job import Expected, Found, Job, Outcome
from dem_jax.runtime.outlook import COMPILING
from dem_jax.runtime.scale import buckets, crops, memory, plan, tiles
from dem_jax.runtime.whole import InOnePiece
from dem_jax.solve.deconvolution import error_variance, prior_weight
from dem_jax.types import Given

_MANY_ON_CPU = 3_000_000  # pixels; EM on all of them would take most of an hour on two cores
TILE = 1024  # pixels along each side, where nothing else is asked for
_MIN_CROP = 384  # pixels along each side, and
_CROP_IN_KERNELS = 6  # kernels
_softened = jax.jit(softness.softened)
_variance = jax.jit(uncertainty.gaussian_variance)


class LargePlan(NamedTuple):
    """How a large photo is taken apart."""

    tiling: tiles.Tiling
    crop_size: int  # pixels along each side of a crop


def make_job(source: Source, folder: RunFolder, session: Session) -> Job:
    """The job for a photo: in tiles where its header tells a size that needs them."""
    desk = Desk(source, folder, session)
    way = InTiles(desk) if _is_large(source, session.options) else InOnePiece(desk)
    return Job(desk, way)


def _is_large(source: Source, options: Options) -> bool:
    shape = plan.shape_of(source.path, options.crop)
    if shape is None or options.tile_size == 0:
        return False
    try:
        (height, width, _), name = shape, source.path.stem
        padded = options.batching.buckets
        config = sizes.resolve(options.config, options.sizes, height, width, name, padded=padded)
    except ValueError:  # told when the photo is read
        return False
    return needs_tiles(shape, config, options)


def needs_tiles(shape: tuple[int, int, int], config: DeblurConfig, options: Options) -> bool:
    """Whether a photo is cut: larger than the tiles asked for, or than machine or user can bear."""
    if options.tile_size:
        return max(shape[:2]) > options.tile_size
    if shape[0] * shape[1] > _MANY_ON_CPU and jax.local_devices()[0].platform == "cpu":
        return True
    return memory.em_bytes(*shape, config) > memory.USABLE * memory.device_bytes()


def make_plan(shape: tuple[int, ...], config: DeblurConfig, tile_size: int | None) -> LargePlan:
    """Tiles and crops for a photo of that shape.

    Raises:
      ValueError: if the tiles are too small for the kernels.
    """
    side = max(_MIN_CROP, _CROP_IN_KERNELS * config.kernel_size)
    crop_size = min(-(-side // 32) * 32, *shape[:2])
    return LargePlan(tiles.make_tiling(tile_size or TILE, config.kernel_size), crop_size)


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


def expected_seconds(
    shape: tuple[int, ...],
    config: DeblurConfig,
    taken: LargePlan,
    speed: estimate.Speed,
    *,
    looks: bool,
) -> dict[str, float]:
    """Seconds of every stage of a photo [H, W, C] in tiles, in their order; see `estimate`."""
    crop, one = (taken.crop_size, taken.crop_size, shape[2]), _for_crop(config)
    of_crop = estimate.in_one_piece(crop, one, speed, looks=False)
    if not looks:
        of_crop[estimate.STAGES["prepare"]] += sum(estimate.search(crop, speed))
    of_crop[estimate.STAGES["step"]] = _m_steps(config) * estimate.iteration(crop, one, speed)
    cells = len(_grid_cells(config))
    of_crop = {
        name: value if name.startswith(COMPILING) else cells * value
        for name, value in of_crop.items()
    }
    seconds = {}
    if looks:
        seconds = estimate.in_one_piece(shape, one, speed, looks=True)
        searched = tuple(estimate.STAGES[name] for name in ("overview", "refine", "compare"))
        seconds = {name: value for name, value in seconds.items() if name.endswith(searched)}
    cut = tiles.cut(shape[0], shape[1], taken.tiling)
    tile = (*cut[0].window.shape, shape[2])
    restored = len(cut) * estimate.deconvolution(tile, config, speed)
    written = {estimate.WRITING: estimate.writing(shape)}
    of_crop.pop(estimate.WRITING)
    return seconds | of_crop | {estimate.STAGES["restore"]: restored} | written


class InTiles:
    """The way of large photos: kernels from crops, the photo in tiles; it cannot be resumed."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._taken: LargePlan
        self._light: np.ndarray
        self._kernels: np.ndarray
        self._problem: Any = None
        self.history: list[dict[str, Any]] = []

    def expected(self, shape: tuple[int, ...], config: DeblurConfig) -> Expected:
        desk = self._desk
        taken = make_plan(shape, config, desk.options.tile_size)
        seconds = expected_seconds(shape, config, taken, desk.speed, looks=desk.looks(config))
        return Expected(seconds, len(_grid_cells(config)) * _m_steps(config))

    def open(self, photo: images.Photo, config: DeblurConfig) -> None:
        """Says before the work begins how it is done; starts the folder."""
        self._taken = taken = make_plan(photo.pixels.shape, config, self._desk.options.tile_size)
        self._require_fit(photo, config)
        self._announce(photo, config)
        self._desk.folder.start(
            self._desk.record(photo, config)
            | {"tile_size": taken.tiling.size, "crop_size": taken.crop_size}
        )

    def deblur(self, given: Given, config: DeblurConfig) -> tuple[Outcome, Found]:
        desk = self._desk
        self._light, self._coding_std = desk.cut(given.pixels), given.coding_std
        with desk.timed("em"):
            outcome = self._find_kernels(given.kernel, config)
        with desk.timed("restoration"):
            light, std = self._restore(config)
        how = f"pixels in tiles, kernels up to {config.kernel_size} pixels from "
        how += self._sources(config)
        if desk.linear:
            std = colour.spread_from_light(std, light)
        return outcome, Found(desk.encoded(light), self._kernels, std, self._problem, how)

    def watched(self, latent: np.ndarray) -> None:
        """Nobody watches."""

    def close(self, outcome: Outcome) -> None:
        """Nothing is left to remove."""

    def save_last(self) -> str:
        """There are no checkpoints."""
        return "stopped by SIGTERM before anything was saved; the same command starts anew."

    def _require_fit(self, photo: images.Photo, config: DeblurConfig) -> None:
        label, shape = self._desk.source.label, photo.pixels.shape
        memory.require_host_fit(label, shape)
        crop_shape = (self._taken.crop_size, self._taken.crop_size, shape[2])
        memory.require_fit(f"A crop of {label}", crop_shape, _for_crop(config))

    def _announce(self, photo: images.Photo, config: DeblurConfig) -> None:
        height, width, channels = photo.pixels.shape
        taken, progress = self._taken, self._desk.progress
        crop_bytes = memory.em_bytes(taken.crop_size, taken.crop_size, channels, _for_crop(config))
        total = memory.host_bytes(height, width, channels) + crop_bytes
        progress.say(
            f"{self._desk.source.label}: {width}x{height} pixels are restored in "
            f"{len(tiles.cut(height, width, taken.tiling))} tiles of {taken.tiling.size} pixels, "
            f"the kernels come from {self._sources(config)}; about {total / 2**30:.1f} GB of "
            "memory are needed."
        )

    def _sources(self, config: DeblurConfig) -> str:
        """Where the kernels come from."""
        if self._desk.seen and not config.em_iterations:
            return "all of the photo"
        return f"{len(_grid_cells(config))} crops of {self._taken.crop_size} pixels"

    def _find_kernels(self, seen: np.ndarray | None, config: DeblurConfig) -> Outcome:
        """Kernels [P, k, k] from the best crop of every patch, and the best crop's problem.

        Crops start from what was `seen` in all of the photo, [k, k] or [P, k, k], if it was.
        """
        desk, side = self._desk, self._taken.crop_size
        chosen = crops.choose(self._light, side, config.patch_grid)
        desk.folder.note(crops=[crop._asdict() for crop in chosen])
        best = int(np.argmax([crop.score for crop in chosen]))
        grid = None if seen is None else np.reshape(seen, (-1, *seen.shape[-2:]))
        found, problems = [], []
        outcome = Outcome(run_folder.DONE)
        for number, crop in enumerate(chosen):
            rows, cols = (slice(at, at + side) for at in (crop.top, crop.left))
            pixels = np.ascontiguousarray(self._light[rows, cols])
            given = Given(pixels, coding_std=self._coding_std)
            given = buckets.pad(given) if desk.options.batching.buckets else given
            if grid is not None:  # the whole photo tells more of it than a crop
                given = given._replace(kernel=grid[number])
            kernel, problem = self._kernel_of(given, number, _for_crop(config))
            found.append(kernel)
            problems.append(problem)
            if desk.interrupt.requested:
                why = "interrupted; restored with the kernels found so far."
                outcome = Outcome(run_folder.FAILED, why)
                found += [found[0]] * (len(chosen) - len(found))
                break
        self._kernels = crops.align(np.concatenate(found), best)
        self._problem = problems[min(best, len(problems) - 1)]
        return outcome

    def _kernel_of(self, photo: Any, number: int, config: DeblurConfig) -> tuple[np.ndarray, Any]:
        """EM on one crop: its kernel [1, k, k] and problem; its iterations go to the history."""
        desk = self._desk
        key = jax.random.fold_in(jax.random.key(desk.options.seed), number)
        desk.begin_to_compile(key, photo, config)
        prepare_key, init_key = run_keys.of_start(key)
        problem = desk.solver.prepare(prepare_key, photo, config)
        if not config.em_iterations:
            return np.asarray(problem.start_kernels), problem
        state = desk.solver.init(init_key, problem, config)
        for iteration in range(1, _m_steps(config) + 1):
            if desk.interrupt.requested:
                break
            step_key = run_keys.of_iteration(key, iteration)
            state, info = desk.solver.step(step_key, state, problem, config)
            numbers = {name: float(value) for name, value in info._asdict().items()}
            if not numbers.pop("finite"):
                return np.asarray(problem.start_kernels), problem
            self.history.append({"iteration": len(self.history) + 1, "crop": number, **numbers})
            desk.folder.log_metrics(self.history[-1])
            desk.progress.iteration(len(self.history), numbers["negative_log_likelihood"])
        return np.asarray(desk.solver.finish(state, problem, config).kernels), problem

    def _restore(self, config: DeblurConfig) -> tuple[np.ndarray, np.ndarray]:
        """The whole photo and its deviation, both [H, W, C], tile by tile."""
        desk, light, kernels = self._desk, self._light, self._kernels
        noise_std, gain = float(self._problem.noise_std), float(self._problem.gain)
        weight = np.float32(prior_weight(noise_std, len(kernels)))
        error = np.float32(error_variance(noise_std, len(kernels)))
        of_tile = _for_crop(config)
        displaced = uncertainty.displacement(len(kernels))
        # A crop has one kernel, and its misfit tells nothing of a path's.
        start, part = self._problem.start_kernels, self._problem.cameras_part
        if len(kernels) > 1 and config.camera_softness and config.kernels != "fixed":
            part = softness.GRIDS_PART
        soft = softness.after_em(start, jnp.asarray(kernels), part)
        cut = tiles.cut(light.shape[0], light.shape[1], self._taken.tiling)
        done = itertools.count(1)

        def restore(pixels: np.ndarray, tile: tiles.Tile) -> np.ndarray:
            kernel = tile_kernel(kernels, config.patch_grid, light.shape, tile)
            given = np.float32(gain) * pixels, kernel[None], weight, of_tile
            found = desk.call("restore", *given)
            std = np.sqrt(_variance(found, kernel[None], error, displaced=displaced))
            found = _softened(found, soft)
            desk.progress.part(next(done), len(cut))
            return np.concatenate([found, std], -1) / np.float32(gain)

        picture, std = np.split(tiles.blend(light, cut, restore), 2, axis=-1)
        return np.clip(picture, 0, 1), std


def _for_crop(config: DeblurConfig) -> DeblurConfig:
    """A crop is small, so one kernel explains it."""
    return dataclasses.replace(config, patch_grid=(1, 1))


def _grid_cells(config: DeblurConfig) -> range:
    return range(config.patch_grid[0] * config.patch_grid[1])


def _m_steps(config: DeblurConfig) -> int:
    """EM iterations on a crop: the last one, which has no M-step, would change no kernel."""
    return max(0, config.em_iterations - 1)
