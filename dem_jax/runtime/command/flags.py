"""The flags, and nothing of what they mean: `options` does that.

They live in a registry of their own, so that importing this module disturbs no other program's.
"""

import dataclasses
from collections.abc import Iterator
from typing import Any

from absl import flags

from dem_jax.config import EFFORTS, DeblurConfig
from dem_jax.runtime import progress, sizes
from dem_jax.runtime.files import samples
from dem_jax.runtime.scale import devices


def define_flags() -> flags.FlagValues:
    """All flags of the command line, in a registry of their own; each says when to touch it."""
    values = flags.FlagValues()
    values.set_gnu_getopt(True)
    _define_main_flags(values)
    _define_photo_flags(values)
    _define_scale_flags(values)
    flags.DEFINE_boolean("help", False, "The first flags.", short_name="h", flag_values=values)
    flags.DEFINE_boolean("helpfull", False, "All flags.", flag_values=values)
    for name, default, text in config_fields(DeblurConfig()):
        _define_config_flag(name, default, text, values)
    for name in values:
        if isinstance(values[name], flags.BooleanFlag):
            values[name].parser = _Truth()
    return values


class _Truth(flags.BooleanParser):
    """As its base, which says what was wrong in a tuple of words for programmers."""

    def parse(self, argument: str | int) -> bool:
        try:
            return super().parse(argument)
        except ValueError:
            raise ValueError("give true or false") from None


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
        "How long it may take: quick removes the blur that it finds, normal improves small photos "
        "that are no JPEGs by small neural networks, best every photo by large ones, for ten times "
        "as long or more. The time that a photo will take is said before it begins.",
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
        "How long the longest smear of a point may be: an odd number of pixels. auto allows a "
        "third of the photo's shorter side, at most 151, and finds what is there. Or a file with a "
        "photo's name and its size on each line.",
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
        upper_bound=2**32 - 1,  # of a larger one JAX would take the last 32 bits
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
        "Folder for event files; give one to watch a run in TensorBoard. It needs "
        "dem_jax[tensorboard].",
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
        "Folder that keeps compiled programs for the next run; give another where this one is slow "
        "or full, an empty one for none.",
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
        "File.npy of kernels [k, k] or [P, k, k] to start from where they are known, such as those "
        "that another run found in a good part.",
        **own,
    )
    flags.DEFINE_integer(
        "preview_every",
        0,
        "EM iterations between two pictures preview.png, which become the animation "
        "sharpening.webp; give 1 to watch, 0 for none.",
        lower_bound=0,
        **own,
    )


def _define_scale_flags(values: flags.FlagValues) -> None:
    """Flags of many photos, large photos, many devices and many hosts."""
    own: dict[str, Any] = {"flag_values": values}
    flags.DEFINE_string(
        "batch_size",
        "auto",
        "Photos of one shape computed side by side on a device; auto is 1, on a TPU what the "
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
        "ask for them. Give a number where memory runs out, 0 for no tiles.",
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


def config_fields(config: Any, prefix: str = "") -> Iterator[tuple[str, Any, str]]:
    """(dotted name, default, help) of every field that has a flag."""
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            yield from config_fields(value, f"{prefix}{field.name}.")
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
