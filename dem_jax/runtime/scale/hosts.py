"""Several processes, on one host or many, that share a list of photos.

Every process takes every n-th photo, so nothing travels between them but the news that all are
done; results meet in the output folder. jax.distributed finds the processes of a cluster's job, and
stops all of them when one dies: finished photos are kept, and the same command does the rest.
Without it (`--distributed=none`), --num_processes and --process_id alone divide the photos among
processes that know nothing of each other, such as those of a job array.
"""

from typing import NamedTuple

import jax

_LONGEST_WAIT = 30 * 24 * 3600  # seconds that a process with few photos waits for the others


class Hosts(NamedTuple):
    """The processes as the user describes them; None is for JAX to find out."""

    distributed: bool = False
    coordinator_address: str | None = None
    num_processes: int | None = None
    process_id: int | None = None


def parse(
    distributed: str,
    coordinator_address: str | None,
    num_processes: int | None,
    process_id: int | None,
) -> Hosts:
    """Reads the flags of these names.

    Raises:
      ValueError: for half of a description.
    """
    hosts = Hosts(distributed == "auto", coordinator_address, num_processes, process_id)
    if (num_processes is None) != (process_id is None):
        raise ValueError("--num_processes and --process_id belong together; give both or none.")
    if num_processes is not None and process_id is not None and process_id >= num_processes:
        raise ValueError(
            f"--process_id={process_id} must be below --num_processes={num_processes}; "
            "processes count from 0."
        )
    if coordinator_address and not hosts.distributed:
        raise ValueError("--coordinator_address needs --distributed=auto; add it.")
    if coordinator_address and num_processes is None:
        raise ValueError("--coordinator_address needs --num_processes and --process_id; add them.")
    return hosts


def join(hosts: Hosts) -> tuple[int, int]:
    """Joins the other processes; must come before anything touches a device.

    Returns:
      Which process this is, and how many there are.

    Raises:
      ValueError: where no cluster is found, or the others do not answer.
    """
    if not hosts.distributed:
        return hosts.process_id or 0, hosts.num_processes or 1
    try:
        jax.distributed.initialize(
            hosts.coordinator_address,
            hosts.num_processes,
            hosts.process_id,
            shutdown_timeout_seconds=_LONGEST_WAIT,
        )
    except (RuntimeError, ValueError) as error:
        raise ValueError(
            "--distributed=auto found no other processes to join "
            f"({' '.join(str(error).split())[:200]}); start it by srun, mpirun, Kubernetes or on a "
            "TPU, or give --coordinator_address, --num_processes and --process_id."
        ) from error
    return jax.process_index(), jax.process_count()


def leave(hosts: Hosts) -> None:
    """Waits until every process has done its photos, then parts."""
    if hosts.distributed:
        jax.distributed.shutdown()
