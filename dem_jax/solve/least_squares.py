"""Least squares: over kernels, which cannot be negative, and over images, which are smooth."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from dem_jax.model.blur import good_size
from dem_jax.solve import fourier


def non_negative_least_squares(
    normal: Callable[[jax.Array], jax.Array],
    right: jax.Array,
    start: jax.Array,
    *,
    steepness: jax.Array,
    iterations: int,
    support: jax.Array | float = 1.0,
) -> jax.Array:
    """argmin_{x >= 0} x^T normal(x) / 2 - right^T x by FISTA.

    Args:
      normal: a symmetric positive operator, linear.
      right: of the shape of x.
      start: the first x.
      steepness: at least the largest eigenvalue of `normal`.
      iterations: steps.
      support: 1 where x may be positive, 0 elsewhere.

    Source: Beck and Teboulle: A fast iterative shrinkage-thresholding algorithm, 2009.
    """

    def descend(carry, _):
        x, ahead, t = carry
        new = jnp.maximum(ahead - (normal(ahead) - right) / steepness, 0) * support
        t_new = (1 + jnp.sqrt(1 + 4 * t * t)) / 2
        return (new, new + (t - 1) / t_new * (new - x), t_new), None

    (x, _, _), _ = lax.scan(descend, (start, start, jnp.ones(())), length=iterations)
    return x


def steepness(normal: Callable[[jax.Array], jax.Array], start: jax.Array) -> jax.Array:
    """The largest eigenvalue of `normal` and a little more, by power iteration."""

    def unit(x: jax.Array) -> jax.Array:
        return x / jnp.maximum(jnp.linalg.norm(x), 1e-12)

    vector = lax.fori_loop(0, 12, lambda _, x: unit(normal(x)), unit(start))
    return 1.05 * jnp.sum(vector * normal(vector)) + 1e-12


class Roughness(NamedTuple):
    """|D f|^2 for filters D."""

    normal: Callable[[jax.Array], jax.Array]  # f [h, w, C] -> D^T D f
    power: Callable[[tuple[int, ...]], jax.Array]  # shape -> [h, w/2+1], of periodic images


def smooth(
    blur: Callable[[jax.Array], jax.Array],
    mean_kernel: jax.Array,
    weight: jax.Array,
    ratio: jax.Array | float,
    right: jax.Array,
    *,
    roughness: Roughness | None = None,
    iterations: int,
    tolerance: float = 1e-4,
    start: jax.Array | None = None,
) -> jax.Array:
    """Solves (A^T W A + ratio D^T D) f = right for an image, by conjugate gradients.

    A is a blur, W the photo's weights, D forward differences or other filters. The
    preconditioner is the inverse that the operator would have if the mean kernel blurred a periodic
    image.

    Args:
      blur: A, linear, [h, w, C] -> [H, W, C].
      mean_kernel: [k, k].
      weight: [H, W].
      ratio: weight of the second term over the first's, without unit.
      right: [h, w, C].
      roughness: of D; None: of forward differences.
      iterations: at most so many steps.
      tolerance: of the residual over the right side; at less, the steps end.
      start: [h, w, C], the first f; None is zero.

    Returns:
      f, [h, w, C].
    """
    adjoint = transposed(blur, right)
    roughness = roughness or Roughness(_normal, fourier.difference_power)

    def normal(f: jax.Array) -> jax.Array:
        data = adjoint(weight[..., None] * blur(f))
        return data + ratio * roughness.normal(f) + 1e-6 * f

    precondition = _periodic_inverse(mean_kernel, right.shape, ratio, roughness)
    f, _ = jax.scipy.sparse.linalg.cg(
        normal, right, x0=start, maxiter=iterations, tol=tolerance, M=precondition
    )
    return f


def transposed(
    blur: Callable[[jax.Array], jax.Array], image: jax.Array
) -> Callable[[jax.Array], jax.Array]:
    """A^T of a blur that takes images like `image` [h, w, C]."""
    transpose = jax.linear_transpose(blur, image)
    return lambda photo: transpose(photo)[0]


def adjoint_differences(rows: jax.Array, cols: jax.Array) -> jax.Array:
    """D^T of differences [h-1, w, C] and [h, w-1, C]."""
    along_rows = jnp.pad(rows, ((1, 0), (0, 0), (0, 0))) - jnp.pad(rows, ((0, 1), (0, 0), (0, 0)))
    along_cols = jnp.pad(cols, ((0, 0), (1, 0), (0, 0))) - jnp.pad(cols, ((0, 0), (0, 1), (0, 0)))
    return along_rows + along_cols


def _normal(f: jax.Array) -> jax.Array:
    return adjoint_differences(f[1:] - f[:-1], f[:, 1:] - f[:, :-1])


def _periodic_inverse(
    kernel: jax.Array, shape: tuple[int, ...], ratio: jax.Array | float, roughness: Roughness
) -> Callable[[jax.Array], jax.Array]:
    size = good_size(shape[0]), good_size(shape[1])
    power = jnp.abs(jnp.fft.rfft2(kernel, s=size)) ** 2
    inverse = (1 / (0.8 * power + ratio * roughness.power(size) + 1e-4))[..., None]

    def apply(f: jax.Array) -> jax.Array:
        spectrum = jnp.fft.rfft2(f, s=size, axes=(0, 1)) * inverse
        return jnp.fft.irfft2(spectrum, s=size, axes=(0, 1))[: f.shape[0], : f.shape[1]]

    return apply
