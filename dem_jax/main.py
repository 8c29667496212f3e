"""Deblurs photos: `dem-jax photo.jpg`, or `python -m dem_jax.main photo.jpg`.

absl flags become one DeblurConfig and one Options here, and nowhere else. The flags live in their
own registry, so that importing this module disturbs no other program's flags.
"""

import dataclasses
import os
import pathlib
import re
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from absl import flags

from dem_jax import __version__
from dem_jax.config import EFFORTS, DeblurConfig
from dem_jax.runtime import app, driver, programs, progress, sizes, streams
from dem_jax.runtime.files import colour, given_kernels, inputs, places, run_folder, samples
from dem_jax.runtime.report import history, truth
from dem_jax.runtime.scale import devices, hosts, plan, tiles

USAGE = f"""dem_jax {__version__}: sharpens photos that a shaking camera blurred.

  dem-jax photo.jpg                     the sharp photo is photo_deblurred/deblurred.png
  dem-jax holiday/ 'more/*.png'         folders and globs; each result goes beside its photo
  dem-jax photo.jpg --effort=quick      a first impression
  dem-jax sample:clock                  a bundled photo
  dem-jax serve                         the same on a page in the browser

Beside the sharp photo are report.html (open it in a browser: it says how sure the result is), the
blur that was found, and run.json. A photo that is finished is skipped; --overwrite does it again.
"""
_HELP_WIDTH = 100  # columns
FIRST_FLAGS = ("effort", "output_dir", "crop", "kernel_size", "blur")
MORE = """Standard output holds the finished pictures' paths; all else goes to standard error.
Exit status: 0 all done, 1 a photo failed (the others are finished), 2 bad flags (nothing written),
75 stopped by SIGTERM: what was reached is saved, and the same command goes on from there.
More flags: dem-jax --helpfull"""
FLAGFILES = """Flagfiles hold flags for a purpose; give --flagfile=NAME, and flags after it win:
nonuniform (where the camera also turned), large (many megapixels on a small machine), paper (the
published method), smoke (checks an installation), quickstart and best (the efforts normal and
best)."""


def run(argv: Sequence[str] | None = None, *, solver: programs.Solver | None = None) -> int:
    """The command line; returns the exit status."""
    values = define_flags()
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        if words[:1] == ["serve"]:
            app.serve(words[1:])
            return 0
        photos = values(["dem_jax", *_find_flagfiles(words)])[1:]
        if values["help"].value or values["helpfull"].value:
            streams.put(sys.stdout, help_text(values, full=bool(values["helpfull"].value)) + "\n")
            return 0
        asked = _ask(values, photos)
    except (flags.Error, ValueError) as error:
        streams.put(sys.stderr, f"dem_jax: {' '.join(str(error).split())}\n")
        return 2
    options, selection, wanted = asked.options, asked.selection, asked.hosts
    shown = progress.make(str(values["progress"].value))
    for remark in [*asked.remarks, *selection.remarks]:
        shown.say(remark)
    if options.output_dir:
        run_folder.write_summary(options.output_dir, skipped=dict(selection.left_out))
    try:
        status = driver.run(options, selection.sources, solver=solver, progress=shown)
        if status == driver.PREEMPTED:
            sys.stderr.flush()
            os._exit(status)  # as below; Python's own exit would wait
        hosts.leave(wanted)
        return status
    except KeyboardInterrupt:
        streams.put(sys.stderr, "dem_jax: stopped at once; finished photos are kept.\n")
        os._exit(1)  # a computation under way cannot be stopped in any other way


class _Asked(NamedTuple):
    """What a command comes to, once all of it has been checked."""

    options: driver.Options
    selection: inputs.Selection
    hosts: hosts.Hosts
    remarks: list[str]


def _ask(values: flags.FlagValues, photos: Sequence[str]) -> _Asked:
    """Checks a command, joins other processes and sets JAX up.

    Raises:
      ValueError: for anything that cannot be done as it was asked for.
    """
    photos = [*(values["input"].value or ()), *photos]
    if not photos:
        raise ValueError("No photo is given; try 'dem-jax photo.jpg', or 'dem-jax --help'.")
    options = make_options(values)
    wanted = hosts.parse(str(values["distributed"].value), values["process"].value)
    selection = inputs.select(photos)
    changes: dict[str, Any] = {}
    if not options.output_dir:
        changes["folders"] = places.beside(selection.sources)
    if text := values["ground_truth"].value:
        changes["truths"] = truth.find_truths(text, selection.sources)
    changes["process"] = hosts.join(wanted)  # before anything touches a device
    options = dataclasses.replace(options, **changes)
    cache_dir = values["compilation_cache_dir"].value
    remarks = devices.configure(precision=options.precision, cache_dir=cache_dir or "")
    if options.output_dir:
        places.require_writable(options.output_dir, f"--output_dir={options.output_dir}")
    else:
        places.require_writable_beside(list(options.folders.values()))
    return _Asked(options, selection, wanted, list(remarks))


def define_flags() -> flags.FlagValues:
    """All flags of the command line, in a registry of their own; each says when to touch it."""
    values = flags.FlagValues()
    values.set_gnu_getopt(True)
    _define_main_flags(values)
    _define_photo_flags(values)
    _define_scale_flags(values)
    flags.DEFINE_boolean("help", False, "The first flags.", short_name="h", flag_values=values)
    flags.DEFINE_boolean("helpfull", False, "All flags.", flag_values=values)
    for name, default, text in _config_fields(DeblurConfig()):
        _define_config_flag(name, default, text, values)
    return values


def _define_main_flags(values: flags.FlagValues) -> None:
    """Flags of what is deblurred, where results go, and how a run goes on."""
    own: dict[str, Any] = {"flag_values": values}
    bundled = ", ".join(samples.PREFIX + name for name in samples.FILES)
    flags.DEFINE_multi_string(
        "input",
        None,
        "Photo, folder or glob, as may also be given without a flag. Bundled photos: " + bundled,
        **own,
    )
    flags.DEFINE_enum(
        "effort",
        "normal",
        list(EFFORTS),
        "How long it may take: quick removes the blur that it finds, normal improves on that by "
        "small neural networks, best by large ones, for ten times as long. The time that a photo "
        "will take is said before it begins.",
        **own,
    )
    flags.DEFINE_string(
        "output_dir",
        None,
        "Folder for the results, made if missing; without it they go beside each photo.",
        **own,
    )
    flags.DEFINE_enum(
        "blur",
        sizes.AUTO,
        [sizes.AUTO, sizes.UNIFORM, sizes.NONUNIFORM],
        "auto asks the photo whether the camera also turned, so that the blur differs between the "
        "middle and the corners; uniform says that it did not, nonuniform that it did.",
        **own,
    )
    flags.DEFINE_string(
        "kernel_size",
        "auto",
        "How long the longest smear of a point may be: an odd number of pixels. auto finds it; "
        "give one where the report says that the blur found is too large or too small. Or a file "
        "with a photo's name and its size on each line.",
        **own,
    )
    flags.DEFINE_string(
        "patch_grid",
        "auto",
        "ROWSxCOLS of patches, or auto; give more where the blur changes fast across the photo.",
        **own,
    )
    flags.DEFINE_integer(
        "seed",
        0,
        "Random seed; another one shows how much chance is in a result.",
        lower_bound=0,
        **own,
    )
    flags.DEFINE_boolean(
        "overwrite", False, "Give it to redo photos that are finished already.", **own
    )
    flags.DEFINE_boolean(
        "resume",
        True,
        "Goes on from the newest checkpoint in output_dir; --noresume starts anew.",
        **own,
    )
    flags.DEFINE_float(
        "checkpoint_every",
        30.0,
        "Seconds at least between two checkpoints; fewer where a machine may go without notice.",
        lower_bound=0.0,
        **own,
    )
    flags.DEFINE_enum(
        "precision",
        "float32",
        list(devices.PRECISIONS),
        "Precision of products: tf32 is faster on recent NVIDIA GPUs, bfloat16 on accelerators and "
        "a little less exact.",
        **own,
    )
    flags.DEFINE_string(
        "ground_truth",
        None,
        "Sharp photo, or a folder of them named like the inputs; give it to have PSNR measured.",
        **own,
    )
    flags.DEFINE_string(
        "tensorboard_dir",
        None,
        "Folder for event files to watch a run in TensorBoard; needs dem_jax[tensorboard].",
        **own,
    )
    flags.DEFINE_enum(
        "progress",
        progress.BAR,
        list(progress.STYLES),
        "What is written to standard error meanwhile: a bar, JSON lines for other programs, or "
        "none but messages.",
        **own,
    )
    flags.DEFINE_string(
        "compilation_cache_dir",
        devices.default_cache_dir(),
        "Folder that keeps compiled programs for the next run; empty for none.",
        **own,
    )


def _define_photo_flags(values: flags.FlagValues) -> None:
    """Flags of what happens to a photo before and beside deblurring."""
    own: dict[str, Any] = {"flag_values": values}
    flags.DEFINE_string(
        "crop",
        None,
        "X,Y,W,H: deblurs only the part of W x H pixels whose upper left corner is X pixels from "
        "the left and Y from the top, for a quick trial or around what matters.",
        **own,
    )
    flags.DEFINE_boolean(
        "linear_light",
        False,
        "Undoes the sRGB curve before deblurring and applies it after; try it where bright lamps "
        "left streaks.",
        **own,
    )
    flags.DEFINE_string(
        "init_kernels",
        None,
        "File.npy of kernels [k, k] or [P, k, k] to start from, such as another run's kernels.npy.",
        **own,
    )
    flags.DEFINE_integer(
        "preview_every",
        0,
        "EM iterations between two pictures preview.png, which become the animation "
        "sharpening.webp; 0 for none.",
        lower_bound=0,
        **own,
    )


def _define_scale_flags(values: flags.FlagValues) -> None:
    """Flags of many photos, large photos, many devices and many hosts."""
    own: dict[str, Any] = {"flag_values": values}
    flags.DEFINE_string(
        "batch_size",
        "auto",
        "Photos of one shape computed side by side on a device; auto is 1 on CPU, else what the "
        "memory holds. Give fewer where memory runs out.",
        **own,
    )
    flags.DEFINE_boolean(
        "buckets",
        False,
        "Pads photos of near sizes to one size, so that they share compiled programs and batches; "
        "use it for folders of many sizes.",
        **own,
    )
    flags.DEFINE_string(
        "tile_size",
        "auto",
        "Pixels along each side of a tile of a large photo; auto uses tiles where memory or time "
        "ask for them, 0 never.",
        **own,
    )
    flags.DEFINE_string(
        "distributed",
        "none",
        "Joins the other processes of a job: auto for Slurm, Kubernetes, Open MPI and TPU, "
        "HOST:PORT of process 0 elsewhere, together with --process.",
        **own,
    )
    flags.DEFINE_string(
        "process",
        None,
        "I/N: this is process I, from 0, of N that share the photos; for job arrays.",
        **own,
    )


def make_options(values: flags.FlagValues) -> driver.Options:
    """Flags -> Options.

    Raises:
      ValueError: for missing or contradictory flags and values that are not allowed.
    """
    given: dict[str, Any] = values.flag_values_dict()
    if given["tensorboard_dir"]:
        history.require_tensorboard()
    config = _replace(EFFORTS[given["effort"]], given)
    if given["precision"] == "bfloat16":
        network = dataclasses.replace(config.image_network, bfloat16=True)
        config = dataclasses.replace(config, image_network=network)
    kernel_size = sizes.parse_kernel_size(given["kernel_size"])
    patch_grid = sizes.parse_patch_grid(given["patch_grid"])
    blur = given["blur"]
    if blur == sizes.UNIFORM and patch_grid not in (None, (1, 1)):
        raise ValueError("--patch_grid needs --blur=nonuniform; add it, or drop --patch_grid.")
    if blur == sizes.NONUNIFORM and patch_grid == (1, 1):
        raise ValueError("--patch_grid=1x1 contradicts --blur=nonuniform; use --blur=uniform.")
    kernels = None
    if given["init_kernels"]:
        kernels = given_kernels.read(given["init_kernels"])
        kernel_size = kernel_size or max(3, kernels.shape[-1])
    if blur == sizes.AUTO:
        blur = _blur_before_a_look(patch_grid, kernels, looks=config.warm_start)
    return driver.Options(
        output_dir=_path(given["output_dir"]),
        config=config,
        sizes=sizes.Sizes(blur, kernel_size, patch_grid),
        seed=given["seed"],
        overwrite=given["overwrite"],
        resume=given["resume"],
        checkpoint_every=given["checkpoint_every"],
        tensorboard_dir=_path(given["tensorboard_dir"]),
        precision=given["precision"],
        crop=colour.parse_crop(given["crop"]),
        linear_light=given["linear_light"],
        kernels=kernels,
        preview_every=given["preview_every"],
        batching=plan.parse_batching(given["batch_size"], given["buckets"]),
        tile_size=tiles.parse_size(given["tile_size"]),
    )


def _blur_before_a_look(
    patch_grid: tuple[int, int] | None, kernels: Any | None, *, looks: bool
) -> str:
    """What --blur=auto stands for where other flags say it, or nothing looks for the blur."""
    if patch_grid is not None:
        return sizes.UNIFORM if patch_grid == (1, 1) else sizes.NONUNIFORM
    if kernels is not None:
        return sizes.UNIFORM if len(kernels) == 1 else sizes.NONUNIFORM
    return sizes.AUTO if looks else sizes.UNIFORM


def help_text(values: flags.FlagValues, *, full: bool = False) -> str:
    """What --help prints, or in `full` what --helpfull does."""
    defaults = {name: default for name, default, _ in _config_fields(DeblurConfig())}

    def describe(name: str) -> str:
        default = defaults.get(name, values[name].default)
        ending = "" if default is None else f" (default: {default})"
        text = " ".join(values[name].help.split()).split("; repeat this option")[0]
        choices, _, text = text[1:].partition(">: ") if text.startswith("<") else ("", "", text)
        wrapped = textwrap.wrap(text + ending, _HELP_WIDTH - 6)
        heading = f"  --{name}={choices}" if choices else f"  --{name}"
        return "\n".join([heading, *[f"      {line}" for line in wrapped]])

    lines = [USAGE, *map(describe, FIRST_FLAGS), "", MORE]
    if full:
        hidden = (*FIRST_FLAGS, "help", "helpfull", "h")
        lines[-1] = MORE.rpartition("\n")[0]
        lines += ["", FLAGFILES, "", "More flags:"]
        lines += [describe(name) for name in values if name not in hidden]
    return "\n".join(lines)


def _config_fields(config: Any, prefix: str = "") -> Iterator[tuple[str, Any, str]]:
    """(dotted name, default, help) of every field that has a flag."""
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            yield from _config_fields(value, f"{prefix}{field.name}.")
        elif field.metadata["flag"]:
            yield prefix + field.name, value, field.metadata["help"]


def _define_config_flag(name: str, default: Any, text: str, values: flags.FlagValues) -> None:
    """A flag of the type of `default`; None, the flag's own default, leaves the configuration's."""
    if isinstance(default, bool):
        flags.DEFINE_boolean(name, None, text, flag_values=values)
    elif isinstance(default, int):
        flags.DEFINE_integer(name, None, text, flag_values=values)
    elif isinstance(default, str):
        flags.DEFINE_string(name, None, text, flag_values=values)
    else:
        flags.DEFINE_float(name, None, text, flag_values=values)


def _replace(config: Any, given: Mapping[str, Any], prefix: str = "") -> Any:
    """`config` with the fields that flags give, all at once: they are validated together."""
    changes = {}
    for field in dataclasses.fields(config):
        name, old = prefix + field.name, getattr(config, field.name)
        if dataclasses.is_dataclass(old):
            changes[field.name] = _replace(old, given, f"{name}.")
        elif given.get(name) is not None and field.metadata["flag"]:
            changes[field.name] = given[name]
    return dataclasses.replace(config, **changes)


def _find_flagfiles(argv: Sequence[str]) -> list[str]:
    """`argv`, with flagfiles that are not at hand taken from those installed with the package."""
    here = pathlib.Path(__file__).parent
    found = []
    for argument in argv:
        match = re.fullmatch(r"--?flagfile=(.*)", argument)
        if match and not os.path.isfile(os.path.expanduser(match[1])):
            name = pathlib.Path(match[1]).name.removesuffix(".flags") + ".flags"
            for folder in (here / "configs", here.parent / "configs"):
                if (folder / name).is_file():
                    argument = f"--flagfile={folder / name}"
                    break
            else:
                raise ValueError(f"Flagfile {match[1]} does not exist; see the folder configs.")
        found.append(argument)
    return found


def _path(text: str | None) -> pathlib.Path | None:
    return pathlib.Path(os.path.expanduser(text)) if text else None


def main() -> None:
    """The command line as a process of its own."""
    streams.ensure()
    streams.leave(run(), at_once=programs.is_busy())


if __name__ == "__main__":
    main()
