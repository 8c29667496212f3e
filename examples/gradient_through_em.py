"""Differentiating through a whole EM iteration: how the kernel depends on the noise level assumed.

Everything in `mcem.step` has derivatives, so hyper-parameters can be learned by gradient descent.

python examples/gradient_through_em.py
"""

import jax
import jax.numpy as jnp

import dem_jax
from dem_jax.start.problem import prepare


def kernel_error(
    noise_std: jax.Array,
    key: jax.Array,
    problem: dem_jax.Problem,
    truth: jax.Array,
    config: dem_jax.DeblurConfig,
) -> jax.Array:
    """Squared error of the kernel [1, k, k] after one EM iteration at that noise level."""
    init_key, step_key = jax.random.split(key)
    state = dem_jax.mcem.init(init_key, problem, config)._replace(noise_std=noise_std)
    state, _ = dem_jax.mcem.step(step_key, state, problem, config)
    return jnp.sum((state.kernels - truth) ** 2)


def main(size: int = 64, **settings):
    """Prints the error and its derivative, that of automatic differentiation."""
    from skimage import data

    settings = {
        **{"kernel_size": 7, "em_iterations": 1, "burn_in": 10, "samples_per_chain": 2},
        **{"thinning": 2, "m_steps": 20, "m_learning_rate": 1e-3, "detail_iterations": 10},
        **settings,
    }
    config = dem_jax.DeblurConfig(**settings)
    k = config.kernel_size
    truth = jnp.zeros((1, k, k)).at[0, k // 2, 1:-1].set(1 / (k - 2))
    sharp = data.camera()[60 : 60 + size + k - 1, 180 : 180 + size + k - 1, None] / 255
    photo = dem_jax.blur.uniform(truth, jnp.asarray(sharp, jnp.float32))
    problem = jax.jit(prepare, static_argnums=2)(jax.random.key(1), photo, config)

    evaluate = jax.jit(jax.value_and_grad(kernel_error), static_argnums=4)
    value, slope = evaluate(jnp.float32(0.02), jax.random.key(0), problem, truth, config)
    print(f"error of the kernel {value:.5f}, its derivative by the noise level {slope:.5f}")
    return evaluate, (jax.random.key(0), problem, truth, config)


if __name__ == "__main__":
    main()
