"""Flags become one DeblurConfig and one Options here, and nowhere else."""

import dataclasses
import os
import pathlib
from collections.abc import Mapping
from typing import Any

from absl import flags

from dem_jax.config import EFFORTS
from dem_jax.runtime import sizes
from dem_jax.runtime.desk import Options
from dem_jax.runtime.files import colour, given_kernels
from dem_jax.runtime.report import history
from dem_jax.runtime.scale import plan, tiles


def make_options(values: flags.FlagValues) -> Options:
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
    return Options(
        output_dir=_path(given["output_dir"]),
        config=config,
        sizes=sizes.Sizes(blur, kernel_size, patch_grid, _em_pixels(given)),
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


def _em_pixels(given: Mapping[str, Any]) -> int | None:
    """EM is for every photo where it is asked for."""
    asked = given["em_iterations"] is not None or given["effort"] != "normal"
    return None if asked else sizes.EM_PIXELS


def _blur_before_a_look(
    patch_grid: tuple[int, int] | None, kernels: Any | None, *, looks: bool
) -> str:
    """What --blur=auto stands for where other flags say it, or nothing looks for the blur."""
    if patch_grid is not None:
        return sizes.UNIFORM if patch_grid == (1, 1) else sizes.NONUNIFORM
    if kernels is not None:
        return sizes.UNIFORM if len(kernels) == 1 else sizes.NONUNIFORM
    return sizes.AUTO if looks else sizes.UNIFORM


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


def _path(text: str | None) -> pathlib.Path | None:
    return pathlib.Path(os.path.expanduser(text)) if text else None
