"""The start on several devices: each of them tries its part of the candidates.

jax.shard_map gives every device a program of its own, which has the whole photo. What is found is
brought together where the candidates are compared, so that every device goes on with the same
numbers; those are one device's, to rounding. On a CPU the devices are its cores: one program with
all the candidates would keep little more than one of them busy.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.sharding import Mesh, PartitionSpec

from dem_jax.start.look import Look

CANDIDATES = "candidates"  # name of the mesh's axis


def over_candidates(look: Callable[..., Any], mesh: Mesh) -> Callable[..., Any]:
    """A look at a photo, such as `overview.overview`, with its candidates on a mesh's devices.

    Args:
      look: (*arrays, config, axis_name) -> arrays; of a `Look` what finds.
      mesh: of an axis CANDIDATES, `jax.sharding.Mesh(jax.local_devices(), ("candidates",))`.

    Returns:
      (*arrays, config) -> arrays, all of them on every device; of a `Look` one with such a part.
    """
    if isinstance(look, Look):
        own = look.find
        find = over_candidates(lambda seen, _, axis_name: own(seen, axis_name=axis_name), mesh)
        return Look(look.see, lambda seen: find(seen, None))

    def looked(*args: Any) -> Any:
        *arrays, config = args

        def local(*arrays: Any) -> Any:
            return look(*arrays, config, axis_name=CANDIDATES)

        everywhere = PartitionSpec()
        return jax.shard_map(
            local, mesh=mesh, in_specs=everywhere, out_specs=everywhere, check_vma=False
        )(*arrays)

    return looked


def each(
    function: Callable[[Any], Any],
    items: Any,
    axis_name: str | None,
    *,
    mapped: Callable[..., Any] = lax.map,
) -> Any:
    """The results of `function` for every one of the items, on every device.

    Args:
      function: of one item.
      items: a tree of arrays [N, ...].
      axis_name: of the devices that share the work; None: one does it all.
      mapped: `lax.map`, one item after the other, or `vmapped`, all together.

    >>> each(lambda x: 2 * x, jnp.arange(3), None).tolist()
    [0, 2, 4]
    """
    if axis_name is None:
        return mapped(function, items)
    devices, count = lax.axis_size(axis_name), len(jax.tree.leaves(items)[0])
    share = -(-count // devices)
    own = lax.axis_index(axis_name) * share + jnp.arange(share)
    # Who has less to do than others repeats the last item.
    mine = jax.tree.map(lambda x: x[jnp.minimum(own, count - 1)], items)
    found = lax.all_gather(mapped(function, mine), axis_name, tiled=True)
    return jax.tree.map(lambda x: x[:count], found)


def vmapped(function: Callable[[Any], Any], items: Any) -> Any:
    """`function` of all items at once, as `lax.map` takes its arguments."""
    return jax.vmap(function)(items)
