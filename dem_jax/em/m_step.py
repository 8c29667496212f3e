"""The M-step: the kernels that explain the photo best, given images of the E-step.

    theta_K^t = argmax (1/n_s) sum_i log p(g | theta_f^i; theta_K)                    (2), (3)

Either theta_K are the weights of T_K, whose shared trunk is the paper's prior on the kernels, or
they are the kernels themselves. Numbers are the paper's equations; the example's `problem`, `state`
and `config` are those of `mcem`.

Source: Li, Wang, Nan, Ji: Self-supervised Blind Motion Deblurring with Deep Expectation
Maximization, CVPR 2023. Weak edges left out: Cho and Lee: Fast motion deblurring, 2009; Xu and Jia:
Two-phase kernel estimation for robust motion deblurring, ECCV 2010.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax
from jax import lax
from jax.flatten_util import ravel_pytree

from dem_jax.config import DeblurConfig
from dem_jax.model import blur, likelihood
from dem_jax.model.paper_model import paper_model
from dem_jax.solve import least_squares
from dem_jax.types import Model, Problem, PyTree

_STRONG = 0.9  # quantile: where an image has few differences of m_edge, a tenth of them counts


def m_step(
    theta_k: PyTree,
    images: jax.Array,
    problem: Problem,
    config: DeblurConfig,
    *,
    model: Model | None = None,
    axis_name: str | None = None,
) -> PyTree:
    """theta_K^t = argmax (1/n_s) sum_i log p(g | theta_f^i; theta_K), eqs (2) and (3).

    By Adam on T_K's weights; with `config.kernels` "free", theta_K are the kernels themselves and
    the maximum, that of a quadratic over non-negative kernels, is found by least squares.

    Args:
      theta_k: theta_K^{t-1}.
      images: f^i, [n, H+k-1, W+k-1, C]. The detail beside T_f was drawn given the present kernels
        and explains what they leave over: with all of it (`config.m_detail`) the kernels hardly
        move, without it they become too concentrated where the picture is full of texture.
      problem: the photo and what stays fixed.
      config: kernels, m_steps, m_learning_rate, and m_domain: the likelihood is taken on the photo
        or on its derivatives, where the images have some of at least m_edge.
      model: its kernels and blur are used, the blur being linear in the kernels; None: the paper's.
      axis_name: mapped axis whose members hold a share of the samples each; Adam then descends
        along the mean of their gradients, the only thing that they exchange.

    Returns:
      theta_K^t.

    >>> images = jax.ShapeDtypeStruct((6, 36, 44, 3), jnp.float32)
    >>> theta_k = state.theta_k
    >>> new = jax.eval_shape(lambda t, f, p: m_step(t, f, p, config), theta_k, images, problem)
    >>> jax.tree.structure(new) == jax.tree.structure(theta_k)
    True
    """
    model = model or paper_model(config)
    observed, images, weight = _m_domain(images, problem, config)
    count = jnp.maximum(jnp.sum(weight) * problem.photo.shape[-1], 1)

    # The blur is linear in the kernels: linearised here, it transforms every image once, not in
    # every step.
    def blurred(kernels: jax.Array) -> jax.Array:
        return jax.vmap(jax.vmap(lambda f: model.blur(kernels, f)))(images)

    _, blurred = jax.linearize(blurred, problem.start_kernels)
    if config.kernels == "free":
        return _least_squares(theta_k, blurred, observed, weight / count, config, axis_name)

    # As one vector, the weights are quick to compile for, where sixty leaves are slow.
    vector, unravel = ravel_pytree(theta_k)
    # eps_root: a weight without gradient must not make the derivative of the root infinite.
    adam = optax.adam(config.m_learning_rate, eps_root=1e-16)

    def energy(vector):
        residuals = observed[None] - blurred(model.kernels(unravel(vector), problem))
        return jnp.sum(weight[None] * jnp.mean(residuals**2, 0)) / count

    def descend(carry, _):
        vector, moments = carry
        gradient = axis_mean(jax.grad(energy)(vector), axis_name)
        updates, moments = adam.update(gradient, moments)
        return (vector + updates, moments), None

    start = (vector, adam.init(vector))
    return unravel(lax.scan(descend, start, length=config.m_steps)[0][0])


def _m_domain(
    images: jax.Array, problem: Problem, config: DeblurConfig
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """What the M-step compares: of the photo [D, h, w, C], of the images [n, D, ...], [h, w, 1].

    On derivatives, an image's weak ones are left out: they are texture, which T_f has adapted to
    the present kernels, while its strong edges have not moved (Cho and Lee 2009; Xu and Jia 2010).
    """
    weight = problem.weight[..., None]
    if config.m_domain == "photo":
        return problem.photo[None], images[:, None], weight
    edges = jax.vmap(likelihood.derivatives)(images)
    strength = jnp.sqrt(jnp.sum(edges**2, (1, -1), keepdims=True))
    least = jnp.minimum(config.m_edge, jnp.quantile(strength, _STRONG))
    edges = jnp.where(strength >= least, edges, 0)
    weight = weight[1:, 1:] * weight[:-1, :-1] * weight[1:, :-1] * weight[:-1, 1:]
    return likelihood.derivatives(problem.photo), edges, weight


def _least_squares(
    kernels: jax.Array,
    blurred: Callable[[jax.Array], jax.Array],
    observed: jax.Array,
    weight: jax.Array,
    config: DeblurConfig,
    axis_name: str | None,
) -> jax.Array:
    """The non-negative kernels of sum one, free of T_K, that explain what is observed best."""
    transpose = jax.linear_transpose(blurred, kernels)

    def back(photos: jax.Array) -> jax.Array:
        return axis_mean(transpose(weight[None, None] * photos / photos.shape[0])[0], axis_name)

    def normal(kernels: jax.Array) -> jax.Array:
        return back(blurred(kernels))

    right = back(jnp.broadcast_to(observed, jax.eval_shape(blurred, kernels).shape))
    found = least_squares.non_negative_least_squares(
        normal,
        right,
        kernels,
        steepness=least_squares.steepness(normal, right),
        iterations=config.m_steps,
    )
    return blur.unit_sums(found)


def axis_mean(x: jax.Array, axis_name: str | None) -> jax.Array:
    """Mean of x, [...], over the members of a mapped axis; x itself where there is none.

    >>> jax.vmap(lambda x: axis_mean(x, "members"), axis_name="members")(jnp.array([1.0, 3.0]))
    Array([2., 2.], dtype=float32)
    """
    return lax.pmean(x, axis_name) if axis_name else x
