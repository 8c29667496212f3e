"""One photo from file to results: read, deblurred in one of two ways, judged, written.

A way is `whole.InOnePiece` or, for photos too large for that, `scale.large.InTiles`.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from dem_jax.config import DeblurConfig
from dem_jax.runtime import estimate, sizes
from dem_jax.runtime.desk import Desk
from dem_jax.runtime.files import framing, images
from dem_jax.runtime.first_look import first_look
from dem_jax.runtime.report import verdict
from dem_jax.runtime.scale import devices
from dem_jax.types import Given


class Outcome(NamedTuple):
    """How it ended for one photo."""

    status: str
    why: str = ""


class Found(NamedTuple):
    """What is written of a photo."""

    latent: np.ndarray  # [H, W, C], in the photo's own values
    kernels: Any  # [P, k, k]
    std: np.ndarray  # [H, W, C], likewise
    problem: Any  # that the kernels were found in
    how: str  # follows the size in the report's caption


class Expected(NamedTuple):
    """What a photo will take."""

    seconds: dict[str, float]  # by stage, in their order
    em_iterations: int


class Way(Protocol):
    """How a photo is deblurred; its functions are called about in this order."""

    @property
    def history(self) -> Sequence[Mapping[str, Any]]:
        """One entry per EM iteration."""

    def expected(self, shape: tuple[int, ...], config: DeblurConfig) -> Expected:
        """What a photo [H, W, C] will take."""

    def open(self, photo: images.Photo, config: DeblurConfig) -> None:
        """Starts the run folder; raises TooLarge where the memory is too small."""

    def deblur(self, given: Given, config: DeblurConfig) -> tuple[Outcome, Found]:
        """Deblurs the photo: how that ended, and what is written."""

    def watched(self, latent: np.ndarray) -> None:
        """Shows the result [H, W, C] to who watches."""

    def close(self, outcome: Outcome) -> None:
        """Removes what only a run under way needs."""

    def save_last(self) -> str:
        """Saves what it can after SIGTERM; why the photo is not finished."""


class Job:
    """One photo on its way from file to results."""

    def __init__(self, desk: Desk, way: Way) -> None:
        self._desk, self._way = desk, way

    def run(self) -> Outcome:
        desk, way = self._desk, self._way
        with desk.timed("start"):
            photo, config = self._read()
            given = desk.open(photo)
            self._announce(photo, config)
            bound = config.kernel_size
            given, config = self._look(given, config)
            self._expect(photo, config)
            way.open(photo, config)
        outcome, found = way.deblur(given, config)
        with desk.timed("write"):
            desk.progress.stage(estimate.WRITING)
            self._deliver(photo, found, config, bound)
        desk.stop_clock()
        desk.folder.finish(
            outcome.status,
            outcome.why,
            em_iterations_done=len(way.history),
            psnr=desk.psnr or None,
            timings_seconds=desk.timings,
            device_peak_memory_mb=devices.device_peak_memory_mb(),
        )
        way.close(outcome)
        return outcome

    def save_last(self) -> str:
        """Saves what it can after SIGTERM; why the photo is not finished."""
        return self._way.save_last()

    def _read(self) -> tuple[images.Photo, DeblurConfig]:
        desk, options, label = self._desk, self._desk.options, self._desk.source.label
        desk.progress.begin(label, 0)
        desk.progress.stage("starting")
        photo = framing.frame(
            images.read_photo(desk.source.path, crop=options.crop),
            every_pixel=options.kernels is not None,  # they are in pixels of the photo
        )
        for note in photo.notes:
            desk.progress.say(f"{label}: {note}")
        (height, width, _), name = photo.pixels.shape, desk.source.path.stem
        padded = options.batching.buckets
        config = sizes.resolve(
            options.config,
            options.sizes,
            height,
            width,
            name,
            padded=padded,
            coding_std=photo.coding_std,
        )
        if np.ptp(photo.pixels, axis=(0, 1)).max() == 0:
            raise ValueError(f"{label} {_emptiness(photo)}")
        desk.progress.begin(label, config.em_iterations)
        return photo, config

    def _look(self, given: Given, config: DeblurConfig) -> tuple[Given, DeblurConfig]:
        """The photo's kernels, and sizes that fit to them, unless the kernels are given."""
        desk = self._desk
        if not desk.looks(config):
            return given, config
        desk.seen = first_look(desk.call, given, config, desk.options.sizes)
        return desk.seen.given, desk.seen.config

    def _announce(self, photo: images.Photo, config: DeblurConfig) -> None:
        """Says how long it will take; the kernel, which is to be found, is assumed to be usual."""
        desk, (height, width, _) = self._desk, photo.pixels.shape
        size = min(config.kernel_size, estimate.USUAL_KERNEL)
        usual, turned = dataclasses.replace(config, kernel_size=size), None
        if desk.options.sizes.blur == sizes.AUTO:
            grid = sizes.auto_patch_grid(height, width, size)
            turned, _ = self._way.expected(
                photo.pixels.shape, dataclasses.replace(usual, patch_grid=grid)
            )
        said = estimate.said(self._expect(photo, usual), turned)
        desk.progress.say(f"{desk.source.label}: {width} x {height} pixels, {said}")

    def _expect(self, photo: images.Photo, config: DeblurConfig) -> dict[str, float]:
        """Tells who watches how long it will take, and returns that."""
        seconds, em_iterations = self._way.expected(photo.pixels.shape, config)
        self._desk.expect(seconds, em_iterations)
        return seconds

    def _deliver(self, photo: images.Photo, found: Found, config: DeblurConfig, bound: int) -> None:
        """Judges what was found, says so, and writes it.

        `bound` is the kernel size that a first look was free to choose; where it chose a smaller
        one, a larger bound changes nothing.
        """
        desk, seen, history = self._desk, self._desk.seen, list(self._way.history)
        kernels, confidence = np.asarray(found.kernels), None
        if seen and config.patch_grid == (1, 1):
            confidence = float(seen.choice.agreement)
        evidence = verdict.weigh(photo.pixels, found.problem, kernels, history, confidence)
        finding = verdict.finding(evidence)
        largest = config.kernel_size
        if largest >= bound:
            largest = sizes.most_kernel_size(min(photo.pixels.shape[:2]))
        latent, warnings = verdict.decide(evidence, photo.pixels, found.latent, config, largest)
        desk.measure("result", latent)
        self._way.watched(latent)
        desk.folder.note(
            kernel=finding,
            warnings=warnings,
            evidence=evidence._asdict(),
            timings_seconds=desk.timings,
        )
        for warning in warnings:
            desk.progress.say(f"{desk.source.label}: {warning}")
        if seen and seen.turned is not None:
            unlike = "differs" if seen.turned.turned else "hardly differs"
            found = found._replace(how=f"{found.how}, blur that {unlike} across the photo")
        height, width, _ = photo.shape
        sure = finding if confidence is None else f"{finding} (confidence {confidence:.0%})"
        desk.in_thread(
            lambda: desk.folder.write_results(
                photo,
                latent,
                kernels,
                found.std,
                grid=config.patch_grid,
                history=history,
                caption=f"{desk.source.label}: {width} x {height} {found.how}, kernel {sure}",
            )
        )


def _emptiness(photo: images.Photo) -> str:
    """What a photo of one colour is."""
    if photo.alpha is not None and not photo.alpha.any():
        return "is wholly transparent; save it once more with its layers visible."
    return "is one constant colour; there is no blur in it."
