"""The paper's model of a photo: T_f, a prior on the kernels, and filter flow."""

import jax

from dem_jax.config import DeblurConfig
from dem_jax.model import blur, image_network, kernel_priors
from dem_jax.types import ImagePrior, Model, Problem, PyTree


def paper_model(config: DeblurConfig) -> Model:
    """T_f, T_K (or another prior that `config.kernels` names) and filter flow.

    Exchange any of them, and every stage follows: `paper_model(config)._replace(blur=...)`, given
    as `model` to `deblur`, to `make_solver` or to the functions of `mcem`.

    >>> import jax.numpy as jnp
    >>> model = paper_model(DeblurConfig(patch_grid=(2, 3)))
    >>> model.blur(jnp.full((6, 5, 5), 1 / 25), jnp.ones((34, 44, 3))).shape
    (30, 40, 3)
    >>> twice_as_bright = model._replace(blur=lambda kernels, f: 2 * model.blur(kernels, f))
    """
    return Model(
        deep_image_prior(config), kernel_priors.named(config), blur.blur_operator(config.patch_grid)
    )


def deep_image_prior(config: DeblurConfig) -> ImagePrior:
    """T_f with weights theta_f: the untrained U-Net of `image_network`.

    >>> deep_image_prior(DeblurConfig())._fields
    ('init', 'image')
    """
    network = config.image_network

    def init(key: jax.Array, problem: Problem) -> PyTree:
        channels = problem.photo.shape[-1]
        return image_network.init(key, problem.image_input, out_channels=channels, config=network)

    def image(theta_f: PyTree, problem: Problem) -> jax.Array:
        return image_network.apply(theta_f, problem.image_input, config=network)

    return ImagePrior(init, image)
