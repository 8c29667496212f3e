"""The small problem of `em_problem` and the state before its first iteration."""

import jax
import pytest
from em_problem import CONFIG, make_problem
from tiny import jit

from dem_jax.em import mcem


@pytest.fixture(scope="module")
def problem():
    return make_problem()


@pytest.fixture(scope="module")
def state(problem):
    return jit(mcem.init, static_argnums=2)(jax.random.key(1), problem, CONFIG)
