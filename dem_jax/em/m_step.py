"""The M-step: the kernels that explain the photo best, given images of the E-step.

    theta_K^t = argmax (1/n_s) sum_i log p(g | theta_f^i; theta_K)                    (2), (3)

What theta_K is, the prior on the kernels says (`model.kernel_priors`), and it chooses one of the
two ways to the maximum that `Evidence` offers. Numbers are the paper's equations; the example's
`problem`, `state` and `config` are those of `mcem`.

Source: Li, Wang, Nan, Ji: Self-supervised Blind Motion Deblurring with Deep Expectation
Maximization, CVPR 2023.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import lax
from jax.flatten_util import ravel_pytree

from dem_jax.config import DeblurConfig
from dem_jax.model import blur
from dem_jax.model.paper_model import paper_model
from dem_jax.solve import least_squares
from dem_jax.types import Model, Problem, PyTree

Average = Callable[[jax.Array], jax.Array]


class Evidence(NamedTuple):
    """Q of eq. (3), what the images tell of the kernels: blurred by them, they are the photo."""

    blurred: Callable[[jax.Array], jax.Array]  # kernels [P, k, k] -> [n, H, W, C], linear
    photo: jax.Array  # [H, W, C]
    weight: jax.Array  # [H, W, 1], over the number of values
    average: Average  # over the members that hold a share of the samples each
    steps: int
    learning_rate: float

    def by_adam(self, theta: PyTree, kernels: Callable[[PyTree], jax.Array]) -> PyTree:
        """The theta whose kernels(theta) [P, k, k] leave less over, by Adam from `theta` on."""
        # As one vector, the weights are quick to compile for, where sixty leaves are slow.
        vector, unravel = ravel_pytree(theta)
        # eps_root: a weight without gradient must not make the derivative of the root infinite.
        adam = optax.adam(self.learning_rate, eps_root=1e-16)

        def energy(vector):
            residuals = self.photo[None] - self.blurred(kernels(unravel(vector)))
            return jnp.sum(self.weight * jnp.mean(residuals**2, 0))

        def descend(carry, _):
            vector, moments = carry
            updates, moments = adam.update(self.average(jax.grad(energy)(vector)), moments)
            return (vector + updates, moments), None

        start = (vector, adam.init(vector))
        return unravel(lax.scan(descend, start, length=self.steps)[0][0])

    def by_least_squares(self, kernels: jax.Array) -> jax.Array:
        """The non-negative kernels [P, k, k] of sum one that leave least over."""
        transpose = jax.linear_transpose(self.blurred, kernels)

        def back(photos: jax.Array) -> jax.Array:
            weighted = self.weight[None] * photos / photos.shape[0]
            return self.average(transpose(weighted)[0])

        def normal(kernels: jax.Array) -> jax.Array:
            return back(self.blurred(kernels))

        shape = jax.eval_shape(self.blurred, kernels).shape
        right = back(jnp.broadcast_to(self.photo, shape))
        found = least_squares.non_negative_least_squares(
            normal,
            right,
            kernels,
            steepness=least_squares.steepness(normal, right),
            iterations=self.steps,
        )
        return blur.unit_sums(found)


def m_step(
    theta_k: PyTree,
    images: jax.Array,
    problem: Problem,
    config: DeblurConfig,
    *,
    model: Model | None = None,
    average: Average = lambda x: x,
) -> PyTree:
    """theta_K^t = argmax (1/n_s) sum_i log p(g | theta_f^i; theta_K), eqs (2) and (3).

    Args:
      theta_k: theta_K^{t-1}.
      images: f^i, [n, H+k-1, W+k-1, C]. The detail beside T_f was drawn given the present kernels
        and explains what they leave over: with all of it the kernels hardly move, without it they
        become too concentrated where the picture is full of texture.
      problem: the photo and what stays fixed.
      config: m_steps and m_learning_rate.
      model: its kernels and blur are used, the blur being linear in the kernels; None: the paper's.
      average: mean over members that hold a share of the samples each; it is all they exchange.

    Returns:
      theta_K^t; theta_K^{t-1} where the kernels are known.

    >>> images = jax.ShapeDtypeStruct((6, 36, 44, 3), jnp.float32)
    >>> theta_k = state.theta_k
    >>> new = jax.eval_shape(lambda t, f, p: m_step(t, f, p, config), theta_k, images, problem)
    >>> jax.tree.structure(new) == jax.tree.structure(theta_k)
    True
    """
    model = model or paper_model(config)
    if model.kernels.update is None:
        return theta_k
    weight = problem.weight[..., None]
    count = jnp.maximum(jnp.sum(weight) * problem.photo.shape[-1], 1)

    # The blur is linear in the kernels: linearised here, it transforms every image once, not in
    # every step.
    def blurred(kernels: jax.Array) -> jax.Array:
        return jax.vmap(lambda f: model.blur(kernels, f))(images)

    _, blurred = jax.linearize(blurred, problem.start_kernels)
    evidence = Evidence(
        blurred, problem.photo, weight / count, average, config.m_steps, config.m_learning_rate
    )
    return model.kernels.update(theta_k, problem, evidence)
