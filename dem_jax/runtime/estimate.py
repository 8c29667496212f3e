"""How long a photo takes on this machine, stage by stage, estimated before the work begins.

Two small probes measure the machine: a convolution and a Fourier transform. How many of them a
stage takes was measured by `dem-jax PHOTO` on 2 cores of an AMD EPYC, in seconds of processor time,
for photos of 255 x 255, 512 x 512 and 1024 x 768 pixels; tests/runtime/test_estimate.py has the
figures. Every run.json has `estimated_seconds` beside `timings_seconds`, so each run checks them.
"""

import functools
import math
import time
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dem_jax.config import DeblurConfig
from dem_jax.model import windows
from dem_jax.runtime.outlook import COMPILING
from dem_jax.solve import fourier
from dem_jax.start import camera_path, comparison, crops, turning, views
from dem_jax.start.one_kernel import CANDIDATES, FINER

STAGES = {  # how the solver's functions are called in messages
    "overview": "first look",
    "closer_look": "closer look",
    "refine": "kernel",
    "compare": "crops",
    "survey": "first path",  # where the camera turned, as the path
    "turn": "camera path",
    "prepare": "warm start",
    "init": "first networks",
    "step": "EM",
    "finish": "last deconvolution",
    "restore": "restoring",
}
WRITING = "writing"
USUAL_KERNEL = 31  # pixels: assumed of photos that were not looked at
_PROBE = 256  # pixels along each side of what the machine's speed is measured on
_PROBING, _LEAST_PROBES = 0.15, 5  # seconds for each probe, calls in any case
_NETWORK_STEP = 12.0  # convolutions of the finest level, of one step of T_f
_DECONVOLUTION = 1120.0  # transforms a channel: 40 iterations, more than half of them powers
# Those of the search were measured before a2c3ff3, and are shared by devices. By the quicker loops
# since, two photos took 1.3 and 1.4 times the sum, waits for programs included (def1c66).
_OVERVIEW = 42_000.0  # transforms of the view: 255 x 255 pixels took 8.9 s, 224 x 224 took 7.5 s
_CLOSER = 4  # overviews, of a closer look
_DOUBTFUL = 0.5  # of larger photos get one, and finer views of two kernels: so much is counted
_REFINEMENT = 2_400.0  # transforms of each finer view, by one setting
_NARROWED = 5_300.0  # the same of a small photo, in the window that fits, for each candidate
_JUDGING = 1_000.0  # transforms of the finest view, of each setting's kernel where there are more
_EVIDENCE = 4_500.0  # transforms of the part by which a kernel is improved at last
_DETAIL = 28.0  # transforms a channel, of one step of conjugate gradients
_COMPARISON = 100_000.0  # transforms of a crop: 9 of 144 x 144 pixels took 7 s
# Of a camera's path: transforms a pixel, and an entry of `camera_path.work`, of image and path in
# turn once; how often that is done in the survey, of the view where the path is looked for again,
# and of every finer one. Coarser levels are in it.
_ALTERNATION = 575.0, 230.0
_SURVEYING, _PATHS, _FINER_PATHS = 25, 120, 2
_WRITING = 1.5, 1e-6  # seconds, and seconds a pixel: pictures and reports
_LOADING = 0.3  # of compiling: tracing a program and loading it, where it was compiled before
# Seconds, two cores.
_COMPILING = {
    "overview": 8.0,
    "closer_look": 8.0,
    "refine": 3.0,
    "compare": 8.0,
    "survey": 8.0,
    "turn": 8.0,
    "prepare": 3.0,
    "step": 9.0,
}


class Speed(NamedTuple):
    """Seconds a pixel on this machine."""

    convolution: float  # 3 x 3, of as many channels as T_f has
    transform: float  # a real one
    devices: int = 1  # that share the candidates

    def share(self, count: int) -> float:
        """What a device does of the work on `count` candidates."""
        return -(-count // self.devices) / count


def in_one_piece(
    shape: tuple[int, ...], config: DeblurConfig, speed: Speed, *, looks: bool
) -> dict[str, float]:
    """Seconds of every stage of a photo [H, W, C], in their order.

    Args:
      shape: H, W, C.
      config: of this photo.
      speed: of this machine.
      looks: whether the kernel is looked for before the start.
    """
    seconds = _start(shape, config, speed, looks=looks)
    if config.em_iterations:
        seconds |= {
            _compiling("step"): _COMPILING["step"],
            STAGES["step"]: config.em_iterations * iteration(shape, config, speed),
            STAGES["finish"]: deconvolution(shape, config, speed),
        }
    return seconds | {WRITING: writing(shape)}


def iteration(shape: tuple[int, ...], config: DeblurConfig, speed: Speed) -> float:
    """Seconds of one EM iteration: Langevin steps, the detail of every sample, the M-step."""
    pixels, channels = _latent_pixels(shape, config), shape[2]
    steps = config.burn_in + config.samples_per_chain * config.thinning
    solutions = 1 + config.num_chains * config.samples_per_chain
    detail = solutions * config.detail_iterations * _DETAIL * channels * speed.transform
    return pixels * (config.num_chains * steps * _NETWORK_STEP * speed.convolution + detail)


def deconvolution(shape: tuple[int, ...], config: DeblurConfig, speed: Speed) -> float:
    """Seconds of one deconvolution of a photo or a tile [H, W, C]; grids are solved in crops."""
    k, (rows, cols) = config.kernel_size, shape[:2]
    crop, count = (rows, cols), 1
    if config.patch_grid != (1, 1):
        around = windows.crops((rows + k - 1, cols + k - 1), config.patch_grid, k - 1)
        crop, count = (around.shape[0] - k + 1, around.shape[1] - k + 1), len(around.first)
    canvas = count * float(np.prod(fourier.canvas_shape(crop, k)))
    return canvas * shape[2] * _DECONVOLUTION * speed.transform


def search(shape: tuple[int, ...], speed: Speed) -> tuple[float, float]:
    """Seconds of the overview, and of the finer views after it."""
    overview = views.overview_shape(shape[:2])
    finer = views.finer_shape(shape[:2], 1.0)
    scale, last = views.finer_scale(views.overview_scale(shape[:2])), float(np.prod(finer))
    pixels = last
    while scale < 1:
        pixels += float(np.prod(views.finer_shape(shape[:2], scale)))
        scale = views.finer_scale(scale)
    count = len(CANDIDATES.sparsity)
    evidence = float(np.prod(views.finer_shape(shape[:2], 1.0, views.TELLING))) * _EVIDENCE
    each = speed.share(count) * count * (pixels * _NARROWED + evidence)
    if overview != tuple(shape[:2]):
        each = (1 + _DOUBTFUL) * len(FINER) * (pixels * _REFINEMENT + last * _JUDGING)
        each *= speed.share(len(FINER))
        each += (1 + _DOUBTFUL * (2 * speed.share(2) - 1)) * evidence  # of one kernel, or of two
    first = speed.share(count) * float(np.prod(overview)) * _OVERVIEW
    return first * speed.transform, each * speed.transform


def comparing(shape: tuple[int, ...], speed: Speed) -> float:
    """Seconds of the crops that tell whether the camera turned."""
    crop = float(np.prod([comparison.small_crop(n) for n in shape[:2]]))
    return speed.share(crops.COUNT) * crop * _COMPARISON * speed.transform


def paths(shape: tuple[int, ...], config: DeblurConfig, speed: Speed) -> tuple[float, float]:
    """Seconds of the first look for a camera's path, and of the second."""
    kernel_size, patches = config.kernel_size, math.prod(config.patch_grid)

    def once(scale: float) -> float:
        rows, cols = (round(n * scale) for n in shape[:2])
        pixel, entry = _ALTERNATION
        entries = camera_path.work((rows, cols), views.window(kernel_size, scale))
        return (pixel * rows * cols + entry * entries) * speed.transform

    scale = turning.path_scale(shape[:2], kernel_size)
    seconds = speed.share(turning.PATHS) * _PATHS * once(scale)
    for finer in turning.finer_scales(shape[:2], scale):
        seconds, scale = seconds + _FINER_PATHS * once(finer), finer
    view = tuple(round(n * scale) for n in shape[:2])
    crop = math.prod(turning.improving_crop(view, views.window(kernel_size, scale)))
    seconds += speed.share(patches) * patches * crop * _EVIDENCE * speed.transform
    survey = speed.share(turning.PATHS // 2) * _SURVEYING
    return survey * once(views.overview_scale(shape[:2])), seconds


def writing(shape: tuple[int, ...]) -> float:
    """Seconds until the pictures and reports of a photo [H, W, C] are written."""
    fixed, each = _WRITING
    return fixed + each * shape[0] * shape[1]


def said(seconds: dict[str, float], turned: dict[str, float] | None = None) -> str:
    """An estimate in words, and what it would be had the camera `turned`, where that is unknown."""

    def once(stages: dict[str, float]) -> float:
        """Seconds that the next photo of this size does not take."""
        names = [name for name in stages if name.startswith(COMPILING)]
        return (1 - _LOADING) * sum(stages[name] for name in names)

    text = f"about {in_words(sum(seconds.values()) - once(seconds))}"
    if turned:
        text += f", {in_words(sum(turned.values()) - once(turned))} if the camera turned"
    return (
        f"{text}, and about {in_words(once(seconds))} more when programs for this size are "
        "compiled for the first time"
    )


def in_words(seconds: float) -> str:
    """Seconds or minutes, rounded as estimates deserve."""
    if seconds >= 90:
        return f"{seconds / 60:.0f} min"
    return f"{max(5, 5 * round(seconds / 5))} s"


def measured(channels: int) -> Speed:
    """This machine's speed, measured once."""
    return _measured(channels)


@functools.cache
def _measured(channels: int) -> Speed:
    picture = jnp.ones((1, _PROBE, _PROBE, channels))
    filters = jnp.ones((3, 3, channels, channels))
    layout = ("NHWC", "HWIO", "NHWC")
    convolve = jax.jit(
        lambda x, w: jax.lax.conv_general_dilated(x, w, (1, 1), "SAME", dimension_numbers=layout)
    )
    transform = jax.jit(jnp.fft.rfft2)
    return Speed(
        _seconds(convolve, picture, filters) / _PROBE**2,
        _seconds(transform, jnp.ones((_PROBE, _PROBE))) / _PROBE**2,
        jax.local_device_count(),
    )


def _start(
    shape: tuple[int, ...], config: DeblurConfig, speed: Speed, *, looks: bool
) -> dict[str, float]:
    """Seconds of what comes before EM."""
    seconds: dict[str, float] = {}
    restored = deconvolution(shape, config, speed)
    if config.patch_grid == (1, 1):  # a canvas as large as the photo, beyond the caches
        restored *= 2
    if looks:
        overview, finer = search(shape, speed)
        values = {"overview": overview}
        if views.overview_scale(shape[:2]) < 1:
            values["closer_look"] = _DOUBTFUL * _CLOSER * overview
        values |= {"refine": finer, "compare": comparing(shape, speed)}
        if config.patch_grid != (1, 1):
            values |= zip(("survey", "turn"), paths(shape, config, speed), strict=True)
        for name, value in values.items():
            seconds |= {_compiling(name): _COMPILING[name], STAGES[name]: value}
    elif config.patch_grid != (1, 1):
        restored += sum(search(shape, speed)) + paths(shape, config, speed)[1]
    seconds |= {_compiling("prepare"): _COMPILING["prepare"], STAGES["prepare"]: restored}
    return seconds


def _compiling(name: str) -> str:
    return f"{COMPILING} {STAGES[name]}"


def _latent_pixels(shape: tuple[int, ...], config: DeblurConfig) -> int:
    border = config.kernel_size - 1
    return (shape[0] + border) * (shape[1] + border)


def _seconds(function: Any, *args: Any) -> float:
    """What a call takes on an idle machine, seconds, after one that compiles.

    A busy CPU makes calls wait but costs them no processor time, of which several cores take more
    than one second a second. It is that of all calls over their number: a single call's may be
    booked on the next one. What others take of the machine, the outlook learns on the way.
    """
    jax.block_until_ready(function(*args))
    times: list[float] = []
    began, spent = time.perf_counter(), time.process_time()
    while len(times) < _LEAST_PROBES or time.perf_counter() < began + _PROBING:
        before = time.perf_counter()
        jax.block_until_ready(function(*args))
        times.append(time.perf_counter() - before)
    waited, worked = float(np.median(times)), (time.process_time() - spent) / len(times)
    return min(waited, worked) if jax.default_backend() == "cpu" else waited
