"""A photo deblurred in one piece: EM iterations one after the other, watched by observers."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from dem_jax import run_keys
from dem_jax.config import DeblurConfig
from dem_jax.em.result import started
from dem_jax.runtime import estimate
from dem_jax.runtime.desk import Desk
from dem_jax.runtime.files import checkpoints, colour, images, run_folder
from dem_jax.runtime.job import Expected, Found, Outcome
from dem_jax.runtime.report import preview
from dem_jax.runtime.report.history import History
from dem_jax.runtime.scale import memory
from dem_jax.types import Given

_started = jax.jit(started)
_SAVING = 7.0  # seconds for the last save after SIGTERM; ten are promised for all of it


class Iteration(NamedTuple):
    """One EM iteration that is finished, as observers see it."""

    number: int
    entry: dict[str, Any]  # what the history keeps of it
    state: Any
    problem: Any
    config: DeblurConfig


Observer = Callable[[Iteration], None]


class InOnePiece:
    """The way of most photos; it can be stopped at any time and gone on with."""

    def __init__(self, desk: Desk) -> None:
        self._desk, options = desk, desk.options
        self._checkpoints = checkpoints.Checkpoints(
            desk.folder.checkpoint, every=options.checkpoint_every
        )
        self._watch = preview.Watch(desk.folder.path, options.preview_every)
        self._saved: checkpoints.Saved | None = None
        self._log: History
        self._state: Any = None
        self._problem: Any = None
        self._begun: Any = None  # image, deviation and kernels without EM
        self._observers: tuple[Observer, ...] = (self._show, self._keep, self._save, self._tell)

    @property
    def history(self) -> list[dict[str, Any]]:
        return self._log.entries

    def expected(self, shape: tuple[int, ...], config: DeblurConfig) -> Expected:
        desk = self._desk
        seconds = estimate.in_one_piece(shape, config, desk.speed, looks=desk.looks(config))
        return Expected(seconds, config.em_iterations)

    def open(self, photo: images.Photo, config: DeblurConfig) -> None:
        """Starts the run folder, and finds the checkpoint that the run goes on from, if any."""
        memory.require_fit(self._desk.source.label, photo.pixels.shape, config)
        options, folder = self._desk.options, self._desk.folder
        kernels = None if options.kernels is None else options.kernels.tolist()
        owner = checkpoints.owner(
            photo.pixels,
            config,
            seed=options.seed,
            precision=options.precision,
            linear_light=self._desk.linear,
            padded=options.batching.buckets,
            init_kernels=kernels and checkpoints.digest(kernels),
        )
        resume = options.resume and folder.read().get("status") != run_folder.DONE
        self._saved = saved = self._checkpoints.open(owner, resume=resume)
        record = self._desk.record(photo, config)
        folder.start(record | {"resumed_from": saved.iteration if saved else None})
        events = options.tensorboard_dir
        self._log = History(
            folder,
            earlier=saved.history if saved else (),
            tensorboard=events / self._desk.source.name if events else None,
        )
        self._watch.show(photo.pixels, "before")

    def deblur(self, given: Given, config: DeblurConfig) -> tuple[Outcome, Found]:
        desk, outcome = self._desk, Outcome(run_folder.DONE)
        key = jax.random.key(desk.options.seed)
        with desk.timed("warm_start"):
            self._start(key, given, config)
            if desk.truth or self._watch.wants(0) or not config.em_iterations:
                start = desk.encoded(desk.cut(self._without_em()[0]))
                desk.measure("warm_start", start)
                self._watch.show(start, "start")
        if config.em_iterations:
            with desk.timed("em"):
                outcome = self._em(key, config)
        with desk.timed("finish"):
            return outcome, self._found(config)

    def _found(self, config: DeblurConfig) -> Found:
        """What is written; after EM its last deconvolution is computed here."""
        desk, rows_cols = self._desk, config.patch_grid
        total = config.em_iterations
        how = (
            f"pixels, kernels up to {config.kernel_size} pixels, "
            f"{rows_cols[0]} x {rows_cols[1]} patches, "
            + (f"{len(self._log)} of {total} EM iterations" if total else "no EM")
        )
        if self._state is None or not len(self._log):
            light, std, kernels = self._without_em()
        else:
            result = desk.solver.finish(self._state, self._problem, config)
            light, std, kernels = result.latent, result.std, result.kernels
        light, std = (np.asarray(desk.cut(x)) for x in (light, std))
        if desk.linear:
            std = colour.spread_from_light(std, light)
        return Found(desk.encoded(light), kernels, std, self._problem, how)

    def watched(self, latent: np.ndarray) -> None:
        self._watch.finish(latent)

    def close(self, outcome: Outcome) -> None:
        self._log.close()
        if outcome.status != run_folder.FAILED:
            self._checkpoints.delete()

    def save_last(self) -> str:
        """Saves the last EM iteration after SIGTERM; why the photo is not finished."""
        try:
            iteration = self._checkpoints.flush(_SAVING)
        except checkpoints.CheckpointError as error:
            return f"stopped by SIGTERM; {error}"
        if iteration is None:
            return "stopped by SIGTERM before anything was saved; the same command starts anew."
        return f"stopped by SIGTERM; the same command goes on after EM iteration {iteration}."

    def _start(self, key: jax.Array, given: Given, config: DeblurConfig) -> None:
        """State and problem that EM begins with: the start's, or those of a checkpoint."""
        desk, saved = self._desk, self._saved
        shapes = desk.begin_to_compile(key, given, config, resumed=saved is not None)
        if saved:
            desk.progress.go_on(saved.iteration)
            restored = desk.in_thread(lambda: self._checkpoints.restore(saved, *shapes))
            self._problem, self._state = restored
            return
        prepare_key, init_key = run_keys.of_start(key)
        self._problem = desk.solver.prepare(prepare_key, given, config)
        if config.em_iterations:
            self._state = desk.solver.init(init_key, self._problem, config)
            self._checkpoints.reached(0, self._state, self._problem, [])

    def _without_em(self) -> Any:
        """Image, deviation and kernels of the start, made once, where somebody wants them."""
        if self._begun is None:
            self._begun = _started(self._problem)
        return self._begun

    def _em(self, key: jax.Array, config: DeblurConfig) -> Outcome:
        """Runs EM to its end, or to an interrupt."""
        desk, problem, total = self._desk, self._problem, config.em_iterations
        desk.compile("step", key, self._state, problem, config)
        began = time.monotonic() - self._log.seconds
        for number in range(len(self._log) + 1, total + 1):
            if desk.interrupt.requested:
                self._checkpoints.flush(_SAVING)
                why = f"interrupted after {number - 1} of {total} EM iterations;"
                return Outcome(run_folder.FAILED, f"{why} the result so far was written.")
            step_key = run_keys.of_iteration(key, number)
            self._state, info = desk.solver.step(step_key, self._state, problem, config)
            seconds = time.monotonic() - began
            numbers = {name: float(value) for name, value in info._asdict().items()}
            finite = bool(numbers.pop("finite"))
            entry: dict[str, Any] = {"iteration": number, "seconds": round(seconds, 3)}
            entry |= {k: v if np.isfinite(v) else None for k, v in numbers.items()}
            if not finite:
                self._log.log(entry)
                self._state = None
                why = f"EM diverged at iteration {number}; the warm start's result was written."
                return Outcome(run_folder.DIVERGED, why)
            for observe in self._observers:
                observe(Iteration(number, entry, self._state, problem, config))
        return Outcome(run_folder.DONE)

    def _show(self, now: Iteration) -> None:
        """The picture as it is, where it is watched or the truth is given."""
        desk, shown = self._desk, self._watch.wants(now.number)
        if not (shown or desk.truth):
            return
        result = desk.solver.finish(now.state, now.problem, now.config)
        latent = desk.encoded(desk.cut(result.latent))
        if desk.truth:
            now.entry["psnr"] = desk.truth.psnr(latent)
        if shown:
            self._watch.show(latent, f"EM {now.number}")

    def _keep(self, now: Iteration) -> None:
        self._log.add(now.entry)

    def _save(self, now: Iteration) -> None:
        self._checkpoints.reached(now.number, now.state, now.problem, self._log.entries)

    def _tell(self, now: Iteration) -> None:
        self._desk.progress.iteration(now.number, now.entry["negative_log_likelihood"])
