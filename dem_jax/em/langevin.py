"""Langevin samplers: theta^1, theta^2, ... distributed (nearly) as exp(log_density / temperature).

A sampler is a pair of pure functions, for any pytree of real arrays and any log density:

    state = sampler.init(position)
    state, info = sampler.step(key, state, log_density)       # one gradient, one step

A log density returns its value, or (value, aux); aux is then in `info`. `key` is consumed; give
every step and every chain its own. No step is rejected, so the samples
carry a bias that vanishes with the step size. Step sizes and temperatures are numbers, or
schedules: functions of the number of steps taken (as in optax.schedules).

How the paper's learning rate 0.01 for T_f maps to a step size. It belongs to a loss that is a mean,
L = |g - A(K) f|^2 / N with N = H W C, whereas the log posterior is log p = -N L / (2 s^2) + ...
with noise standard deviation s: its gradient is N / (2 s^2) times larger (3e8 for 256x256 grey
pixels and s = 0.01). So a plain gradient step of 0.01 on L is

    sgld(step_size=0.01 * 2 * s**2 / N)                    on log p, or equally
    sgld(step_size=0.01, temperature=2 * s**2 / N)         on -L.

Plain sgld at 0.01 on the unscaled log posterior diverges: a step is stable only below 2 / (largest
curvature of -log p). `psgld` divides by the gradient's own size and thus takes 0.01 as it is,
on log p; its noise still needs the true scale of log p, or the matching temperature.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.flatten_util import ravel_pytree

from dem_jax.config import require
from dem_jax.types import LogDensity, PyTree

ScalarOrSchedule = float | jax.Array | Callable[[jax.Array], jax.Array | float]


class Info(NamedTuple):
    """What one step reports, all of it at the position before the step."""

    log_density: jax.Array  # []
    gradient_norm: jax.Array  # [] Euclidean norm of the log density's gradient, over all leaves
    aux: Any  # what the log density returned beside its value, or None


class Sampler(NamedTuple):
    """A pair of pure functions; the state has at least the fields `position` and `steps`."""

    init: Callable[[PyTree], Any]  # position -> state
    step: Callable[[jax.Array, Any, LogDensity], tuple[Any, Info]]


class SGLDState(NamedTuple):
    """Where a chain of `sgld` stands."""

    position: PyTree
    steps: jax.Array  # [] int32, steps taken


class PSGLDState(NamedTuple):
    """Where a chain of `psgld` stands."""

    position: PyTree
    steps: jax.Array  # [] int32, steps taken
    second_moment: jax.Array  # [N] average of squared gradients, float32 at least


class NoisyAdamState(NamedTuple):
    """Where a chain of `noisy_adam` stands."""

    position: PyTree
    steps: jax.Array  # [] int32, steps taken
    moments: Any  # optax's Adam state of the raveled position, float32 at least


def sgld(step_size: ScalarOrSchedule, *, temperature: ScalarOrSchedule = 1.0) -> Sampler:
    """Stochastic gradient Langevin dynamics, the paper's eq. (4).

        theta <- theta + a grad log p(theta) + sqrt(2 a T) w,    w ~ N(0, I)

    On a Gaussian with precision L it samples covariance T (L (I - a L / 2))^-1, for a < 2 / max L.

    Args:
        step_size: a > 0, in units of theta^2 per unit of log density (see the module).
        temperature: T >= 0; 1 samples p, 0 is gradient ascent.

    Raises:
        ValueError: a step size or temperature out of range.

    Source: Li et al., CVPR 2023, eq. (4); Welling and Teh, ICML 2011 (whose epsilon is 2 a).

    >>> sampler = sgld(0.1, temperature=0.0)  # without noise: uphill to the most likely place
    >>> state = sampler.init(jnp.float32(1.0))
    >>> for t in range(100):
    ...     state, info = sampler.step(jax.random.key(t), state, lambda x: -0.5 * (x - 3) ** 2)
    >>> round(float(state.position), 2)
    3.0
    """
    _check(step_size, temperature)

    def init(position: PyTree) -> SGLDState:
        return SGLDState(position, jnp.zeros((), jnp.int32))

    def step(key: jax.Array, state: SGLDState, log_density: LogDensity) -> tuple[SGLDState, Info]:
        gradient, info = _gradient(log_density, state.position)
        alpha = _at(step_size, state.steps)
        spread = jnp.sqrt(2 * alpha * _at(temperature, state.steps))
        change = alpha * gradient + spread * _noise(key, gradient)
        return SGLDState(_move(state.position, change), state.steps + 1), info

    return Sampler(init, step)


def psgld(
    step_size: ScalarOrSchedule,
    *,
    temperature: ScalarOrSchedule = 1.0,
    decay: float = 0.99,
    epsilon: float = 1e-5,
) -> Sampler:
    """SGLD preconditioned by the gradient's own size, as in RMSprop.

        v <- d v + (1 - d) g^2,    G = 1 / (sqrt(v) + epsilon),    g = grad log p(theta)
        theta <- theta + a (G g + T Gamma) + sqrt(2 a T G) w,    w ~ N(0, I)

    Gamma_i = dG_i / dtheta_i is left out, as Li et al. do in practice: it needs second derivatives,
    and v holds only a share 1 - d of the present gradient, so it is of order 1 - d; the
    bias that this leaves vanishes as d -> 1. d = min(decay, t / (t + 1)) at step t: v is the
    plain mean of the first 1 / (1 - decay) squared gradients and exponential after that, so the
    first steps are no larger than later ones. decay = 1 keeps the mean over all steps.

    Any G > 0 is a valid preconditioner; epsilon only bounds it. Where the log density does not
    depend on theta at all, each step adds noise of standard deviation sqrt(2 a T / epsilon).

    Args:
        step_size: a > 0, in units of theta: a step moves every parameter by about a.
        temperature: T >= 0; 1 samples p, 0 is RMSprop.
        decay: of the squared gradients' average, in (0, 1].
        epsilon: > 0, in units of the gradient of the log density.

    Raises:
        ValueError: an argument out of range.

    Source: Li, Chen, Carlson, Carin: Preconditioned stochastic gradient Langevin dynamics for deep
    neural networks, AAAI 2016, Algorithm 1 (whose epsilon_t is 2 a, and lambda is epsilon).

    >>> sampler = psgld(0.1, temperature=0.0)
    >>> state = sampler.init({"x": jnp.zeros(2)})
    >>> state, info = sampler.step(jax.random.key(0), state, lambda p: 5 * p["x"].sum())
    >>> [round(float(x), 2) for x in state.position["x"]]  # whatever the scale
    [0.1, 0.1]
    """
    _check(step_size, temperature)
    require(0 < decay <= 1, f"decay={decay} must be in (0, 1].")
    require(epsilon > 0, f"epsilon={epsilon} must be positive.")

    def init(position: PyTree) -> PSGLDState:
        return PSGLDState(position, jnp.zeros((), jnp.int32), jnp.zeros_like(_ravel(position)))

    def step(key: jax.Array, state: PSGLDState, log_density: LogDensity) -> tuple[PSGLDState, Info]:
        gradient, info = _gradient(log_density, state.position)
        alpha = _at(step_size, state.steps)
        heat = _at(temperature, state.steps)
        kept = jnp.minimum(decay, state.steps / (state.steps + 1))
        second_moment = kept * state.second_moment + (1 - kept) * gradient**2
        precondition = 1 / (jnp.sqrt(second_moment) + epsilon)
        spread = jnp.sqrt(2 * alpha * heat * precondition)
        change = alpha * precondition * gradient + spread * _noise(key, gradient)
        position = _move(state.position, change)
        return PSGLDState(position, state.steps + 1, second_moment), info

    return Sampler(init, step)


def noisy_adam(
    learning_rate: ScalarOrSchedule,
    *,
    noise_scale: ScalarOrSchedule = 0.2,
    b1: float = 0.9,
    b2: float = 0.999,
    epsilon: float = 1e-8,
) -> Sampler:
    """An Adam step, then Gaussian noise on convolution weights (leaves of four axes) alone.

        theta <- theta + a Adam(grad log p(theta)) + a noise_scale w,    w ~ N(0, I)

    This is what the paper's authors' public code for other inverse problems calls preconditioned
    Langevin. It samples no stated distribution: momentum and the preconditioner do not enter the
    noise, and the scale of log p, that is the noise level of the photo, does not matter.

    Args:
        learning_rate: a > 0, in units of theta; 0.01 in the paper.
        noise_scale: >= 0, standard deviation of the noise over the learning rate.
        b1: decay of the gradients' average.
        b2: decay of the squared gradients' average.
        epsilon: added to the root of the latter, in units of the gradient.

    Raises:
        ValueError: a learning rate or noise scale out of range.

    Source: the repositories of Ji Li (ASGLD_PR), which add noise to 4-D parameters after
    torch.optim.Adam; Kingma and Ba, ICLR 2015.

    >>> sampler = noisy_adam(0.01, noise_scale=0.0)
    >>> state = sampler.init(jnp.zeros(()))
    >>> state, info = sampler.step(jax.random.key(0), state, lambda x: 100 * x)
    >>> round(float(state.position), 3)
    0.01
    """
    _check(learning_rate, noise_scale, ("learning_rate", "noise_scale"))
    adam = optax.scale_by_adam(b1=b1, b2=b2, eps=epsilon)

    def init(position: PyTree) -> NoisyAdamState:
        return NoisyAdamState(position, jnp.zeros((), jnp.int32), adam.init(_ravel(position)))

    def step(
        key: jax.Array, state: NoisyAdamState, log_density: LogDensity
    ) -> tuple[NoisyAdamState, Info]:
        gradient, info = _gradient(log_density, state.position)
        direction, moments = adam.update(gradient, state.moments)
        alpha = _at(learning_rate, state.steps)
        noisy = _ravel(jax.tree.map(lambda x: jnp.full_like(x, x.ndim == 4), state.position))
        noise = _at(noise_scale, state.steps) * noisy * _noise(key, gradient)
        position = _move(state.position, alpha * (direction + noise))
        return NoisyAdamState(position, state.steps + 1, moments), info

    return Sampler(init, step)


def _check(
    step_size: ScalarOrSchedule,
    temperature: ScalarOrSchedule,
    names: tuple[str, str] = ("step_size", "temperature"),
) -> None:
    """Numbers are checked; schedules and traced values cannot be."""
    if isinstance(step_size, float | int):
        require(step_size > 0, f"{names[0]}={step_size} must be positive.")
    if isinstance(temperature, float | int):
        require(temperature >= 0, f"{names[1]}={temperature} must be zero or positive.")


def _at(value: ScalarOrSchedule, steps: jax.Array) -> jax.Array | float:
    return value(steps) if callable(value) else value


def _gradient(log_density: LogDensity, position: PyTree) -> tuple[jax.Array, Info]:
    """The gradient as one vector, and the step's report."""

    def with_aux(position: PyTree) -> tuple[jax.Array, Any]:
        found = log_density(position)
        return found if isinstance(found, tuple) else (found, None)

    (value, aux), gradient = jax.value_and_grad(with_aux, has_aux=True)(position)
    gradient = _ravel(gradient)
    return gradient, Info(value, jnp.linalg.norm(gradient), aux)


def _noise(key: jax.Array, like: jax.Array) -> jax.Array:
    return jax.random.normal(key, like.shape, like.dtype)


def _ravel(tree: PyTree) -> jax.Array:
    """All leaves as one vector, so that a step is a few operations, not a few for every leaf.

    Those compile slowly. In float32 at least, as small steps and squares vanish in half precision.
    """
    return ravel_pytree(_wide(tree))[0]


def _move(position: PyTree, change: jax.Array) -> PyTree:
    """The position, changed by a vector [N]; its leaves keep their types."""
    vector, unravel = ravel_pytree(_wide(position))
    return jax.tree.map(lambda x, old: x.astype(old.dtype), unravel(vector + change), position)


def _wide(tree: PyTree) -> PyTree:
    return jax.tree.map(lambda x: x.astype(jnp.promote_types(x.dtype, jnp.float32)), tree)
