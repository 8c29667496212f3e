"""The library's own arithmetic under `jax_numpy_dtype_promotion="strict"`.

Strict promotion is a choice of programs about their own code; what is inside here was written for
the standard one, and mixes integers that count with floats.
"""

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import jax

P = ParamSpec("P")
R = TypeVar("R")


def standard(function: Callable[P, R]) -> Callable[P, R]:
    """`function`, traced and run with JAX's standard promotion whatever the caller has set."""

    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        with jax.numpy_dtype_promotion("standard"):
            return function(*args, **kwargs)

    return run
