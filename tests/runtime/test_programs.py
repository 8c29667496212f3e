"""How the solver's programs are compiled."""

import gc
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dem_jax.runtime import programs
from dem_jax.solver import Solver
from dem_jax.start.look import Look


def function(key, x, scale):
    """Elementwise work, a convolution and a reduction, as XLA fuses them."""
    kernel = jnp.hanning(7)[1:-1]
    smooth = jax.vmap(lambda row: jnp.convolve(row, kernel / kernel.sum(), mode="same"))(x)
    noise = jax.random.normal(key, x.shape)
    return jnp.tanh(scale * smooth + 0.1 * noise) / (1 + jnp.square(smooth).mean(1, keepdims=True))


KEY = jax.random.key(0)
X = np.random.default_rng(0).normal(size=(24, 32)).astype(np.float32)
SOLVER = Solver(function, function, lambda *args: args[1:3], lambda *args: args[0])


class Lowered:
    """Stands for a lowered program, and tells the options it was compiled with."""

    def compile(self, compiler_options=None):
        return compiler_options


def test_compiling_quickly_changes_rounding_at_most():
    usual = jax.jit(function, static_argnums=2)(KEY, X, 2.0)
    np.testing.assert_allclose(
        programs.Programs(SOLVER)("prepare", KEY, X, 2.0), usual, rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize(
    "options", [{"xla_no_such_option": 1}, {"xla_backend_optimization_level": "much"}]
)
def test_options_that_xla_does_not_take_are_left_out(monkeypatch, options):
    with pytest.raises(jax.errors.JaxRuntimeError):
        jax.jit(function, static_argnums=2).lower(KEY, X, 2.0).compile(options)
    monkeypatch.setattr(programs, "_CPU_COMPILER_OPTIONS", options)
    usual = jax.jit(function, static_argnums=2)(KEY, X, 2.0)
    np.testing.assert_array_equal(programs.Programs(SOLVER)("prepare", KEY, X, 2.0), usual)


@pytest.mark.parametrize("platform", ["cpu", "gpu", "tpu"])
def test_only_cpus_have_options_of_their_own(monkeypatch, platform):
    monkeypatch.setattr(jax, "default_backend", lambda: platform)
    assert (programs.compile_quickly(Lowered()) is not None) == (platform == "cpu")


def test_a_program_that_does_not_compile_says_why(monkeypatch):
    def fail(self, compiler_options=None):
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: too large")

    monkeypatch.setattr(Lowered, "compile", fail)
    with pytest.raises(jax.errors.JaxRuntimeError, match="RESOURCE_EXHAUSTED"):
        programs.compile_quickly(Lowered())


def test_programs_that_were_not_used_for_long_are_dropped_and_made_again(monkeypatch):
    monkeypatch.setattr(programs, "_MOST_KEPT", 4)
    own = programs.Programs(SOLVER)
    scales = [1.0, 2.0, 3.0, 4.0, 5.0]
    first = [own("prepare", KEY, X, scale) for scale in scales]
    own("prepare", KEY, X, 1.0)  # used again
    own.forget()
    kept = [own.is_compiled("prepare", KEY, X, scale) for scale in scales]
    assert kept == [True, False, False, False, True]
    again = [own("prepare", KEY, X, scale) for scale in scales]
    np.testing.assert_array_equal(again, first)


@pytest.mark.skipif(not pathlib.Path("/proc/self/maps").exists(), reason="counts Linux's maps")
def test_dropped_programs_leave_the_process(monkeypatch):
    def maps():
        gc.collect()
        return len(pathlib.Path("/proc/self/maps").read_text().splitlines())

    monkeypatch.setattr(programs, "_MOST_KEPT", 1)
    own = programs.Programs(SOLVER)
    own("prepare", KEY, X, 1.0)
    before = maps()
    for scale in range(2, 12):
        own("prepare", KEY, X, float(scale))
    many = maps()
    own.forget()
    assert maps() - before < (many - before) / 2


def test_what_looks_find_is_compiled_once_for_photos_of_several_sizes(monkeypatch):
    """The second part is shared where what is seen has one shape; the first has the photo's."""
    look = Look(lambda photo, scale: scale * photo[:20, :30], lambda seen: jnp.linalg.norm(seen))
    own = programs.Programs(SOLVER._replace(overview=look))
    lowered = []
    monkeypatch.setattr(
        programs,
        "compile_quickly",
        lambda program: lowered.append(program.in_avals[0][0]) or program.compile(),
    )
    for rows in (24, 22):
        found = own("overview", X[:rows], 2.0)
        np.testing.assert_allclose(found, 2 * np.linalg.norm(X[:20, :30]), rtol=1e-6)
        assert own.is_compiled("overview", X[:rows], 2.0)
    assert sorted(aval.shape for aval in lowered) == [(20, 30), (22, 32), (24, 32)]
