"""A sampler of one's own: Langevin steps with momentum, for theta_f of whatever network there is.

A sampler is one object, a pair of pure functions; every E-step uses it.

python examples/own_sampler.py photo.jpg sharp.png
"""

import sys
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

import dem_jax
from dem_jax.runtime.files import images, writing


class State(NamedTuple):
    """Where a chain stands."""

    position: Any
    steps: jax.Array
    momentum: Any


def with_momentum(step_size: float, noise: float, decay: float = 0.9) -> dem_jax.langevin.Sampler:
    """M <- decay m + g / |g|, theta <- theta + step_size m + noise w, with w ~ N(0, I)."""

    def init(position):
        return State(position, jnp.zeros((), jnp.int32), jax.tree.map(jnp.zeros_like, position))

    def step(key, state, log_density):
        (value, aux), slope = jax.value_and_grad(log_density, has_aux=True)(state.position)
        size = optax.tree.norm(slope) + 1e-6
        momentum = jax.tree.map(lambda m, g: decay * m + g / size, state.momentum, slope)
        draws = optax.tree.random_like(key, state.position, jax.random.normal)
        position = jax.tree.map(
            lambda x, m, w: x + step_size * m + noise * w, state.position, momentum, draws
        )
        info = dem_jax.langevin.Info(value, size, aux)
        return State(position, state.steps + 1, momentum), info

    return dem_jax.langevin.Sampler(init, step)


def main(source: str, target: str, **settings) -> dem_jax.Result:
    """Deblurs one file by chains of it."""
    photo, config = images.read_photo(source), dem_jax.DeblurConfig(**settings)
    sampler = with_momentum(step_size=0.2, noise=1e-4)
    deblur = jax.jit(lambda key, photo: dem_jax.deblur(key, photo, config, sampler=sampler))
    result = deblur(jax.random.key(0), photo.pixels)
    writing.write_photo(target, result.latent, like=photo)
    return result


if __name__ == "__main__":
    main(*sys.argv[1:3])
