"""The pytrees that travel between rooms, and names for the functions that may be exchanged.

In the shape descriptions H, W are the photo's height and width, C its channels, P the number of
patches, k the (odd) kernel size and S the number of chains. A latent image is k - 1 larger than
the photo along each axis, because every photo pixel is explained by k x k latent pixels.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax

PyTree = Any

# (kernels [P, k, k], latent [H+k-1, W+k-1, C]) -> photo [H, W, C]
BlurOperator = Callable[[jax.Array, jax.Array], jax.Array]
# position -> scalar log density, or (scalar, auxiliary output)
LogDensity = Callable[[PyTree], Any]


class Problem(NamedTuple):
    """One photo and everything that stays fixed while EM runs."""

    photo: jax.Array  # [H, W, C] the blurred photo g, values in [0, 1]
    weight: jax.Array  # [H, W] 1 where a pixel enters the likelihood, 0 where clipped or padded
    image_input: jax.Array  # [H+k-1, W+k-1, N] z, T_f's input: noise, and the guide if any
    kernel_input: jax.Array  # [m, m, M] z~, input of T_K
    start_latent: jax.Array  # [H+k-1, W+k-1, C] the warm start's deconvolved image
    start_kernels: jax.Array  # [P, k, k] the warm start's kernels
    noise_std: jax.Array  # [] the photo's noise standard deviation, in units of the image range
    start_misfit: jax.Array  # [] the start's residual in noise_std; 0: grids


class Model(NamedTuple):
    """The functions that say how a photo comes about; any of them may be exchanged."""

    init_image: Callable[[jax.Array, Problem], PyTree]  # key -> theta_f
    # theta_f, dropout key or None -> latent image [H+k-1, W+k-1, C]
    image: Callable[[PyTree, Problem, jax.Array | None], jax.Array]
    init_kernels: Callable[[jax.Array, Problem], PyTree]  # key -> theta_K
    kernels: Callable[[PyTree, Problem], jax.Array]  # theta_K -> [P, k, k], each of sum one
    blur: BlurOperator  # linear in both arguments


class EMInfo(NamedTuple):
    """What one EM iteration reports; nothing here is needed by the next one."""

    negative_log_likelihood: jax.Array  # [] mean over samples, per photo pixel and channel, in nats
    residual_std: jax.Array  # [] root mean square of g - A(K) f over the samples
    noise_std: jax.Array  # [] noise standard deviation in force
    kernel_change: jax.Array  # [] sum |K_t - K_{t-1}| / P, between 0 and 2
    finite: jax.Array  # [] bool, False when the chain has diverged


class Result(NamedTuple):
    """What `deblur` returns."""

    latent: jax.Array  # [H, W, C] posterior mean of the sharp image, cropped to the photo
    kernels: jax.Array  # [P, k, k] each non-negative and summing to one
    std: jax.Array  # [H, W, C] posterior standard deviation of every pixel
    info: EMInfo  # [T] per field: one entry per EM iteration
