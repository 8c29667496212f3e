"""A prior on the kernels of one's own: a lens out of focus, a disc with one unknown, its radius.

python examples/defocus_disc.py
"""

import jax
import jax.numpy as jnp

import dem_jax
from dem_jax import run_keys


def disc(radius: jax.Array, size: int) -> jax.Array:
    """[1, k, k] disc of a radius in pixels, its edge one pixel soft, so that it has a gradient."""
    place = jnp.arange(size) - size // 2
    distance = jnp.sqrt(place[:, None] ** 2 + place[None] ** 2 + 1e-6)
    return dem_jax.blur.unit_sums(jax.nn.sigmoid(4 * (radius - distance))[None])


def discs(start: float, size: int) -> dem_jax.KernelPrior:
    """theta_K is the radius, which the M-step finds by Adam."""
    return dem_jax.KernelPrior(
        init=lambda key, problem: jnp.float32(start),
        kernels=lambda radius, problem: disc(radius, size),
        update=lambda radius, problem, found: found.by_adam(radius, lambda r: disc(r, size)),
    )


def main(size: int = 128, radius: float = 3.0, start: float = 4.5, **settings) -> float:
    """Blurs a picture by a disc, and comes closer to its radius from one that is too large."""
    from skimage import data

    settings = {"kernel_size": 11, "m_learning_rate": 0.03, "detail": False, **settings}
    config = dem_jax.DeblurConfig(**settings)
    k = config.kernel_size
    sharp = data.camera()[60 : 59 + size + k, 180 : 179 + size + k, None] / 255
    photo = dem_jax.blur.uniform(disc(radius, k), jnp.asarray(sharp, jnp.float32))

    method = dem_jax.make_solver(
        model=lambda config: dem_jax.mcem.paper_model(config)._replace(kernels=discs(start, k)),
        kernels=lambda config: disc(start, k),
    )

    @jax.jit
    def find(key):
        prepare_key, init_key = run_keys.of_start(key)
        problem = method.prepare(prepare_key, photo, config)
        state = method.init(init_key, problem, config)
        for t in range(1, config.em_iterations):  # the last iteration has no M-step
            state, _ = method.step(run_keys.of_iteration(key, t), state, problem, config)
        return state.theta_k

    found = float(find(jax.random.key(0)))
    print(f"radius {radius}, started at {start}, found {found:.2f}")
    return found


if __name__ == "__main__":
    main()
