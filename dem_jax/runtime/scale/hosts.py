"""Several processes, on one host or many, that share a list of photos.

Every process takes every n-th photo, so nothing travels between them but the news that all are
done; results meet in the output folder. jax.distributed finds the processes of a cluster's job, and
stops all of them when one dies: finished photos are kept, and the same command does the rest.
Without it (`--distributed=none`), --process=I/N alone divides the photos among processes that know
nothing of each other, such as those of a job array.
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


def parse(distributed: str, process: str | None) -> Hosts:
    """Reads `none`, `auto` or HOST:PORT of process 0, and I/N, process I of N.

    Raises:
      ValueError: for half of a description.
    """
    number, count = _parse_process(process)
    if distributed in ("none", "auto"):
        return Hosts(distributed == "auto", None, count, number)
    if ":" not in distributed:
        raise ValueError(f"--distributed={distributed} must be none, auto or HOST:PORT.")
    if count is None:
        raise ValueError(f"--distributed={distributed} needs --process=I/N; add it.")
    return Hosts(True, distributed, count, number)


def _parse_process(text: str | None) -> tuple[int | None, int | None]:
    if text is None:
        return None, None
    number, _, count = text.partition("/")
    if not (number.isdigit() and count.isdigit() and int(number) < int(count)):
        raise ValueError(f"--process={text} must be I/N, such as 0/4; processes count from 0.")
    return int(number), int(count)


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
            "TPU, or give --distributed=HOST:PORT and --process=I/N."
        ) from error
    return jax.process_index(), jax.process_count()


def leave(hosts: Hosts) -> None:
    """Waits until every process has done its photos, then parts."""
    if hosts.distributed:
        jax.distributed.shutdown()
