"""The outer loop: photos one after the other, EM iterations one after the other, all else pure.

Each of the solver's functions is compiled once per shape and configuration and reused over photos;
the state of EM is donated, so a call of `step` consumes it.
"""

import contextlib
import dataclasses
import pathlib
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dem_jax.config import DeblurConfig
from dem_jax.runtime import devices, images, run_folder, sizes
from dem_jax.runtime.inputs import Source
from dem_jax.runtime.progress import Progress


class Solver(NamedTuple):
    """The pure functions that deblur; tests and other methods may give their own."""

    prepare: Callable[..., Any]  # (key, photo [H, W, C], config) -> Problem
    init: Callable[..., Any]  # (key, problem, config) -> state
    step: Callable[..., Any]  # (key, state, problem, config) -> (state, EMInfo)
    finish: Callable[..., Any]  # (state, problem, config) -> Result


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


class Outcome(NamedTuple):
    """How it ended for one photo."""

    status: str
    why: str = ""


def default_solver() -> Solver:
    """Monte Carlo EM, as in the paper."""
    from dem_jax.inference import deblur, mcem

    return Solver(deblur.prepare, mcem.init, mcem.step, deblur.finish)


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
    programs = Programs(solver or default_solver())
    bad = []
    with Interrupt(progress) as interrupt:
        for source in sources:
            outcome = _one(source, options, programs, progress, interrupt)
            if outcome.status != run_folder.DONE:
                bad.append(f"{source.label}: {outcome.status}: {outcome.why}")
            run_folder.write_summary(options.output_dir)
            if interrupt.requested:
                break
    if bad and len(sources) > 1:
        progress.say(f"{len(bad)} of {len(sources)} photos were not finished:")
        for line in bad:
            progress.say(f"  {line}")
    if interrupt.requested and len(sources) > 1:
        progress.say("Interrupted; run the same command again for the photos that are left.")
    return 1 if bad or interrupt.requested else 0


class Programs:
    """The solver's functions, each compiled once per shape and configuration."""

    def __init__(self, solver: Solver) -> None:
        self._jitted = {
            "prepare": jax.jit(solver.prepare, static_argnums=2),
            "init": jax.jit(solver.init, static_argnums=2),
            "step": jax.jit(solver.step, static_argnums=3, donate_argnums=1),
            "finish": jax.jit(solver.finish, static_argnums=2),
        }
        self._compiled: dict[Any, Any] = {}
        self.compile_seconds = 0.0

    def __call__(self, name: str, *args: Any) -> Any:
        """Runs `name` on `args`, whose last is the configuration, and waits for its result."""
        leaves, structure = jax.tree.flatten(args[:-1])
        signature = (name, args[-1], structure, tuple(jax.typeof(leaf) for leaf in leaves))
        if signature not in self._compiled:
            started = time.monotonic()
            self._compiled[signature] = self._jitted[name].lower(*args).compile()
            self.compile_seconds += time.monotonic() - started
        return jax.block_until_ready(self._compiled[signature](*args[:-1]))


class Interrupt:
    """Ctrl-C once asks for an orderly stop (`requested`); twice stops at once."""

    def __init__(self, progress: Progress) -> None:
        self.requested = False
        self._progress = progress
        self._before: Any = None

    def __enter__(self) -> "Interrupt":
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def _handle(self, *_: object) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
        self._progress.say(
            "Stopping after the step under way, keeping its result; Ctrl-C again stops at once."
        )


def _one(
    source: Source,
    options: Options,
    programs: Programs,
    progress: Progress,
    interrupt: Interrupt,
) -> Outcome:
    """Deblurs one photo; whatever goes wrong becomes its outcome."""
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
        outcome = _Job(source, folder, options, programs, progress, interrupt).run()
    except (ValueError, OSError, MemoryError) as error:
        outcome = Outcome(run_folder.FAILED, _sentence(error))
    except Exception as error:
        outcome = Outcome(run_folder.FAILED, _sentence(error))
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

    def __init__(
        self,
        source: Source,
        folder: run_folder.RunFolder,
        options: Options,
        programs: Programs,
        progress: Progress,
        interrupt: Interrupt,
    ) -> None:
        self._source, self._folder, self._options = source, folder, options
        self._programs, self._progress, self._interrupt = programs, progress, interrupt
        self._timings: dict[str, float] = {}
        self._history: list[dict[str, Any]] = []

    def run(self) -> Outcome:
        began, compiled = time.monotonic(), self._programs.compile_seconds
        with self._timed("start"):
            photo, config = self._read()
            self._folder.start(self._record(photo, config))
        key = jax.random.key(self._options.seed)
        with self._timed("warm_start"):
            self._progress.stage("warm start")
            prepare_key, init_key = jax.random.split(jax.random.fold_in(key, 0))
            problem = self._call("prepare", prepare_key, jnp.asarray(photo.pixels), config)
            state = self._call("init", init_key, problem, config)
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
            timings_seconds={name: round(value, 3) for name, value in self._timings.items()},
            device_peak_memory_mb=devices.device_peak_memory_mb(),
        )
        return outcome

    def _read(self) -> tuple[images.Photo, DeblurConfig]:
        photo = images.read_photo(self._source.path)
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
            "notes": list(photo.notes),
            "config": dataclasses.asdict(config),
            "seed": self._options.seed,
            "precision": self._options.precision,
            "versions": devices.versions(),
            "device": devices.device(),
        }

    def _em(self, key: jax.Array, state: Any, problem: Any, config: DeblurConfig) -> Any:
        """Runs EM to its end, or to an interrupt; (state, or None when it is lost, outcome)."""
        self._progress.em_starts()
        began = time.monotonic()
        for iteration in range(1, config.em_iterations + 1):
            if self._interrupt.requested:
                why = f"interrupted after {iteration - 1} of {config.em_iterations} EM iterations;"
                return state, Outcome(run_folder.FAILED, f"{why} the result so far was written.")
            step_key = jax.random.fold_in(key, iteration)
            state, info = self._call("step", step_key, state, problem, config)
            numbers = {name: float(value) for name, value in info._asdict().items()}
            finite = bool(numbers.pop("finite"))
            entry = {"iteration": iteration, "seconds": round(time.monotonic() - began, 3)}
            entry |= {k: v if np.isfinite(v) else None for k, v in numbers.items()}
            log = iteration % self._options.log_every == 0 or iteration == config.em_iterations
            if log or not finite:
                self._folder.log_metrics(entry)
            if not finite:
                why = f"EM diverged at iteration {iteration}; the warm start's result was written."
                return None, Outcome(run_folder.DIVERGED, why)
            self._history.append(entry)
            self._progress.iteration(iteration, numbers["negative_log_likelihood"], log=log)
        return state, Outcome(run_folder.DONE)

    def _write(self, photo: images.Photo, state: Any, problem: Any, config: DeblurConfig) -> None:
        self._progress.stage("writing")
        if state is None or not self._history:
            latent, kernels, std = _warm_start_result(problem, config), problem.start_kernels, None
        else:
            result = self._call("finish", state, problem, config)
            latent, kernels, std = result.latent, result.kernels, np.asarray(result.std)
        height, width, _ = photo.pixels.shape
        rows, cols = config.patch_grid
        self._folder.write_results(
            photo,
            np.asarray(latent),
            np.asarray(kernels),
            std,
            grid=config.patch_grid,
            history=self._history,
            caption=f"{self._source.label}: {width} x {height} pixels, kernels up to "
            f"{config.kernel_size} pixels, {rows} x {cols} patches, {len(self._history)} of "
            f"{config.em_iterations} EM iterations",
        )

    def _call(self, name: str, *args: Any) -> Any:
        """Runs a program in another thread, so that the bar moves and Ctrl-C is heard meanwhile."""
        return _in_thread(lambda: self._programs(name, *args), self._progress.tick)

    @contextlib.contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        began = time.monotonic()
        yield
        self._timings[stage] = time.monotonic() - began


def _in_thread(function: Callable[[], Any], tick: Callable[[], None]) -> Any:
    """function(), computed in a thread that a second Ctrl-C leaves behind."""
    outcome: dict[str, Any] = {}

    def work() -> None:
        try:
            outcome["value"] = function()
        except BaseException as error:
            outcome["error"] = error

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(timeout=0.25)
        tick()
    if "error" in outcome:
        raise outcome["error"]
    return outcome["value"]


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
