"""The pytrees that travel between rooms, and names for the functions that may be exchanged.

In the shape descriptions H, W are the photo's height and width, C its channels, P the number of
patches, k the (odd) kernel size and S the number of chains. A latent image is k - 1 larger than
the photo along each axis, because every photo pixel is explained by k x k latent pixels.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import jax

PyTree = Any

# (kernels [P, k, k], latent [H+k-1, W+k-1, C]) -> photo [H, W, C]
BlurOperator = Callable[[jax.Array, jax.Array], jax.Array]
# position -> scalar log density, or (scalar, auxiliary output)
LogDensity = Callable[[PyTree], Any]


class Given(NamedTuple):
    """A photo, and what is known of it before the start."""

    pixels: Any  # [H, W, C] in [0, 1]
    size: Any = None  # [2] rows and columns of the photo, the rest being padding; None: all
    weight: Any = None  # [H, W] in [0, 1], how far each pixel is known; None: wholly
    kernel: Any = None  # [k, k] or [P, k, k] found before, of sum one; None: the start finds it
    coding_std: Any = None  # [] error of the file's coding, such as JPEG, beside noise; None: none


class Problem(NamedTuple):
    """One photo and everything that stays fixed while EM runs.

    All values are relative to the photo's brightest one, which is 1 here: exposure does not matter.
    """

    photo: jax.Array  # [H, W, C] the blurred photo g times `gain`, values in [0, 1]
    weight: jax.Array  # [H, W] in [0, 1], how far a pixel enters the likelihood; padding has 0
    image_input: jax.Array  # [H+k-1, W+k-1, N] z, T_f's input: noise, and the guide if any
    kernel_input: jax.Array  # [m, m, M] z~, input of T_K
    start_latent: jax.Array  # [H+k-1, W+k-1, C] the start's deconvolved image
    start_kernels: jax.Array  # [P, k, k] the start's kernels
    noise_std: jax.Array  # [] the photo's noise standard deviation, its file's coding included
    cameras_part: jax.Array  # [] 0 to 1, of what kernels are thick by, see `model.softness`
    gain: jax.Array  # [] by which the photo's own values were multiplied
    overlay: jax.Array | None = None  # [H, W] bool, what lies on the photo and stays; None: nothing


class Evidence(Protocol):
    """What the M-step's images tell of the kernels, and two ways to use it; see `em.m_step`."""

    def by_adam(self, theta: PyTree, kernels: Callable[[PyTree], jax.Array]) -> PyTree:
        """The theta whose kernels(theta) [P, k, k] explain the photo better, by Adam."""

    def by_least_squares(self, kernels: jax.Array) -> jax.Array:
        """The non-negative kernels [P, k, k] of sum one that explain the photo best."""


class ImagePrior(NamedTuple):
    """The latent image as a function of theta_f: T_f, or a network of one's own."""

    init: Callable[[jax.Array, Problem], PyTree]  # key -> theta_f
    image: Callable[[PyTree, Problem], jax.Array]  # theta_f -> latent image [H+k-1, W+k-1, C]


class KernelPrior(NamedTuple):
    """The kernels as a function of theta_K, and what the M-step does with theta_K."""

    init: Callable[[jax.Array, Problem], PyTree]  # key -> theta_K
    kernels: Callable[[PyTree, Problem], jax.Array]  # theta_K -> [P, k, k], each of sum one
    # theta_K^{t-1} -> theta_K^t; None: the kernels are known, and there is no M-step
    update: Callable[[PyTree, Problem, Evidence], PyTree] | None


class Model(NamedTuple):
    """What is believed of a photo. Each of the three may be exchanged, and every stage follows."""

    image: ImagePrior
    kernels: KernelPrior
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

    latent: jax.Array  # [H, W, C] the sharp image, cropped to the photo
    kernels: jax.Array  # [P, k, k] each non-negative and summing to one
    std: jax.Array  # [H, W, C] standard deviation of every pixel
    info: EMInfo  # [T] per field: one entry per EM iteration
    # [] 0 to 1, how far independent estimates of the kernel agree; None: kernels of a grid, given
    # ones and own starts have no such estimates
    confidence: jax.Array | None = None
