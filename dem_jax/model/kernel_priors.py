"""Priors on the kernels: T_K, the paper's; no prior at all; kernels that are known.

T_K : (theta_K, z~) -> kernel set is an untrained U-Net whose weights are the EM parameter, after
"Self-supervised Blind Motion Deblurring with Deep Expectation Maximization" (CVPR 2023): 4 levels
of 32, 32, 64, 64 channels and one head per image region. A softmax over each head's pixels makes
every kernel non-negative and of sum one.
"""

from typing import Any, cast

import flax.linen as nn
import jax
import jax.numpy as jnp

from dem_jax.config import DeblurConfig, KernelNetworkConfig, require_odd
from dem_jax.model import layers
from dem_jax.model.layers import Conv, UNet
from dem_jax.types import Evidence, KernelPrior, Problem, PyTree

SMALLEST_INPUT = 32  # pixels; four levels below it is 2x2, the least that has statistics
_FLOOR = 0.01  # mass given to the whole support, so that T_K can raise entries the start lacks


def named(config: DeblurConfig) -> KernelPrior:
    """The prior that `config.kernels` names; "auto" is none for one kernel that has a start."""
    name = config.kernels
    if name == "auto":
        name = "free" if config.patch_grid == (1, 1) and config.warm_start else "network"
    if name == "network":
        return network(config.kernel_network, warm=config.warm_start)
    return free() if name == "free" else fixed()


def network(config: KernelNetworkConfig, *, warm: bool = True) -> KernelPrior:
    """The paper's prior: K = T_K(theta_K, z~), as a correction of the start's kernels.

    With floor c, start K0 and k x k pixels, K = softmax(U-Net(z~) + log((1 - c) K0 + c / k^2)).

    Args:
      config: the network's channels.
      warm: whether there is a start; then T_K's last layer is zero at first, and K is
        (1 - c) K0 + c / k^2.
    """

    def init(key: jax.Array, problem: Problem) -> PyTree:
        count = problem.start_kernels.shape[0]
        return init_network(
            key, problem.kernel_input, num_kernels=count, config=config, zero_logits=warm
        )

    def kernels(theta_k: PyTree, problem: Problem) -> jax.Array:
        k = problem.start_kernels.shape[-1]
        raised = (1 - _FLOOR) * problem.start_kernels + _FLOOR / k**2
        return apply_network(
            theta_k,
            problem.kernel_input,
            kernel_size=k,
            config=config,
            logit_offset=jnp.log(raised),
        )

    def update(theta_k: PyTree, problem: Problem, evidence: Evidence) -> PyTree:
        return evidence.by_adam(theta_k, lambda theta: kernels(theta, problem))

    return KernelPrior(init, kernels, update)


def free() -> KernelPrior:
    """No prior: theta_K are the kernels themselves, non-negative and of sum one.

    An M-step goes half way, as stochastic approximation does (Delyon, Lavielle, Moulines, 1999):
    what the images that were drawn with the present kernels say is one noisy answer, and kernels
    that follow it wholly become too concentrated.
    """

    def update(kernels: jax.Array, problem: Problem, evidence: Evidence) -> jax.Array:
        return (kernels + evidence.by_least_squares(kernels)) / 2

    return fixed()._replace(update=update)


def fixed() -> KernelPrior:
    """The start's kernels are the true ones."""
    return KernelPrior(
        init=lambda key, problem: problem.start_kernels,
        kernels=lambda theta_k, problem: theta_k,
        update=None,
    )


class KernelNetwork(nn.Module):
    """The U-Net with P heads and a softmax over each: [m, m, M] -> [P, k, k]."""

    num_kernels: int
    kernel_size: int
    channels: tuple[int, ...]

    @nn.compact
    def __call__(
        self, kernel_input: jax.Array, *, logit_offset: jax.Array | None = None
    ) -> jax.Array:
        k = self.kernel_size
        features = UNet(self.channels)(kernel_input)
        logits = Conv(self.num_kernels, size=1, use_bias=True, name="logits")(features)
        top, left = ((m - k) // 2 for m in logits.shape[:2])
        heads = logits[top : top + k, left : left + k].reshape(k * k, self.num_kernels)
        if logit_offset is not None:
            heads = heads + logit_offset.reshape(self.num_kernels, k * k).T
        return nn.softmax(heads.T).reshape(self.num_kernels, k, k)


def input_size(kernel_size: int) -> int:
    """m, the side of z~ in pixels for kernels of k x k: the multiple of 16 from 32 up that holds k.

    Raises:
      ValueError: if k is even or less than 3.
    """
    require_odd(kernel_size)
    return max(SMALLEST_INPUT, -(-kernel_size // 16) * 16)


def init_network(
    key: jax.Array,
    kernel_input: jax.Array,
    *,
    num_kernels: int,
    config: KernelNetworkConfig,
    zero_logits: bool = False,
) -> Any:
    """Draws theta_K.

    Args:
      key: random key.
      kernel_input: z~, [m, m, M]; only its shape matters.
      num_kernels: P.
      config: channels.
      zero_logits: start the last layer at zero, so that the kernels start at
        softmax(logit_offset), whatever the other weights are.

    Returns:
      theta_K, a dict of arrays in float32.
    """
    k = kernel_input.shape[0] - 1 | 1
    params = layers.init(key, KernelNetwork(num_kernels, k, config.channels), kernel_input)
    if zero_logits:
        params = {**params, "logits": jax.tree.map(lambda x: 0 * x, params["logits"])}
    return params


def apply_network(
    params: Any,
    kernel_input: jax.Array,
    *,
    kernel_size: int,
    config: KernelNetworkConfig,
    logit_offset: jax.Array | None = None,
) -> jax.Array:
    """K = T_K(theta_K, z~) = softmax(U-Net(z~) + logit_offset) over each head's k x k pixels.

    Args:
      params: theta_K, from `init_network`.
      kernel_input: z~, [m, m, M] with m >= k; `input_size(k)` is a good m.
      kernel_size: k in pixels, odd.
      config: the one given to `init_network`.
      logit_offset: [P, k, k] or None; log(K0) makes the network correct the kernels K0.

    Returns:
      K, [P, k, k], non-negative, every kernel of sum one.

    Raises:
      ValueError: if z~ is smaller than the kernels.
    """
    if min(kernel_input.shape[:2]) < kernel_size:
        raise ValueError(
            f"The kernel network's input is {kernel_input.shape[0]}x{kernel_input.shape[1]}, less "
            f"than kernel_size={kernel_size}; make it input_size(kernel_size) wide."
        )
    num_kernels = params["logits"]["bias"].shape[0]
    network = KernelNetwork(num_kernels, kernel_size, config.channels)
    kernels = network.apply({"params": params}, kernel_input, logit_offset=logit_offset)
    return cast(jax.Array, kernels)
