"""The solver's pure functions, compiled once per shape and configuration."""

import contextlib
import threading
import time
import weakref
from collections.abc import Callable, Mapping
from concurrent.futures import Future, wait
from typing import Any

import jax

from dem_jax.solver import Solver
from dem_jax.start.look import Look

# XLA:CPU takes long over a program of many small convolutions, about half of it in fusion emitters.
# Without them, and with less effort, the programs of start and EM at 255 x 255 pixels take 41
# to 47 instead of 73 to 84 s of two cores' processor time, and run as fast. XLA of jax 0.12 no
# longer knows the first option, and the second does little alone.
_CPU_COMPILER_OPTIONS = {"xla_cpu_use_fusion_emitters": False, "xla_backend_optimization_level": 1}


# The solver's optional functions, and which argument of theirs is the configuration.
LOOKS = {"overview": 1, "closer_look": 2, "refine": 2, "compare": 2, "survey": 1, "turn": 2}
# Programs of a run that are kept: a photo of a new size needs up to ten. On Linux each takes some
# 700 of the 65530 memory maps that a process may have, and XLA crashes where there are no more.
_MOST_KEPT = 40
_threads: weakref.WeakSet[threading.Thread] = weakref.WeakSet()


class Programs:
    """The solver's functions, each compiled once per shape and configuration.

    `shardings` holds, by a function's name, where its arguments and results lie: `in_shardings` and
    `out_shardings` of jax.jit. Nothing given is one device.
    """

    def __init__(
        self, solver: Solver, shardings: Mapping[str, Mapping[str, Any]] | None = None
    ) -> None:
        place = shardings or {name: {} for name in ("prepare", "init", "step", "finish")}
        self._jitted = {
            "prepare": jax.jit(solver.prepare, static_argnums=2, **place["prepare"]),
            "init": jax.jit(solver.init, static_argnums=2, **place["init"]),
            "step": jax.jit(solver.step, static_argnums=3, donate_argnums=1, **place["step"]),
            "finish": jax.jit(solver.finish, static_argnums=2, **place["finish"]),
            "restore": jax.jit(solver.restore, static_argnums=3),
        }
        self._finds: dict[str, Any] = {}  # the second parts of looks
        for name, config_at in LOOKS.items():
            look: Any = getattr(solver, name)
            if isinstance(look, Look):
                self._jitted[name] = jax.jit(look.see, static_argnums=config_at)
                self._finds[name] = jax.jit(look.find)
            elif look is not None:
                self._jitted[name] = jax.jit(look, static_argnums=config_at)
        self._lock = threading.Lock()  # photos of a batch ask at the same time
        self._compiled: dict[Any, Future[Any]] = {}
        self.compile_seconds = 0.0  # that somebody had to wait for

    def begin(self, key: Any, photo: Any, config: Any, *, resumed: bool = False) -> tuple[Any, Any]:
        """Begins to compile everything for photos like `photo`; only tracing is waited for.

        A `resumed` run needs the programs of EM alone. Returns the shapes of problem and state.

        XLA compiles a program on little more than one core, so the programs are compiled side by
        side; and `prepare`, the first, runs while the others still compile.
        """
        started = time.monotonic()
        problem = self._jitted["prepare"].eval_shape(key, photo, config)
        if not resumed:
            self._begin("prepare", key, photo, config)
        if not config.em_iterations:
            self.compile_seconds += time.monotonic() - started
            return problem, None
        state = self._jitted["init"].eval_shape(key, problem, config)
        self._begin("step", key, state, problem, config)
        if not resumed:
            self._begin("init", key, problem, config)
        self._begin("finish", state, problem, config)
        self.compile_seconds += time.monotonic() - started
        return problem, state

    def forget(self) -> None:
        """Drops the programs that were not used for long, where there are many: between photos."""
        with self._lock:
            if len(self._compiled) <= _MOST_KEPT:
                return
            self._compiled = dict(list(self._compiled.items())[-_MOST_KEPT // 2 :])
        jax.clear_caches()  # which hold them, too

    def has(self, name: str) -> bool:
        """Whether the solver has a function `name`."""
        return name in self._jitted

    def is_compiled(self, name: str, *args: Any) -> bool:
        """Whether `name` can run on `args`, whose last is the configuration, without a wait."""
        future = self._compiled.get(self.signature(name, args))
        return future is not None and future.done()

    def wait(self, name: str, *args: Any) -> Any:
        """The program `name` for arguments like `args`, as soon as it is compiled."""
        started = time.monotonic()
        program = self._begin(name, *args).result()
        self.compile_seconds += time.monotonic() - started
        return program

    def __call__(self, name: str, *args: Any) -> Any:
        """Runs `name` on `args` and waits for its result."""
        return jax.block_until_ready(self.wait(name, *args)(*args[:-1]))

    def _begin(self, name: str, *args: Any) -> Future[Any]:
        return self._once(self.signature(name, args), lambda: self._program(name, *args))

    def _once(self, signature: Any, compiled: Callable[[], Any]) -> Future[Any]:
        """The program of a signature, which is the last one used; begun if it is not yet."""
        with self._lock:
            future = self._compiled.pop(signature, None)
            if future is None:
                future = in_background(compiled)
            self._compiled[signature] = future
            return future

    def _program(self, name: str, *args: Any) -> Any:
        """The compiled program; of a look, both of its parts."""
        if name not in self._finds:
            return compile_quickly(self._jitted[name].lower(*args))
        seen = self._jitted[name].eval_shape(*args)
        finding = self._once(
            self.signature(f"{name}, find", (seen, None)),  # of photos of several sizes
            lambda: compile_quickly(self._finds[name].lower(seen)),
        )
        see, find = compile_quickly(self._jitted[name].lower(*args)), finding.result()
        return lambda *arrays: find(jax.device_get(see(*arrays)))  # from the host to all devices

    def signature(self, name: str, args: tuple[Any, ...]) -> Any:
        """Calls of equal signatures run the same compiled program."""
        leaves, structure = jax.tree.flatten(args[:-1])
        return name, args[-1], structure, tuple((leaf.shape, leaf.dtype) for leaf in leaves)


def compile_quickly(lowered: Any) -> Any:
    """The compiled program of a jax.stages.Lowered; on CPUs with what makes XLA fast there."""
    if jax.default_backend() == "cpu":
        with contextlib.suppress(jax.errors.JaxRuntimeError):  # an option this XLA does not know
            return lowered.compile(compiler_options=_CPU_COMPILER_OPTIONS)
    return lowered.compile()


def in_thread(function: Callable[[], Any], tick: Callable[[], None]) -> Any:
    """function(), computed in a thread that a second Ctrl-C leaves behind."""
    future = in_background(function)
    while not future.done():
        wait([future], timeout=0.25)
        tick()
    return future.result()


def in_background(function: Callable[[], Any]) -> Future[Any]:
    """function(), begun in a thread that Python waits for at its end.

    A thread that came back from XLA into an interpreter that is gone would end the process with a
    segmentation fault; who cannot wait leaves by os._exit, see `is_busy`.
    """
    future: Future[Any] = Future()

    def work() -> None:
        try:
            future.set_result(function())
        except BaseException as error:
            future.set_exception(error)

    thread = threading.Thread(target=work)
    _threads.add(thread)
    thread.start()
    return future


def is_busy() -> bool:
    """Whether anything still computes or compiles in the background."""
    return any(thread.is_alive() for thread in list(_threads))
