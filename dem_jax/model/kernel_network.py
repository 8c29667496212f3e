"""T_K : (theta_K, z~) -> kernel set. The untrained U-Net whose weights are the EM parameter.

After "Self-supervised Blind Motion Deblurring with Deep Expectation Maximization" (CVPR 2023): 4
levels of 32, 32, 64, 64 channels and one head per image region. A softmax over each head's pixels
makes every kernel non-negative and of sum one.
"""

from typing import Any, cast

import flax.linen as nn
import jax

from dem_jax.config import KernelNetworkConfig
from dem_jax.model import layers
from dem_jax.model.layers import Conv, UNet

SMALLEST_INPUT = 32  # pixels; four levels below it is 2x2, the least that has statistics


class KernelNetwork(nn.Module):
    """The U-Net with P heads and a softmax over each: [m, m, M] -> [P, k, k]."""

    num_kernels: int
    kernel_size: int
    channels: tuple[int, ...] = (32, 32, 64, 64)

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
    if kernel_size < 3 or kernel_size % 2 == 0:
        raise ValueError(
            f"kernel_size={kernel_size} must be odd and at least 3; try {kernel_size | 1}."
        )
    return max(SMALLEST_INPUT, -(-kernel_size // 16) * 16)


def init(
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


def apply(
    params: Any,
    kernel_input: jax.Array,
    *,
    kernel_size: int,
    config: KernelNetworkConfig,
    logit_offset: jax.Array | None = None,
) -> jax.Array:
    """K = T_K(theta_K, z~) = softmax(U-Net(z~) + logit_offset) over each head's k x k pixels.

    Args:
      params: theta_K, from `init`.
      kernel_input: z~, [m, m, M] with m >= k; `input_size(k)` is a good m.
      kernel_size: k in pixels, odd.
      config: the one given to `init`.
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
