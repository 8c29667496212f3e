"""What one photo is worked on with: its programs, its clock, its truth, its place on the screen."""

import contextlib
import dataclasses
import functools
import pathlib
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from dem_jax.config import DeblurConfig
from dem_jax.runtime import estimate, sizes
from dem_jax.runtime.files import colour, images, run_folder
from dem_jax.runtime.files.inputs import Source
from dem_jax.runtime.first_look import FirstLook
from dem_jax.runtime.interrupt import Interrupt
from dem_jax.runtime.outlook import COMPILING
from dem_jax.runtime.programs import Programs, in_thread
from dem_jax.runtime.progress import Progress
from dem_jax.runtime.report import truth
from dem_jax.runtime.scale import batches, buckets, devices, plan
from dem_jax.solver import Solver
from dem_jax.types import Given


@dataclasses.dataclass(frozen=True)
class Options:
    """What the user asks for, besides the photos."""

    output_dir: pathlib.Path | None  # None: `folders` has a place for every photo
    config: DeblurConfig  # kernel size and patch grid are resolved per photo
    sizes: sizes.Sizes
    seed: int
    overwrite: bool = False
    resume: bool = True
    checkpoint_every: float = 30.0  # seconds
    tensorboard_dir: pathlib.Path | None = None
    precision: str = "float32"
    # By the source's name.
    folders: Mapping[str, pathlib.Path] = dataclasses.field(default_factory=dict)
    truths: Mapping[str, pathlib.Path] = dataclasses.field(default_factory=dict)
    crop: colour.Crop | None = None
    linear_light: bool = False
    kernels: np.ndarray | None = None  # [P, k, k] to start from
    preview_every: int = 0  # EM iterations between previews; 0 for none
    batching: plan.Batching = plan.ONE_BY_ONE
    process: tuple[int, int] = (0, 1)  # this one of so many that share the photos
    tile_size: int | None = None  # pixels; None: tiles where the memory asks for them; 0: never

    def folder(self, source: Source) -> run_folder.RunFolder:
        """Where a photo's results go."""
        if self.output_dir is None:
            return run_folder.RunFolder(self.folders[source.name])
        return run_folder.RunFolder(self.output_dir / source.name)


class Session(NamedTuple):
    """What all photos of a run share."""

    options: Options
    programs: Programs | batches.Seat
    progress: Progress
    interrupt: Interrupt


class Desk:
    """The photo's `source`, `folder` and session; `solver` is the session's, compiled on demand."""

    def __init__(self, source: Source, folder: run_folder.RunFolder, session: Session) -> None:
        self.source, self.folder = source, folder
        self.options, self.programs, self.progress, self.interrupt = session
        self.solver = Solver(*[functools.partial(self.call, name) for name in Solver._fields])
        self.seen: FirstLook | None = None  # of the photo's kernels, where they are looked for
        self.truth: truth.Truth | None = None
        self.psnr: dict[str, float] = {}
        self.linear = False  # whether blur is undone in linear light
        self._size = (0, 0)  # rows and columns of the photo
        self._expected: Mapping[str, float] = {}
        self._timings: dict[str, float] = {}
        self._began, self._compiled = time.monotonic(), self.programs.compile_seconds

    # --- programs ---

    def call(self, name: str, *args: Any) -> Any:
        """Runs a program on `args`, compiled if it is not yet."""
        self.compile(name, *args)
        self.progress.stage(estimate.STAGES[name])
        return self.in_thread(lambda: self.programs(name, *args))

    def compile(self, name: str, *args: Any) -> None:
        """Waits until a program for `args` is compiled."""
        if not self.programs.is_compiled(name, *args):
            self.progress.stage(f"{COMPILING} {estimate.STAGES[name]}")
            self.in_thread(lambda: self.programs.wait(name, *args))

    def in_thread(self, function: Callable[[], Any]) -> Any:
        """function() in another thread; meanwhile the bar moves, Ctrl-C and SIGTERM are heard."""

        def tick() -> None:
            self.progress.tick()
            self.interrupt.check()

        tick()  # once at least, however short it is
        return in_thread(function, tick)

    def begin_to_compile(
        self, key: Any, photo: Any, config: DeblurConfig, *, resumed: bool = False
    ) -> tuple[Any, Any]:
        """Begins to compile all that the photo needs; returns the shapes of problem and state."""
        self.progress.stage(COMPILING)
        return self.in_thread(lambda: self.programs.begin(key, photo, config, resumed=resumed))

    # --- the photo ---

    def open(self, photo: images.Photo) -> Given:
        """What is deblurred: the photo's own values, or light, in its bucket where it has one.

        Notes the photo's size, reads its truth, if any, and measures the photo.
        """
        self._size = photo.pixels.shape[:2]
        self.linear = self.options.linear_light or photo.linear
        if path := self.options.truths.get(self.source.name):
            self.truth = truth.Truth(path, photo)
        self.measure("blurred", photo.pixels)
        light = colour.to_light(photo.pixels) if self.linear else photo.pixels
        error = photo.coding_std
        if self.linear:  # as much as a pixel of mean brightness is off
            mean = np.mean(photo.pixels)
            error = float(colour.to_light(mean + error) - colour.to_light(mean))
        rounding = np.float32(error) if error else None
        given = Given(light, weight=photo.weight, coding_std=rounding)
        return buckets.pad(given) if self.options.batching.buckets else given

    def looks(self, config: DeblurConfig) -> bool:
        """Whether the photo's kernels are looked for before the start."""
        return config.warm_start and self.programs.has("overview")

    @property
    def speed(self) -> estimate.Speed:
        """This machine's."""
        return estimate.measured(self.options.config.image_network.channels)

    def expect(self, seconds: Mapping[str, float], em_iterations: int) -> None:
        """Notes how long every stage will take."""
        self._expected = seconds
        self.progress.expect(seconds, em_iterations)

    def cut(self, picture: Any) -> Any:
        """A picture without the padding of the photo's bucket."""
        height, width = self._size
        return picture[:height, :width]

    def encoded(self, latent: Any) -> np.ndarray:
        """A latent image in the photo's own values."""
        latent = np.asarray(latent)
        return colour.from_light(latent) if self.linear else latent

    def measure(self, what: str, picture: Any) -> None:
        """Keeps the PSNR of `picture` for `run.json`, where the truth is given."""
        if self.truth:
            self.psnr[what] = self.truth.psnr(np.asarray(picture))

    def record(self, photo: images.Photo, config: DeblurConfig) -> dict[str, Any]:
        """What `run.json` says of a photo before it is deblurred."""
        height, width, channels = photo.shape
        turned = self.seen and self.seen.turned
        return {
            "input": self.source.label,
            "photo": {
                "height": height,
                "width": width,
                "channels": channels,
                "bit_depth": photo.bit_depth,
            },
            "crop": self.options.crop,
            "linear_light": self.linear,
            "notes": list(photo.notes),
            "turned": turned and turned._asdict(),
            "config": dataclasses.asdict(config),
            "seed": self.options.seed,
            "estimated_seconds": {name: round(x, 1) for name, x in self._expected.items()},
            "precision": self.options.precision,
            "versions": devices.versions(),
            "device": devices.device(),
        }

    # --- time ---

    @contextlib.contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Notes how long a stage takes, apart from compiling."""
        began, compiled = time.monotonic(), self.programs.compile_seconds
        yield
        spent = time.monotonic() - began
        self._timings[stage] = spent - (self.programs.compile_seconds - compiled)

    def stop_clock(self) -> None:
        """Notes what compiling took, and all of it."""
        self._timings["compile"] = self.programs.compile_seconds - self._compiled
        self._timings["total"] = time.monotonic() - self._began

    @property
    def timings(self) -> dict[str, float]:
        """Seconds by stage so far."""
        return {name: round(value, 3) for name, value in self._timings.items()}
