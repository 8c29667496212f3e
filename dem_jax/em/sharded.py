"""EM on several devices: the chains of one photo, or several photos, over an axis of a mesh.

jax.shard_map gives every device a program of its own. Automatic partitioning of a vmapped network
would copy the whole batch to every device instead, because its convolutions are grouped ones.

- Chains: a device runs S / D of the S chains. Only means over samples travel: those of the images
  once an iteration, the M-step's gradient once per Adam step.
- Photos: a device runs B / D of the B photos. Nothing travels.

Either way the numbers are those of one device, to rounding. The functions are pure; jit them.
"""

from collections.abc import Callable
from typing import Any

import jax
from jax.sharding import Mesh, PartitionSpec

from dem_jax.config import DeblurConfig
from dem_jax.em import mcem
from dem_jax.types import EMInfo, Problem

CHAINS, PHOTOS = "chains", "photos"  # names of the mesh's axis

# How a state lies on a mesh whose axis is CHAINS: the chains divided, all else on every device.
STATE_BY_CHAINS: Any = mcem.MCEMState(PartitionSpec(CHAINS), *[PartitionSpec()] * 5)  # type: ignore


def step_over_chains(
    key: jax.Array,
    state: mcem.MCEMState,
    problem: Problem,
    config: DeblurConfig,
    *,
    mesh: Mesh,
    step: Callable[..., tuple[mcem.MCEMState, EMInfo]] = mcem.step,
) -> tuple[mcem.MCEMState, EMInfo]:
    """An EM iteration with the chains divided over the axis CHAINS of `mesh`.

    Args:
      key: random key, consumed.
      state: as of `mcem.init`; its chains' leaves, [S, ...], are divided over the devices.
      problem: the photo and what stays fixed; on every device.
      config: num_chains is S, a multiple of the axis's size.
      step: `mcem.step`, or that of a `Solver`; it takes `axis_name`.
      mesh: jax.sharding.Mesh(jax.local_devices(), ("chains",)), for instance; an automatic axis.

    Raises:
      ValueError: if S is not a multiple of D.
    """
    devices = mesh.shape[CHAINS]
    if config.num_chains % devices:
        raise ValueError(
            f"num_chains={config.num_chains} cannot be divided over {devices} devices; "
            f"give a multiple of {devices}."
        )

    def local_step(key, state, problem):
        return step(key, state, problem, config, axis_name=CHAINS)

    everywhere = PartitionSpec()
    # Replication is by construction (every mean is over the axis); custom derivatives such as the
    # convolutions' cannot be checked for it.
    return jax.shard_map(
        local_step,
        mesh=mesh,
        in_specs=(everywhere, STATE_BY_CHAINS, everywhere),
        out_specs=(STATE_BY_CHAINS, everywhere),
        check_vma=False,
    )(key, state, problem)


def over_photos(function: Callable[..., Any], mesh: Mesh | None = None) -> Callable[..., Any]:
    """`function` of one photo's arrays, for a batch of photos: every leaf [B, ...].

    Args:
      function: (*arrays, config) -> arrays, such as a `Solver`'s `prepare` or `mcem.step`.
      mesh: divides the photos over its axis PHOTOS, B being a multiple of its size; None is one
        device.

    Returns:
      (*batched arrays, config) -> batched arrays.
    """

    def batched(*args: Any) -> Any:
        *arrays, config = args

        def run(*rows: Any) -> Any:
            if jax.tree.leaves(rows)[0].shape[0] > 1:
                return jax.vmap(lambda *one: function(*one, config))(*rows)
            one = jax.tree.map(lambda x: x[0], rows)  # convolutions stay ungrouped, that is fast
            return jax.tree.map(lambda x: x[None], function(*one, config))

        if mesh is not None:
            photos = PartitionSpec(PHOTOS)
            return jax.shard_map(
                run, mesh=mesh, in_specs=photos, out_specs=photos, check_vma=False
            )(*arrays)
        return run(*arrays)

    return batched
