"""Which photos are deblurred side by side: those of one shape, as many as the memory holds."""

import pathlib
from collections.abc import Sequence
from typing import NamedTuple

from dem_jax.config import DeblurConfig
from dem_jax.runtime import sizes as sizes_
from dem_jax.runtime.files import headers
from dem_jax.runtime.files.inputs import Source
from dem_jax.runtime.scale import batches, memory
from dem_jax.start.look import shared_side


class Group(NamedTuple):
    """Photos that are deblurred together."""

    sources: list[Source]
    width: int  # rows of the program that serves them; 0: a single photo, without a batch


class Batching(NamedTuple):
    """How photos are put side by side."""

    size: int | None = None  # photos at once on every device; None chooses by the memory
    buckets: bool = False  # whether near sizes are padded to one


ONE_BY_ONE = Batching(size=1)


def parse_batching(batch_size: str, padded: bool) -> Batching:
    """Reads `auto` or a number of photos.

    Raises:
      ValueError: for anything else.
    """
    if batch_size == "auto":
        return Batching(None, padded)
    if not batch_size.isdigit() or int(batch_size) < 1:
        raise ValueError(f"--batch_size={batch_size} must be auto or a number from 1 up.")
    return Batching(int(batch_size), padded)


def groups(
    sources: Sequence[Source],
    config: DeblurConfig,
    sizes: sizes_.Sizes,
    batching: Batching,
    *,
    crop: tuple[int, int, int, int] | None = None,
    devices: int | None = None,
) -> list[Group]:
    """`sources` in groups, each photo once, in the order of their first photos.

    A photo whose header tells no shape, or a bad one, is by itself and fails by itself.

    Args:
      sources: photos that are to be deblurred.
      config: the part of the configuration that does not depend on the photo.
      sizes: what resolves the rest.
      batching: how many at once, and whether padded.
      crop: x, y, width, height of the part that is deblurred.
      devices: over which a group's photos are divided; None is one device, without a mesh.
    """
    if devices is None and batching.size == 1:
        return [Group([source], 0) for source in sources]
    alike: dict[object, list[Source]] = {}
    most: dict[object, int] = {}
    for source in sources:
        key: object = source.path
        if shape := shape_of(source.path, crop):
            try:
                height, width, _ = shape
                name, padded = source.path.stem, batching.buckets
                own = sizes_.resolve(config, sizes, height, width, name, padded=padded)
            except ValueError:
                own = None
            if own is not None:
                if batching.buckets:
                    height, width = map(shared_side, shape[:2])
                    shape = height, width, shape[2]
                key = shape, own
                if key not in most:
                    most[key] = (
                        min(batching.size, memory.photos_that_fit(*shape, own))
                        if batching.size
                        else memory.photos_at_once(*shape, own)
                    )
        alike.setdefault(key, []).append(source)
    found = []
    for key, members in alike.items():
        at_once = most.get(key, 1) * (devices or 1)
        if len(members) == 1 or at_once == 1:
            found += [Group([source], 0) for source in members]
            continue
        width, parts = batches.even_parts(members, at_once, devices or 1)
        found += [Group(part, width) for part in parts]
    return found


def shape_of(
    path: pathlib.Path, crop: tuple[int, int, int, int] | None
) -> tuple[int, int, int] | None:
    """Rows, columns and channels of what is deblurred; None where the header does not tell."""
    shape = headers.shape_of(path)
    if shape is None or crop is None:
        return shape
    return crop[3], crop[2], shape[2]
