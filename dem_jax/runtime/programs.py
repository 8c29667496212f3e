"""The solver's pure functions, compiled once per shape and configuration."""

import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax


class Solver(NamedTuple):
    """The pure functions that deblur; tests and other methods may give their own."""

    prepare: Callable[..., Any]  # (key, photo [H, W, C], config) -> Problem
    init: Callable[..., Any]  # (key, problem, config) -> state
    step: Callable[..., Any]  # (key, state, problem, config) -> (state, EMInfo)
    finish: Callable[..., Any]  # (state, problem, config) -> Result


def default_solver() -> Solver:
    """Monte Carlo EM, as in the paper."""
    from dem_jax.inference import deblur, mcem

    return Solver(deblur.prepare, mcem.init, mcem.step, deblur.finish)


class Programs:
    """The solver's functions, each compiled once per shape and configuration."""

    def __init__(self, solver: Solver) -> None:
        self._jitted = {
            "prepare": jax.jit(solver.prepare, static_argnums=2),
            "init": jax.jit(solver.init, static_argnums=2),
            "step": jax.jit(solver.step, static_argnums=3, donate_argnums=1),
            "finish": jax.jit(solver.finish, static_argnums=2),
        }
        self._compiled: dict[Any, Any] = {}
        self.compile_seconds = 0.0

    def is_compiled(self, name: str, *args: Any) -> bool:
        """Whether `name` can run on `args`, whose last is the configuration, without compiling."""
        return self._signature(name, args) in self._compiled

    def compile(self, name: str, *args: Any) -> None:
        """Compiles `name` for arguments like `args`."""
        started = time.monotonic()
        self._compiled[self._signature(name, args)] = self._jitted[name].lower(*args).compile()
        self.compile_seconds += time.monotonic() - started

    def __call__(self, name: str, *args: Any) -> Any:
        """Runs `name` on `args` and waits for its result."""
        return jax.block_until_ready(self._compiled[self._signature(name, args)](*args[:-1]))

    def _signature(self, name: str, args: tuple[Any, ...]) -> Any:
        leaves, structure = jax.tree.flatten(args[:-1])
        return name, args[-1], structure, tuple(jax.typeof(leaf) for leaf in leaves)


def in_thread(function: Callable[[], Any], tick: Callable[[], None]) -> Any:
    """function(), computed in a thread that a second Ctrl-C leaves behind."""
    outcome: dict[str, Any] = {}

    def work() -> None:
        try:
            outcome["value"] = function()
        except BaseException as error:
            outcome["error"] = error

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(timeout=0.25)
        tick()
    if "error" in outcome:
        raise outcome["error"]
    return outcome["value"]
