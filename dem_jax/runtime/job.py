"""One photo: warm start, EM iterations one after the other, results; all else is pure.

Each of the solver's functions is compiled once per shape and configuration and reused over photos;
the state of EM is donated, so a call of `step` consumes it.
"""

import contextlib
import dataclasses
import pathlib
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from dem_jax.config import DeblurConfig
from dem_jax.runtime import (
    batches,
    buckets,
    checkpoints,
    darkroom,
    devices,
    framing,
    images,
    memory,
    plan,
    preview,
    programs,
    run_folder,
    sizes,
    truth,
    verdict,
)
from dem_jax.runtime.history import History
from dem_jax.runtime.inputs import Source
from dem_jax.runtime.interrupt import Interrupt
from dem_jax.runtime.profiler import Profiler
from dem_jax.runtime.programs import Programs, in_thread
from dem_jax.runtime.progress import EM, Progress

_SAVING = 7.0  # seconds for the last save after SIGTERM; ten are promised for all of it
_STAGES = {"prepare": "warm start", "init": "first networks", "step": EM, "finish": "writing"}


@dataclasses.dataclass(frozen=True)
class Options:
    """What the user asks for, besides the photos."""

    output_dir: pathlib.Path
    config: DeblurConfig  # kernel size and patch grid are resolved per photo
    sizes: sizes.Sizes
    seed: int
    overwrite: bool = False
    resume: bool = True
    checkpoint_every: float = 30.0  # seconds
    log_every: int = 1
    tensorboard_dir: pathlib.Path | None = None
    profile_dir: pathlib.Path | None = None
    precision: str = "float32"
    truths: Mapping[str, pathlib.Path] = dataclasses.field(default_factory=dict)  # by source name
    crop: darkroom.Crop | None = None
    linear_light: bool = False
    kernels: np.ndarray | None = None  # [P, k, k] to start from
    preview_every: int = 0  # EM iterations between previews; 0 for none
    sharpening: bool = False  # whether to write an animation
    batching: plan.Batching = plan.ONE_BY_ONE
    shard: str = "none"  # what lies along this process's devices: photos, chains, none or auto
    process: tuple[int, int] = (0, 1)  # this one of so many that share the photos
    tile_size: int | None = None  # pixels; None: tiles where the memory asks for them; 0: never


class Outcome(NamedTuple):
    """How it ended for one photo."""

    status: str
    why: str = ""


class Found(NamedTuple):
    """What is written of a photo."""

    light: Any  # the latent image [H, W, C], in the light it was computed in
    kernels: Any  # [P, k, k]
    std: np.ndarray | None = None  # [H, W, C], in the photo's own values


class Session(NamedTuple):
    """What all photos of a run share."""

    options: Options
    programs: Programs | batches.Seat
    progress: Progress
    interrupt: Interrupt
    profiler: Profiler


class Job:
    """One photo on its way from file to results."""

    def __init__(self, source: Source, folder: run_folder.RunFolder, session: Session) -> None:
        self._source, self._folder = source, folder
        self._options, self._programs, self._progress, self._interrupt, self._profiler = session
        self._timings: dict[str, float] = {}
        self._history: History
        self._checkpoints = checkpoints.Checkpoints(
            folder.checkpoint, every=self._options.checkpoint_every
        )
        self._truth: truth.Truth | None = None
        self._psnr: dict[str, float] = {}
        self._size = (0, 0)  # rows and columns of the photo
        self._linear = False  # whether blur is undone in linear light
        self._watch = preview.Watch(
            folder.path, self._options.preview_every, self._options.sharpening
        )

    def run(self) -> Outcome:
        began, compiled = time.monotonic(), self._programs.compile_seconds
        with self._timed("start"):
            photo, config = self._read()
            memory.require_fit(self._source.label, photo.pixels.shape, config)
            self._open_truth(photo)
            saved = self._open(photo, config)
            self._watch.show(photo.pixels, "before")
        key = jax.random.key(self._options.seed)
        with self._timed("warm_start"):
            light = darkroom.to_light(photo.pixels) if self._linear else photo.pixels
            light = programs.weighted(light, photo.weight)
            pixels = buckets.pad(light) if self._options.batching.buckets else light
            state, problem = self._start(key, pixels, config, saved)
            start = self._encoded(self._warm_start_result(problem, config))
            self._measure("warm_start", start)
            self._watch.show(start, "start")
        with self._timed("em"):
            state, outcome = self._em(key, state, problem, config)
        with self._timed("write"):
            self._write(photo, state, problem, config)
        self._timings["compile"] = self._programs.compile_seconds - compiled
        self._timings["total"] = time.monotonic() - began
        self._folder.finish(
            outcome.status,
            outcome.why,
            em_iterations_done=len(self._history),
            psnr=self._psnr or None,
            timings_seconds=self._rounded_timings(),
            device_peak_memory_mb=devices.device_peak_memory_mb(),
        )
        self._history.close()
        if outcome.status != run_folder.FAILED:
            self._checkpoints.delete()
        return outcome

    def save_last(self) -> str:
        """Saves the last EM iteration after SIGTERM; why the photo is not finished."""
        try:
            iteration = self._checkpoints.flush(_SAVING)
        except checkpoints.CheckpointError as error:
            return f"stopped by SIGTERM; {error}"
        if iteration is None:
            return "stopped by SIGTERM before anything was saved; the same command starts anew."
        return f"stopped by SIGTERM; the same command goes on after EM iteration {iteration}."

    def _read(self) -> tuple[images.Photo, DeblurConfig]:
        self._progress.begin(self._source.label, 0)
        self._progress.stage("starting")
        photo = framing.frame(images.read_photo(self._source.path, crop=self._options.crop))
        self._linear = self._options.linear_light or photo.linear
        options, self._size = self._options, photo.pixels.shape[:2]
        config = plan.resolve(
            options.config,
            options.sizes,
            photo.pixels.shape,
            self._source.path.stem,
            padded=options.batching.buckets,
        )
        if np.ptp(photo.pixels, axis=(0, 1)).max() == 0:
            raise ValueError(
                f"{self._source.label} is one constant colour; there is no blur in it."
            )
        self._progress.begin(self._source.label, config.em_iterations)
        for note in photo.notes:
            self._progress.say(f"{self._source.label}: {note}")
        return photo, config

    def _open(self, photo: images.Photo, config: DeblurConfig) -> checkpoints.Saved | None:
        """Starts the run folder, and finds the checkpoint that the run goes on from, if any."""
        options, folder = self._options, self._folder
        kernels = None if options.kernels is None else options.kernels.tolist()
        owner = checkpoints.owner(
            photo.pixels,
            config,
            seed=options.seed,
            precision=options.precision,
            linear_light=self._linear,
            padded=options.batching.buckets,
            init_kernels=kernels and checkpoints.digest(kernels),
        )
        resume = options.resume and folder.read().get("status") != run_folder.DONE
        saved = self._checkpoints.open(owner, resume=resume)
        folder.start(
            self._record(photo, config) | {"resumed_from": saved.iteration if saved else None}
        )
        events = options.tensorboard_dir
        self._history = History(
            folder,
            total=config.em_iterations,
            log_every=options.log_every,
            earlier=saved.history if saved else (),
            tensorboard=events / self._source.name if events else None,
        )
        return saved

    def _start(
        self, key: jax.Array, pixels: Any, config: DeblurConfig, saved: Any
    ) -> tuple[Any, Any]:
        """(state, problem) that EM begins with: the warm start's, or those of a checkpoint."""
        prepare_key, init_key = jax.random.split(jax.random.fold_in(key, 0))
        self._progress.stage("compiling")
        shapes = self._in_thread(
            lambda: self._programs.begin(prepare_key, pixels, config, resumed=saved is not None)
        )
        if saved:
            self._progress.go_on(saved.iteration)
            problem, state = self._in_thread(lambda: self._checkpoints.restore(saved, *shapes))
            return state, problem
        problem = self._call("prepare", prepare_key, pixels, config)
        state = self._call("init", init_key, problem, config)
        self._checkpoints.reached(0, state, problem, [])
        return state, problem

    def _record(self, photo: images.Photo, config: DeblurConfig) -> dict[str, Any]:
        height, width, channels = photo.shape
        return {
            "input": self._source.label,
            "photo": {
                "height": height,
                "width": width,
                "channels": channels,
                "bit_depth": photo.bit_depth,
            },
            "crop": self._options.crop,
            "linear_light": self._linear,
            "notes": list(photo.notes),
            "config": dataclasses.asdict(config),
            "seed": self._options.seed,
            "precision": self._options.precision,
            "versions": devices.versions(),
            "device": devices.device(),
        }

    def _em(self, key: jax.Array, state: Any, problem: Any, config: DeblurConfig) -> Any:
        """Runs EM to its end, or to an interrupt; (state, or None when it is lost, outcome)."""
        self._compile("step", key, state, problem, config)
        began = time.monotonic() - self._history.seconds
        for iteration in range(len(self._history) + 1, config.em_iterations + 1):
            if self._interrupt.requested:
                self._checkpoints.flush(_SAVING)
                why = f"interrupted after {iteration - 1} of {config.em_iterations} EM iterations;"
                return state, Outcome(run_folder.FAILED, f"{why} the result so far was written.")
            step_key = jax.random.fold_in(key, iteration)
            with self._profiler.once():
                state, info = self._call("step", step_key, state, problem, config)
            seconds = time.monotonic() - began
            numbers = {name: float(value) for name, value in info._asdict().items()}
            finite = bool(numbers.pop("finite"))
            entry: dict[str, Any] = {"iteration": iteration, "seconds": round(seconds, 3)}
            entry |= {k: v if np.isfinite(v) else None for k, v in numbers.items()}
            log = self._history.is_logged(iteration)
            shown = self._watch.wants(iteration)
            if finite and (shown or (log and self._truth)):
                result = self._call("finish", state, problem, config)
                latent = self._encoded(self._cut(result.latent))
                if log and self._truth:
                    entry["psnr"] = self._truth.psnr(latent)
                if shown:
                    self._watch.show(latent, f"EM {iteration}")
            if not finite:
                self._history.log(entry)
                why = f"EM diverged at iteration {iteration}; the warm start's result was written."
                return None, Outcome(run_folder.DIVERGED, why)
            self._history.add(entry)
            self._checkpoints.reached(iteration, state, problem, self._history.entries)
            self._progress.iteration(iteration, numbers["negative_log_likelihood"], log=log)
        return state, Outcome(run_folder.DONE)

    def _write(self, photo: images.Photo, state: Any, problem: Any, config: DeblurConfig) -> None:
        if state is None or not len(self._history):
            found = Found(self._warm_start_result(problem, config), problem.start_kernels)
        else:
            result = self._call("finish", state, problem, config)
            light, std = (np.asarray(self._cut(x)) for x in (result.latent, result.std))
            if self._linear:
                std = darkroom.spread_from_light(std, light)
            found = Found(light, result.kernels, std)
        rows, cols = config.patch_grid
        self._deliver(
            photo,
            found,
            problem,
            config,
            self._history.entries,
            f"pixels, kernels up to {config.kernel_size} pixels, {rows} x {cols} patches, "
            f"{len(self._history)} of {config.em_iterations} EM iterations",
        )

    def _deliver(
        self,
        photo: images.Photo,
        found: Found,
        problem: Any,
        config: DeblurConfig,
        history: list[dict[str, Any]],
        how: str,
    ) -> None:
        """Judges what was found, says so, and writes it; `how` follows the size in the caption."""
        kernels = np.asarray(found.kernels)
        evidence = verdict.weigh(photo.pixels, problem, kernels, history)
        latent = self._encoded(found.light)
        latent, warnings = verdict.decide(evidence, photo.pixels, latent, config)
        self._measure("result", latent)
        self._watch.finish(latent)
        self._folder.note(
            warnings=warnings, evidence=evidence._asdict(), timings_seconds=self._rounded_timings()
        )
        for warning in warnings:
            self._progress.say(f"{self._source.label}: {warning}")
        height, width, _ = photo.shape
        self._folder.write_results(
            photo,
            latent,
            kernels,
            found.std,
            grid=config.patch_grid,
            history=history,
            caption=f"{self._source.label}: {width} x {height} {how}",
        )

    def _call(self, name: str, *args: Any) -> Any:
        """Runs a program on `args`, compiled if it is not yet."""
        self._compile(name, *args)
        self._progress.stage(_STAGES[name])
        return self._in_thread(lambda: self._programs(name, *args))

    def _compile(self, name: str, *args: Any) -> None:
        if not self._programs.is_compiled(name, *args):
            self._progress.stage(f"compiling {_STAGES[name]}")
            self._in_thread(lambda: self._programs.wait(name, *args))

    def _in_thread(self, function: Callable[[], Any]) -> Any:
        """function() in another thread; meanwhile the bar moves, Ctrl-C and SIGTERM are heard."""

        def tick() -> None:
            self._progress.tick()
            self._interrupt.check()

        tick()  # once at least, however short it is
        return in_thread(function, tick)

    def _rounded_timings(self) -> dict[str, float]:
        return {name: round(value, 3) for name, value in self._timings.items()}

    def _warm_start_result(self, problem: Any, config: DeblurConfig) -> Any:
        """The warm start's deconvolved image [H, W, C], cropped to the photo."""
        margin = config.kernel_size // 2
        return self._cut(problem.start_latent[margin:-margin, margin:-margin])

    def _cut(self, picture: Any) -> Any:
        """A picture without the padding of the photo's bucket."""
        height, width = self._size
        return picture[:height, :width]

    def _encoded(self, latent: Any) -> np.ndarray:
        """A latent image in the photo's own values."""
        latent = np.asarray(latent)
        return darkroom.from_light(latent) if self._linear else latent

    def _open_truth(self, photo: images.Photo) -> None:
        """Reads the sharp photo, where it is given, and measures the blurred one."""
        if path := self._options.truths.get(self._source.name):
            self._truth = truth.Truth(path, photo)
        self._measure("blurred", photo.pixels)

    def _measure(self, what: str, picture: Any) -> None:
        """Keeps the PSNR of `picture` for `run.json`, where the truth is given."""
        if self._truth:
            self._psnr[what] = self._truth.psnr(np.asarray(picture))

    @contextlib.contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        began, compiled = time.monotonic(), self._programs.compile_seconds
        yield
        spent = time.monotonic() - began
        self._timings[stage] = spent - (self._programs.compile_seconds - compiled)
