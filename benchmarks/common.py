"""What the benchmarks share: clock, tables, kept rows, the machine, T_f's step, whole runs.

python -m benchmarks.common        prints the machine, the versions and the seed
"""

import argparse
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from benchmarks import simulated
from dem_jax.config import ImageNetworkConfig
from dem_jax.evaluation import camera_shake
from dem_jax.model import image_network
from dem_jax.runtime import driver
from dem_jax.runtime.command.flagfiles import find_flagfiles
from dem_jax.runtime.command.flags import define_flags
from dem_jax.runtime.command.options import make_options
from dem_jax.runtime.files import atomic, samples
from dem_jax.runtime.scale import devices

SEED = 0
REPOSITORY = pathlib.Path(__file__).resolve().parents[1]


class Times(NamedTuple):
    """Seconds of one unit of work, a value for every round."""

    wall: list[float]
    processor: list[float]  # of all threads; what other processes take is not in it

    @property
    def median(self) -> float:
        return statistics.median(self.wall)

    def over(self, other: "Times") -> float:
        """Median of the rounds' ratios: a neighbour that comes and goes hurts both alike."""
        return statistics.median(a / b for a, b in zip(self.wall, other.wall, strict=True))

    def processor_over(self, other: "Times") -> float:
        return statistics.median(self.processor) / statistics.median(other.processor)


def take_turns(
    runs: dict[str, Callable[[], Any]], rounds: int, units: dict[str, int] | None = None
) -> dict[str, Times]:
    """Every run once unmeasured, then `rounds` times in turn; a run is `units` pieces of work."""
    times = {name: Times([], []) for name in runs}
    for repeat in range(rounds + 1):
        for name, run in runs.items():
            wall, processor = time.perf_counter(), time.process_time()
            run()
            wall, processor = time.perf_counter() - wall, time.process_time() - processor
            if repeat:
                pieces = (units or {}).get(name, 1)
                times[name].wall.append(wall / pieces)
                times[name].processor.append(processor / pieces)
    return times


def compiled(function: Callable[..., Any], *args: Any) -> Any:
    """The compiled function; `ready` runs it."""
    return jax.jit(function).lower(*args).compile()


def ready(program: Any, *args: Any) -> Callable[[], Any]:
    """A call of a compiled program that waits for its end."""
    return lambda: jax.block_until_ready(program(*args))


def megabytes(program: Any) -> float:
    """What XLA sets aside for a program beside its arguments and results, in 10^6 bytes."""
    return program.memory_analysis().temp_size_in_bytes / 1e6


def gradient_step(
    size: int | tuple[int, int],
    config: ImageNetworkConfig,
    *,
    inputs: int = 10,
    colours: int = 1,
    apply: Callable[..., jax.Array] = image_network.apply,
) -> tuple[Callable[..., Any], Any]:
    """T_f's step as lax.scan takes it, and its first state: value, gradient and Adam update.

    The loss is a sum of squares against a random picture of size x size (or rows x columns).
    """
    shape = (size, size) if isinstance(size, int) else size
    keys = jax.random.split(jax.random.key(SEED), 3)
    z = jax.random.normal(keys[0], (*shape, inputs))
    target = jax.random.uniform(keys[1], (*shape, colours))
    optimiser = optax.adam(0.01)

    def step(state: Any, _: Any = None) -> tuple[Any, jax.Array]:
        def loss(params: Any) -> jax.Array:
            return jnp.sum((apply(params, z, config=config) - target) ** 2)

        params, moments = state
        value, by_params = jax.value_and_grad(loss)(params)
        updates, moments = optimiser.update(by_params, moments)
        return (optax.apply_updates(params, updates), moments), value

    @jax.jit
    def init(key: jax.Array) -> Any:
        params = image_network.init(key, z, out_channels=colours, config=config)
        return params, optimiser.init(params)

    return step, init(keys[2])


def scanned(step: Callable[..., Any], length: int) -> Callable[..., Any]:
    """`length` steps inside lax.scan, as a chain takes them."""
    return lambda state: jax.lax.scan(step, state, None, length=length)


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Markdown; numbers with three digits."""
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    for row in rows:
        cells = [f"{x:.3g}" if isinstance(x, float) and abs(x) < 1000 else x for x in row]
        cells = [f"{x:.0f}" if isinstance(x, float) else str(x) for x in cells]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def bar(what: str, measured: float, most: float, unit: str = "") -> str:
    """The line that run_all.py collects: what was to be reached, and whether it is."""
    met = "met" if measured <= most else "**missed**"
    unit = unit and f" {unit}"
    return f"bar: | {what} | {measured:.3g}{unit} | at most {most:g}{unit} | {met} |"


def arguments(doc: str, **options: Any) -> argparse.Namespace:
    """The command line: every option with its default; a boolean becomes --x and --no-x."""
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    for name, default in options.items():
        if isinstance(default, bool):
            parser.add_argument(f"--{name}", default=default, action=argparse.BooleanOptionalAction)
        else:
            parser.add_argument(f"--{name}", default=default, type=type(default))
    return parser.parse_args()


def arguments_and_flags(doc: str, **options: Any) -> tuple[argparse.Namespace, list[str]]:
    """The command line up to `--`, of text options, and the flags of dem_jax.main behind it.

    An option whose default is None must be given.
    """
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    for name, default in options.items():
        parser.add_argument(f"--{name}", default=default, required=default is None)
    known, rest = parser.parse_known_args()
    return known, [word for word in rest if word != "--"]


def options(flags: Sequence[str]) -> driver.Options:
    """What flags of dem_jax.main mean; sets JAX up as they say."""
    values = define_flags()
    values(["benchmark", *find_flagfiles(list(flags)), "--input=-", "--output_dir=-"])
    given = make_options(values)
    cache_dir = values["compilation_cache_dir"].value or ""
    devices.configure(precision=given.precision, cache_dir=cache_dir)
    return given


def kept_rows(
    file: str | pathlib.Path, tasks: Mapping[str, Callable[[], dict[str, Any]]]
) -> dict[str, Any]:
    """The tasks' rows, by name, from a JSON file; a task whose row is missing runs and is stored.

    So a run goes on where it stopped. Rows of the file that no task has stay there. Each row names
    the commit that it was measured at.
    """
    path = pathlib.Path(file)
    rows = json.loads(path.read_text()) if path.exists() else {}
    for name, task in tasks.items():
        if name not in rows:
            rows[name] = {"commit": commit(), **task()}
            shown = {k: round(v, 3) for k, v in rows[name].items() if isinstance(v, float)}
            print(name, shown, file=sys.stderr, flush=True)
            path.parent.mkdir(parents=True, exist_ok=True)
            atomic.write_json(path, rows)
    return {name: rows[name] for name in tasks}


def commit(tree: pathlib.Path = REPOSITORY) -> str:
    """A checkout's commit, with "-dirty" where files differ from it; "unknown" outside of git."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=7", "--exclude=*"]
    try:
        done = subprocess.run(command, cwd=tree, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return done.stdout.strip()


def report(title: str, about: str, table: str) -> None:
    """Prints a table, how it was made and on what."""
    print(f"# {title}\n\n{about}\n\n{machine()}\n\n{table}")


def numbers(text: str) -> list[int]:
    """ "1,2,4" -> [1, 2, 4]."""
    return [int(word) for word in text.split(",") if word]


def deblur(
    folder: pathlib.Path, *flags: str, cache: str | None = None, tree: pathlib.Path = REPOSITORY
) -> dict[str, Any]:
    """Runs `python -m dem_jax.main` in a process of its own.

    Args:
      folder: for the results.
      flags: all but --output_dir; one --input.
      cache: folder of compiled programs; None is the user's.
      tree: the checkout that runs.

    Returns:
      run.json, with `metrics` (the lines of metrics.jsonl, of which a run without EM has none) and
      `seconds` of the whole process.

    Raises:
      RuntimeError: with its last words, when the run fails.
    """
    command = [sys.executable, "-m", "dem_jax.main", *flags, "--overwrite"]
    command += [f"--output_dir={folder}"]
    command += [f"--compilation_cache_dir={cache}"] if cache is not None else []
    began = time.monotonic()
    environment = {**os.environ, "PYTHONPATH": str(tree)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    seconds = time.monotonic() - began
    records = list(folder.glob("*/run.json"))
    if done.returncode or len(records) != 1:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr[-2000:]}")
    record = json.loads(records[0].read_text())
    kept = records[0].parent / "metrics.jsonl"
    lines = kept.read_text().splitlines() if kept.exists() else []
    return {**record, "metrics": [json.loads(line) for line in lines], "seconds": seconds}


def photo_flags(data: str, folder: pathlib.Path) -> tuple[str, ...]:
    """--input and --ground_truth of Levin's im1_kernel1, where `data` is the set's folder.

    Without it, of scikit-image's camera at 255 x 255 pixels, shaken.
    """
    if data:
        levin = pathlib.Path(data)
        blurry = next(iter(sorted((levin / "blurry").glob("im1_kernel1*"))))
        return f"--input={blurry}", f"--ground_truth={levin / 'sharp' / 'im1.png'}"
    sharp, shaken = shaken_picture(folder, (255, 255))
    return f"--input={shaken}", f"--ground_truth={sharp}"


def shaken_picture(
    folder: pathlib.Path, shape: tuple[int, int], *, colour: bool = False
) -> tuple[pathlib.Path, pathlib.Path]:
    """A sharp picture that scikit-image brings, resized, and its blurred photo: two files."""
    name = "astronaut" if colour else "camera"
    sharp = simulated.picture(samples.sample_path(name), shape, colour=colour)
    kernel_key, noise_key = jax.random.split(jax.random.key(SEED))
    kernel = camera_shake.random_kernel(kernel_key, 21)
    photo = simulated.shaken(noise_key, sharp, kernel, 0.003)
    return simulated.save(folder / "sharp.png", sharp), simulated.save(folder / "shaken.png", photo)


def machine() -> str:
    """What the numbers were measured on, as Markdown."""
    device = devices.device()
    versions = ", ".join(f"{name} {version}" for name, version in devices.versions().items())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    load = " ".join(f"{x:.1f}" for x in os.getloadavg())
    return "\n".join(
        [
            f"* Machine: {_processor()}, {len(os.sched_getaffinity(0))} cores, {memory:.0f} GiB; "
            f"load average when it began {load}",
            f"* JAX's device: {device['count']} x {device['kind']} ({device['platform']})",
            f"* Versions: {versions}",
            f"* Seed: {SEED}. Date: {time.strftime('%Y-%m-%d')}",
        ]
    )


def _processor() -> str:
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


if __name__ == "__main__":
    print(machine())
