"""Deblurs photos: `python -m dem_jax.main --flagfile=configs/quickstart.flags --input=... `.

absl flags become one DeblurConfig and one Options here, and nowhere else. The flags live in their
own registry, so that importing this module disturbs no other program's flags.
"""

import dataclasses
import os
import pathlib
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from absl import flags

from dem_jax import __version__
from dem_jax.config import DeblurConfig
from dem_jax.runtime import driver, programs, sizes, streams
from dem_jax.runtime.files import colour, given_kernels, inputs, run_folder, samples
from dem_jax.runtime.report import history, truth
from dem_jax.runtime.scale import devices, hosts, plan, tiles

USAGE = f"""dem_jax {__version__}: makes a photo blurred by camera shake sharp, from nothing but it.

  python -m dem_jax.main --flagfile=configs/quickstart.flags --input=photo.jpg --output_dir=out

Results are in OUTPUT_DIR/NAME: deblurred.png, report.png, kernels, uncertainty and run.json.
Flagfiles are sets of flags for a purpose: quickstart (minutes on 2 CPU cores), nonuniform (where
the camera also turned), best, large, paper, smoke. Flags after a flagfile win over it.
Exit status: 0 all done, 1 a photo failed (the others are finished), 2 bad flags (nothing written),
75 stopped by SIGTERM: what was reached is saved, and the same command goes on from there.
"""


def run(argv: Sequence[str] | None = None, *, solver: programs.Solver | None = None) -> int:
    """The command line; returns the exit status."""
    values = define_flags()
    try:
        extra = values(["dem_jax", *_find_flagfiles(sys.argv[1:] if argv is None else argv)])[1:]
        if values["help"].value:
            streams.put(sys.stdout, help_text(values) + "\n")
            return 0
        if extra:
            raise ValueError(
                f"Unexpected argument {extra[0]}; photos are given as --input={extra[0]}."
            )
        options = make_options(values)
        wanted = hosts.parse(
            str(values["distributed"].value),
            values["process"].value,
        )
        selection = inputs.select(values["input"].value or ())
        sources = selection.sources
        if text := values["ground_truth"].value:
            truths = truth.find_truths(text, sources)
            options = dataclasses.replace(options, truths=truths)
        process = hosts.join(wanted)  # before anything touches a device
        options = dataclasses.replace(options, process=process)
        cache_dir = values["compilation_cache_dir"].value
        remarks = devices.configure(precision=options.precision, cache_dir=cache_dir or "")
        _make_folder(options.output_dir)
    except (flags.Error, ValueError) as error:
        streams.put(sys.stderr, f"dem_jax: {' '.join(str(error).split())}\n")
        return 2
    for remark in [*remarks, *selection.remarks]:
        streams.put(sys.stderr, f"{remark}\n")
    run_folder.write_summary(options.output_dir, skipped=dict(selection.left_out))
    try:
        status = driver.run(options, sources, solver=solver)
        if status == driver.PREEMPTED:
            sys.stderr.flush()
            os._exit(status)  # as below; Python's own exit would wait
        hosts.leave(wanted)
        return status
    except KeyboardInterrupt:
        streams.put(sys.stderr, "dem_jax: stopped at once; finished photos are kept.\n")
        os._exit(1)  # a computation under way cannot be stopped in any other way


def define_flags() -> flags.FlagValues:
    """All flags of the command line, in a registry of their own; each says when to touch it."""
    values = flags.FlagValues()
    values.set_gnu_getopt(True)
    _define_main_flags(values)
    _define_photo_flags(values)
    _define_scale_flags(values)
    flags.DEFINE_boolean("help", False, "This text.", short_name="h", flag_values=values)
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
        f"Photo, folder or glob; may be given several times. Bundled: {bundled}",
        **own,
    )
    flags.DEFINE_string("output_dir", None, "Folder for the results; it is made.", **own)
    flags.DEFINE_enum(
        "blur",
        sizes.AUTO,
        [sizes.UNIFORM, sizes.NONUNIFORM, sizes.AUTO],
        "Give uniform where the camera moved sideways, one kernel for the photo, and nonuniform "
        "where it also turned, one for every patch; auto asks the photo, which takes longer.",
        **own,
    )
    flags.DEFINE_string(
        "kernel_size",
        "auto",
        "Odd number of pixels, with uniform blur the most that the kernel may have; auto finds "
        "it; or a file with a photo's name and its size on each line.",
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
    flags.DEFINE_string(
        "profile_dir",
        None,
        "Folder for jax.profiler's trace of the first EM iteration, to see where time goes.",
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
        "crop", None, "X,Y,W,H in pixels: deblurs only this part, for a quick trial.", **own
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
        "Pixels along each side of a tile of a large photo; auto uses tiles where the memory asks "
        "for them, 0 never.",
        **own,
    )
    flags.DEFINE_enum(
        "shard",
        "auto",
        ["auto", "none", "chains", "photos"],
        "What is divided over this process's devices; chains is for one photo with many chains.",
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
    for name in ("input", "output_dir"):
        if not given[name]:
            raise ValueError(f"--{name} is missing; --help says how to use it.")
    if given["tensorboard_dir"]:
        history.require_tensorboard()
    config = _replace(DeblurConfig(), given)
    if given["precision"] == "bfloat16":
        network = dataclasses.replace(config.image_network, bfloat16=True)
        config = dataclasses.replace(config, image_network=network)
    kernel_size = sizes.parse_kernel_size(given["kernel_size"])
    patch_grid = sizes.parse_patch_grid(given["patch_grid"])
    blur = given["blur"]
    if blur == sizes.UNIFORM and patch_grid not in (None, (1, 1)):
        raise ValueError("--blur=uniform contradicts --patch_grid; drop one of them.")
    if blur == sizes.NONUNIFORM and patch_grid == (1, 1):
        raise ValueError("--patch_grid=1x1 contradicts --blur=nonuniform; use --blur=uniform.")
    if blur == sizes.AUTO and patch_grid == (1, 1):
        blur = sizes.UNIFORM
    elif blur == sizes.AUTO and (patch_grid or given["init_kernels"] or not config.warm_start):
        blur = sizes.NONUNIFORM  # nothing is looked for that could decide
    kernels = None
    if given["init_kernels"]:
        kernels = given_kernels.read(given["init_kernels"])
        kernel_size = kernel_size or max(3, kernels.shape[-1])
    return driver.Options(
        output_dir=_path(given["output_dir"]) or pathlib.Path(),
        config=config,
        sizes=sizes.Sizes(blur, kernel_size, patch_grid),
        seed=given["seed"],
        overwrite=given["overwrite"],
        resume=given["resume"],
        checkpoint_every=given["checkpoint_every"],
        tensorboard_dir=_path(given["tensorboard_dir"]),
        profile_dir=_path(given["profile_dir"]),
        precision=given["precision"],
        crop=colour.parse_crop(given["crop"]),
        linear_light=given["linear_light"],
        kernels=kernels,
        preview_every=given["preview_every"],
        batching=plan.parse_batching(given["batch_size"], given["buckets"]),
        shard=given["shard"],
        tile_size=tiles.parse_size(given["tile_size"]),
    )


def help_text(values: flags.FlagValues) -> str:
    """What --help prints."""
    lines = [USAGE, "Flags:"]
    defaults = {name: default for name, default, _ in _config_fields(DeblurConfig())}
    for name in values:
        if name == "h":
            continue
        default = defaults.get(name, values[name].default)
        ending = "" if default is None else f" (default: {default})"
        text = " ".join(values[name].help.split()).split("; repeat this option")[0]
        lines.append(f"  --{name}\n      {text}{ending}")
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


def _make_folder(path: pathlib.Path) -> None:
    """Makes sure that results can be written."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe = path / f".{os.getpid()}.tmp"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise ValueError(f"--output_dir={path} cannot be written: {error.strerror}.") from error


def main() -> None:
    """The command line as a process of its own."""
    streams.ensure()
    streams.leave(run(), at_once=programs.is_busy())


if __name__ == "__main__":
    main()
