"""A blur of one's own: a lens out of focus, a disc whose radius is the only unknown.

The kernel network is exchanged for one number, the radius; Monte Carlo EM stays as it is.

python examples/defocus_disc.py
"""

import jax
import jax.numpy as jnp
import numpy as np

import dem_jax
from dem_jax import solver


def disc(radius: jax.Array, size: int) -> jax.Array:
    """[1, k, k] disc of a radius in pixels, its edge one pixel soft, so that it has a gradient."""
    place = jnp.arange(size) - size // 2
    distance = jnp.sqrt(place[:, None] ** 2 + place[None] ** 2 + 1e-6)
    kernel = jax.nn.sigmoid(4 * (radius - distance))
    return (kernel / kernel.sum())[None]


def find_radius(
    key: jax.Array, photo: jax.Array, start: float, config: dem_jax.DeblurConfig
) -> tuple[jax.Array, dem_jax.Result]:
    """The radius, and the sharp photo.

    Args:
      key: random key, consumed.
      photo: [H, W, C] in [0, 1].
      start: a first guess of the radius.
      config: kernel_size holds the largest disc; static under jit.
    """
    size = config.kernel_size
    model = dem_jax.mcem.paper_model(config)._replace(
        init_kernels=lambda key, problem: jnp.float32(start),
        kernels=lambda radius, problem: disc(radius, size),
    )
    problem = solver.prepare(key, photo, config, kernels=disc(jnp.float32(start), size))
    state = dem_jax.mcem.init(key, problem, config, model=model)
    for t in range(config.em_iterations):
        step_key = jax.random.fold_in(key, t)
        state, _ = dem_jax.mcem.step(step_key, state, problem, config, model=model)
    return state.theta_k, solver.finish(state, problem, config)


def main(size: int = 128, radius: float = 3.0, start: float = 4.5, **settings) -> float:
    """Blurs a picture by a disc, and comes closer to its radius from a start that is too large.

    A disc too large leaves a residual that drives the radius down; one too small does not, for a
    blurred picture under a small blur explains the photo as well. So no detail beside the network.
    """
    from skimage import data

    settings = {"kernel_size": 11, "m_learning_rate": 0.03, "detail_std": 0.0, **settings}
    config = dem_jax.DeblurConfig(**settings)
    margin = config.kernel_size - 1
    sharp = data.camera()[60 : 60 + size + margin, 180 : 180 + size + margin, None]
    photo = dem_jax.blur.uniform(
        disc(jnp.float32(radius), config.kernel_size), jnp.asarray(sharp, jnp.float32) / 255
    )
    find = jax.jit(find_radius, static_argnums=3)
    found, _ = find(jax.random.key(0), photo, start, config)
    print(f"radius {radius}, started at {start}, found {float(found):.2f}")
    return float(np.asarray(found))


if __name__ == "__main__":
    main()
