"""Several photos side by side: jobs that go their own way and compute together.

A `Batch` has one `Seat` per photo, and a seat looks like `Programs` to the job that sits on it. A
call waits until every seat that is still taken has called; then equal calls (one program, arrays
of one shape) are stacked, run as one program under vmap, and everybody gets a row of the result.
A job that fails or ends leaves its seat, and the others go on without it. So reading,
writing and failing stay a photo's own affair, and a photo of an unexpected shape costs
time, never correctness.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, wait
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from dem_jax.em import sharded
from dem_jax.runtime.interrupt import Preempted
from dem_jax.runtime.programs import Programs, in_background
from dem_jax.solver import Solver
from dem_jax.start.look import Look


def batched_solver(solver: Solver, mesh: Mesh | None = None) -> Solver:
    """The solver's functions for batches of photos, over the mesh's axis "photos" if given."""

    def batched(function: Callable[..., Any]) -> Callable[..., Any]:
        if isinstance(function, Look):
            return function.transformed(batched)
        return sharded.over_photos(function, mesh)

    given = {name: f for name, f in solver._asdict().items() if f is not None}
    return Solver(**{name: batched(f) for name, f in given.items()})


def even_parts(items: Sequence[Any], most: int, multiple: int = 1) -> tuple[int, list[list[Any]]]:
    """`items` in as few parts as `most` allows, of one width that leaves the fewest seats empty.

    Returns:
      The width, a multiple of `multiple` (the number of devices), and the parts.
    """
    parts = -(-len(items) // max(most, multiple))
    width = -(-len(items) // parts)
    width = -(-width // multiple) * multiple
    return width, [list(items[i : i + width]) for i in range(0, len(items), width)]


class _Call(NamedTuple):
    name: str
    args: tuple[Any, ...]
    result: Future[Any]


class Batch:
    """Calls of `count` jobs, run together, `width` at a time, by programs of a batched solver.

    Once `stopped`, nothing more is begun: who leaves must not compute for those who leave next, and
    who still waits is `Preempted`, so that no thread waits for ever.
    """

    def __init__(
        self,
        programs: Programs,
        width: int,
        count: int,
        *,
        stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        self._stopped = stopped
        self._programs, self._width, self._taken = programs, width, count
        self._lock = threading.Lock()
        self._waiting: list[_Call] = []

    @contextlib.contextmanager
    def seat(self) -> Iterator["Seat"]:
        """One job's seat, until the job ends, however it does."""
        try:
            yield Seat(self, self._programs, self._width)
        finally:
            self._proceed(left=1)

    def call(self, name: str, args: tuple[Any, ...]) -> Any:
        """Waits for the others' calls, and then for the result."""
        call = _Call(name, args, Future())
        self._proceed(call)
        return call.result.result()

    def _proceed(self, call: _Call | None = None, left: int = 0) -> None:
        """Notes a call or a departure; whoever completes the round runs it, for all."""
        with self._lock:
            self._taken -= left
            self._waiting += [call] if call else []
            stopped = self._stopped()
            if not stopped and (not self._waiting or len(self._waiting) < self._taken):
                return
            round_, self._waiting = self._waiting, []
        if stopped:
            for each in round_:
                each.result.set_exception(Preempted())
            return
        groups: dict[Any, list[_Call]] = {}
        for each in round_:
            groups.setdefault(self._programs.signature(each.name, each.args), []).append(each)
        for group in groups.values():
            try:
                rows = self._run(group)
            except BaseException as error:
                for each in group:
                    each.result.set_exception(error)
            else:
                for each, row in zip(group, rows, strict=True):
                    each.result.set_result(row)

    def _run(self, group: list[_Call]) -> list[Any]:
        """One program for the whole group; empty rows repeat the last photo."""
        filled = [group[min(i, len(group) - 1)].args[:-1] for i in range(self._width)]
        stacked = jax.tree.map(lambda *leaves: _stack(leaves), *filled)
        result = self._programs(group[0].name, *stacked, group[0].args[-1])
        # On the host, from where the rows may go to whichever device comes next.
        result = jax.tree.map(np.asarray, jax.device_get(result))
        return [jax.tree.map(lambda x, i=i: x[i], result) for i in range(len(group))]


class Seat:
    """What one job uses in place of `Programs`."""

    def __init__(self, batch: Batch, programs: Programs, width: int) -> None:
        self._batch, self._programs, self._width = batch, programs, width
        self.compile_seconds = 0.0  # that this job had to wait for

    def begin(self, key: Any, photo: Any, config: Any, *, resumed: bool = False) -> Any:
        """As of `Programs`."""
        with self._waiting():
            shapes = self._programs.begin(*self._abstract((key, photo, config)), resumed=resumed)
        return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype), shapes)

    def has(self, name: str) -> bool:
        """As of `Programs`."""
        return self._programs.has(name)

    def is_compiled(self, name: str, *args: Any) -> bool:
        """As of `Programs`."""
        return self._programs.is_compiled(name, *self._abstract(args))

    def wait(self, name: str, *args: Any) -> Any:
        """As of `Programs`."""
        with self._waiting():
            return self._programs.wait(name, *self._abstract(args))

    def __call__(self, name: str, *args: Any) -> Any:
        """As of `Programs`, together with the other seats."""
        return self._batch.call(name, args)

    @contextlib.contextmanager
    def _waiting(self) -> Iterator[None]:
        began = time.monotonic()
        yield
        self.compile_seconds += time.monotonic() - began

    def _abstract(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """Shapes and types of the batch's arguments."""

        def widen(x: Any) -> jax.ShapeDtypeStruct:
            return jax.ShapeDtypeStruct((self._width, *x.shape), x.dtype)

        return *jax.tree.map(widen, args[:-1]), args[-1]


def run_side_by_side(jobs: Sequence[Callable[[], Any]]) -> list[Any]:
    """The results of jobs that run in threads of their own; Ctrl-C is heard meanwhile."""
    futures = [in_background(job) for job in jobs]
    while wait(futures, timeout=0.25).not_done:
        pass
    return [future.result() for future in futures]


def _stack(leaves: Sequence[Any]) -> Any:
    if isinstance(leaves[0], jax.Array) and jax.dtypes.issubdtype(
        leaves[0].dtype, jax.dtypes.prng_key
    ):
        return jnp.stack(leaves)
    return np.stack([np.asarray(leaf) for leaf in leaves])
