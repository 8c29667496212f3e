"""The outer loop: photos one after the other, EM iterations one after the other, all else pure.

Each of the solver's functions is compiled once per shape and configuration and reused over photos;
the state of EM is donated, so a call of `step` consumes it.
"""

import contextlib
import dataclasses
import pathlib
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dem_jax.config import DeblurConfig
from dem_jax.runtime import darkroom, devices, images, preview, run_folder, sizes, truth, verdict
from dem_jax.runtime.inputs import Source
from dem_jax.runtime.interrupt import Interrupt
from dem_jax.runtime.programs import Programs, Solver, default_solver, in_thread
from dem_jax.runtime.progress import EM, Progress

_STAGES = {"prepare": "warm start", "init": "first networks", "step": EM, "finish": "writing"}


@dataclasses.dataclass(frozen=True)
class Options:
    """What the user asks for, besides the photos."""

    output_dir: pathlib.Path
    config: DeblurConfig  # kernel size and patch grid are resolved per photo
    sizes: sizes.Sizes
    seed: int
    overwrite: bool = False
    log_every: int = 1
    precision: str = "float32"
    truths: Mapping[str, pathlib.Path] = dataclasses.field(default_factory=dict)  # by source name
    crop: darkroom.Crop | None = None
    linear_light: bool = False
    kernels: np.ndarray | None = None  # [P, k, k] to start from
    preview_every: int = 0  # EM iterations between previews; 0 for none
    sharpening: bool = False  # whether to write an animation


class Outcome(NamedTuple):
    """How it ended for one photo."""

    status: str
    why: str = ""


class _Session(NamedTuple):
    """What all photos of a run share."""

    options: Options
    programs: Programs
    progress: Progress
    interrupt: Interrupt


def run(
    options: Options,
    sources: Sequence[Source],
    *,
    solver: Solver | None = None,
    progress: Progress | None = None,
) -> int:
    """Deblurs `sources` into `options.output_dir`.

    Returns:
      0 when all are done, 1 when any failed, diverged or was interrupted; the others are finished.
    """
    progress = progress or Progress()
    programs = Programs(solver or default_solver(options.kernels))
    bad = []
    with Interrupt(progress.say) as interrupt:
        for source in sources:
            try:
                outcome = _one(source, _Session(options, programs, progress, interrupt))
            finally:
                with contextlib.suppress(OSError):  # a full disk, told as the photo's failure
                    run_folder.write_summary(options.output_dir)
            if outcome.status != run_folder.DONE:
                bad.append(f"{source.label}: {outcome.status}: {outcome.why}")
            if interrupt.requested:
                break
    if bad and len(sources) > 1:
        progress.say(f"{len(bad)} of {len(sources)} photos were not finished:")
        for line in bad:
            progress.say(f"  {line}")
    if interrupt.requested and len(sources) > 1:
        progress.say("Interrupted; run the same command again for the photos that are left.")
    return 1 if bad or interrupt.requested else 0


def _one(source: Source, session: _Session) -> Outcome:
    """Deblurs one photo; whatever goes wrong becomes its outcome."""
    options, progress = session.options, session.progress
    folder = run_folder.RunFolder(options.output_dir / source.name)
    earlier = folder.read()
    if earlier.get("status") == run_folder.DONE and not options.overwrite:
        if earlier.get("input") == source.label:
            progress.say(f"{source.label}: finished before, skipped (--overwrite does it again)")
            return Outcome(run_folder.DONE)
        why = (
            f"{folder.path} holds the result of {earlier.get('input')}; use --overwrite or another "
            "--output_dir."
        )
        progress.say(f"{source.label}: {why}")
        return Outcome(run_folder.FAILED, why)
    extra: dict[str, Any] = {}
    outcome = Outcome(run_folder.FAILED, "stopped at once by a second Ctrl-C; nothing was kept.")
    try:
        outcome = _Job(source, folder, session).run()
    except Exception as error:
        outcome = Outcome(run_folder.FAILED, _sentence(error))
        if folder.started:  # before, it is the photo or a flag, and the sentence says it all
            extra["traceback"] = traceback.format_exc()
    finally:
        if outcome.status == run_folder.FAILED:
            with contextlib.suppress(OSError):  # a full disk is what may have failed
                folder.fail(outcome.why, input=source.label, **extra)
    done = outcome.status == run_folder.DONE
    progress.say(
        f"{source.label}: {outcome.status}"
        + (f", see {folder.path}" if done else f": {outcome.why}")
    )
    return outcome


class _Job:
    """One photo on its way from file to results."""

    def __init__(self, source: Source, folder: run_folder.RunFolder, session: _Session) -> None:
        self._source, self._folder = source, folder
        self._options, self._programs, self._progress, self._interrupt = session
        self._timings: dict[str, float] = {}
        self._history: list[dict[str, Any]] = []
        self._truth: truth.Truth | None = None
        self._psnr: dict[str, float] = {}
        self._watch = preview.Watch(
            folder.path, self._options.preview_every, self._options.sharpening
        )

    def run(self) -> Outcome:
        began, compiled = time.monotonic(), self._programs.compile_seconds
        with self._timed("start"):
            photo, config = self._read()
            if path := self._options.truths.get(self._source.name):
                self._truth = truth.Truth(path, photo.pixels.shape)
            self._measure("blurred", photo.pixels)
            self._folder.start(self._record(photo, config))
            self._watch.show(photo.pixels, "before")
        key = jax.random.key(self._options.seed)
        with self._timed("warm_start"):
            prepare_key, init_key = jax.random.split(jax.random.fold_in(key, 0))
            linear = self._options.linear_light
            pixels = jnp.asarray(darkroom.to_light(photo.pixels) if linear else photo.pixels)
            self._progress.stage("compiling")
            in_thread(
                lambda: self._programs.begin(prepare_key, pixels, config), self._progress.tick
            )
            problem = self._call("prepare", prepare_key, pixels, config)
            state = self._call("init", init_key, problem, config)
            start = self._encoded(_warm_start_result(problem, config))
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
        return outcome

    def _read(self) -> tuple[images.Photo, DeblurConfig]:
        photo = darkroom.cut(images.read_photo(self._source.path), self._options.crop)
        height, width, _ = photo.pixels.shape
        options = self._options
        config = sizes.resolve(options.config, options.sizes, height, width, self._source.path.stem)
        if np.ptp(photo.pixels, axis=(0, 1)).max() == 0:
            raise ValueError(
                f"{self._source.label} is one constant colour; there is no blur in it."
            )
        self._progress.begin(self._source.label, config.em_iterations)
        for note in photo.notes:
            self._progress.say(f"{self._source.label}: {note}")
        return photo, config

    def _record(self, photo: images.Photo, config: DeblurConfig) -> dict[str, Any]:
        height, width, channels = photo.pixels.shape
        return {
            "input": self._source.label,
            "photo": {
                "height": height,
                "width": width,
                "channels": channels,
                "bit_depth": photo.bit_depth,
            },
            "crop": self._options.crop,
            "linear_light": self._options.linear_light,
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
        began = time.monotonic()
        for iteration in range(1, config.em_iterations + 1):
            if self._interrupt.requested:
                why = f"interrupted after {iteration - 1} of {config.em_iterations} EM iterations;"
                return state, Outcome(run_folder.FAILED, f"{why} the result so far was written.")
            step_key = jax.random.fold_in(key, iteration)
            state, info = self._call("step", step_key, state, problem, config)
            seconds = time.monotonic() - began
            numbers = {name: float(value) for name, value in info._asdict().items()}
            finite = bool(numbers.pop("finite"))
            entry: dict[str, Any] = {"iteration": iteration, "seconds": round(seconds, 3)}
            entry |= {k: v if np.isfinite(v) else None for k, v in numbers.items()}
            log = iteration % self._options.log_every == 0 or iteration == config.em_iterations
            shown = self._watch.wants(iteration)
            if finite and (shown or (log and self._truth)):
                latent = self._encoded(self._call("finish", state, problem, config).latent)
                if log and self._truth:
                    entry["psnr"] = self._truth.psnr(latent)
                if shown:
                    self._watch.show(latent, f"EM {iteration}")
            if log or not finite:
                self._folder.log_metrics(entry)
            if not finite:
                why = f"EM diverged at iteration {iteration}; the warm start's result was written."
                return None, Outcome(run_folder.DIVERGED, why)
            self._history.append(entry)
            self._progress.iteration(iteration, numbers["negative_log_likelihood"], log=log)
        return state, Outcome(run_folder.DONE)

    def _write(self, photo: images.Photo, state: Any, problem: Any, config: DeblurConfig) -> None:
        if state is None or not self._history:
            light, kernels, std = _warm_start_result(problem, config), problem.start_kernels, None
        else:
            result = self._call("finish", state, problem, config)
            light, kernels, std = result.latent, result.kernels, np.asarray(result.std)
        if std is not None and self._options.linear_light:
            std = darkroom.spread_from_light(std, np.asarray(light))
        kernels = np.asarray(kernels)
        evidence = verdict.weigh(photo.pixels, problem, kernels, self._history)
        latent, std, warnings = verdict.decide(
            evidence, photo.pixels, self._encoded(light), std, config
        )
        self._measure("result", latent)
        self._watch.finish(latent)
        self._folder.note(
            warnings=warnings, evidence=evidence._asdict(), timings_seconds=self._rounded_timings()
        )
        for warning in warnings:
            self._progress.say(f"{self._source.label}: {warning}")
        height, width, _ = photo.pixels.shape
        rows, cols = config.patch_grid
        self._folder.write_results(
            photo,
            latent,
            kernels,
            std,
            grid=config.patch_grid,
            history=self._history,
            caption=f"{self._source.label}: {width} x {height} pixels, kernels up to "
            f"{config.kernel_size} pixels, {rows} x {cols} patches, {len(self._history)} of "
            f"{config.em_iterations} EM iterations",
        )

    def _call(self, name: str, *args: Any) -> Any:
        """Runs a program in another thread, so that the bar moves and Ctrl-C is heard meanwhile."""
        self._compile(name, *args)
        self._progress.stage(_STAGES[name])
        return in_thread(lambda: self._programs(name, *args), self._progress.tick)

    def _compile(self, name: str, *args: Any) -> None:
        if not self._programs.is_compiled(name, *args):
            self._progress.stage(f"compiling {_STAGES[name]}")
            in_thread(lambda: self._programs.wait(name, *args), self._progress.tick)

    def _rounded_timings(self) -> dict[str, float]:
        return {name: round(value, 3) for name, value in self._timings.items()}

    def _encoded(self, latent: Any) -> np.ndarray:
        """A latent image in the photo's own values."""
        latent = np.asarray(latent)
        return darkroom.from_light(latent) if self._options.linear_light else latent

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


def _warm_start_result(problem: Any, config: DeblurConfig) -> jax.Array:
    """The warm start's deconvolved image [H, W, C], cropped to the photo."""
    margin = config.kernel_size // 2
    height, width, _ = problem.photo.shape
    return problem.start_latent[margin : margin + height, margin : margin + width]


def _sentence(error: Exception) -> str:
    """One line that tells a user what went wrong."""
    text = " ".join(str(error).split())
    if isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in text:
        return (
            "the memory is too small for this photo; use a smaller photo, fewer chains "
            "(--num_chains) or --chain_axis=map."
        )
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename or 'a file'} could not be written: {error.strerror}."
    if isinstance(error, ValueError):
        return text
    return f"{type(error).__name__}: {text[:300]}"
