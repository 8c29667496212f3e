"""The paper's model of a photo: T_f, T_K and filter flow, as one exchangeable `Model`."""

import functools

import jax
import jax.numpy as jnp

from dem_jax.config import DeblurConfig
from dem_jax.model import blur, image_network, kernel_network
from dem_jax.types import Model, Problem, PyTree


def paper_model(config: DeblurConfig) -> Model:
    """T_f, T_K and filter flow, as `config` describes them.

    Exchange any of them: `paper_model(config)._replace(blur=...)`, given as `model` to `init`,
    `step` and the others.

    >>> model = paper_model(DeblurConfig(patch_grid=(2, 3)))
    >>> model.blur(jnp.full((6, 5, 5), 1 / 25), jnp.ones((34, 44, 3))).shape
    (30, 40, 3)
    >>> twice_as_bright = model._replace(blur=lambda kernels, f: 2 * model.blur(kernels, f))
    """

    def init_image(key: jax.Array, problem: Problem) -> PyTree:
        channels = problem.photo.shape[-1]
        return image_network.init(
            key, problem.image_input, out_channels=channels, config=config.image_network
        )

    def image(theta_f: PyTree, problem: Problem, dropout_key: jax.Array | None) -> jax.Array:
        return image_network.apply(
            theta_f, problem.image_input, config=config.image_network, dropout_key=dropout_key
        )

    def init_kernels(key: jax.Array, problem: Problem) -> PyTree:
        return kernel_network.init(
            key,
            problem.kernel_input,
            num_kernels=problem.start_kernels.shape[0],
            config=config.kernel_network,
            zero_logits=config.warm_start,
        )

    operator = blur.blur_operator(config.patch_grid)
    if config.kernels == "free":
        # theta_K are the kernels themselves.
        return Model(
            init_image, image, lambda _, problem: problem.start_kernels, lambda k, _: k, operator
        )
    kernels = functools.partial(kernel_set, config=config)
    return Model(init_image, image, init_kernels, kernels, operator)


def kernel_set(theta_k: PyTree, problem: Problem, config: DeblurConfig) -> jax.Array:
    """K = T_K(theta_K, z~) as a correction of the start's kernels, [P, k, k].

    >>> config = DeblurConfig(kernel_size=5)
    >>> kernels = jax.random.dirichlet(jax.random.key(0), jnp.ones(25), (1,)).reshape(1, 5, 5)
    >>> problem = Problem(None, None, None, jnp.ones((32, 32, 8)), None, kernels, None, None)
    >>> draw = paper_model(config).init_kernels
    >>> theta_k = jax.eval_shape(lambda key: draw(key, problem), jax.random.key(1))
    >>> jax.eval_shape(lambda t: kernel_set(t, problem, config), theta_k).shape
    (1, 5, 5)
    """
    return kernel_network.apply(
        theta_k,
        problem.kernel_input,
        kernel_size=config.kernel_size,
        config=config.kernel_network,
        logit_offset=jnp.log(problem.start_kernels),
    )
