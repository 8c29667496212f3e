"""Posterior samples of the sharp photo, for whatever comes after: here, where an edge lies.

A result's `std` tells of pixels one by one; samples tell of everything at once.

python examples/posterior_samples.py
"""

import jax
import jax.numpy as jnp
import numpy as np

import dem_jax
from dem_jax import run_keys


def draw(
    key: jax.Array, photo: jax.Array, config: dem_jax.DeblurConfig
) -> tuple[jax.Array, dem_jax.mcem.MCEMState]:
    """Latent images [n_s, H, W, C] from the posterior at the kernels that EM has found."""
    run_key, sample_key = jax.random.split(key)
    method = dem_jax.make_solver()
    prepare_key, init_key = run_keys.of_start(run_key)
    problem = method.prepare(prepare_key, photo, config)
    state = method.init(init_key, problem, config)

    def iterate(state, t):
        return method.step(run_keys.of_iteration(run_key, t), state, problem, config)

    state, _ = jax.lax.scan(iterate, state, jnp.arange(1, config.em_iterations + 1))
    _, samples = dem_jax.mcem.e_step(sample_key, state, problem, config)
    half = config.kernel_size // 2
    return samples.latents[:, half:-half, half:-half], state


def main(size: int = 96, **settings) -> np.ndarray:
    """Deblurs a shaken bright square, and asks every sample where its left edge lies."""
    config = dem_jax.DeblurConfig(**{"kernel_size": 11, "samples_per_chain": 16, **settings})
    k = config.kernel_size
    sharp = np.full((size + k - 1,) * 2 + (1,), 0.3, np.float32)
    sharp[size // 3 : -size // 3, size // 3 : -size // 3] = 0.7
    kernel = np.zeros((1, k, k), np.float32)
    kernel[0, k // 2, 2:-2] = 1 / (k - 4)
    photo = dem_jax.blur.uniform(jnp.asarray(kernel), jnp.asarray(sharp))
    noise = 0.01 * jax.random.normal(jax.random.key(1), photo.shape)
    samples, _ = jax.jit(draw, static_argnums=2)(jax.random.key(0), photo + noise, config)
    rows = np.asarray(samples)[:, size // 2, : size // 2, 0]
    edges = np.argmax(np.diff(rows, axis=1), axis=1)
    print(f"left edge at column {edges.mean():.2f} +- {edges.std():.2f} over {len(edges)} samples")
    return np.asarray(samples)


if __name__ == "__main__":
    main()
