"""T_f : (theta_f, z) -> latent image. The untrained U-Net whose weights are the latent variable.

A deep image prior (Ulyanov et al., CVPR 2018) after "Self-supervised Blind Motion Deblurring with
Deep Expectation Maximization" (CVPR 2023): 5 levels of 64 channels, sigmoid output.
"""

from typing import Any, cast

import flax.linen as nn
import jax

from dem_jax.config import ImageNetworkConfig
from dem_jax.model import layers
from dem_jax.model.layers import Conv, UNet


class ImageNetwork(nn.Module):
    """The U-Net with a sigmoid at its end: [H, W, N] -> [H, W, out_channels] in (0, 1)."""

    out_channels: int
    channels: int
    levels: int
    bfloat16: bool

    @nn.compact
    def __call__(self, image_input: jax.Array) -> jax.Array:
        features = UNet((self.channels,) * self.levels, bfloat16=self.bfloat16)(image_input)
        logits = Conv(self.out_channels, size=1, use_bias=True, name="logits")(features)
        return nn.sigmoid(logits)


def init(
    key: jax.Array, image_input: jax.Array, *, out_channels: int, config: ImageNetworkConfig
) -> Any:
    """Draws theta_f.

    Args:
      key: random key.
      image_input: z, [H, W, N]; only its shape matters.
      out_channels: 1 for grey, 3 for colour.
      config: channels, levels, bfloat16, remat.

    Returns:
      theta_f, a dict of arrays in float32.
    """
    return layers.init(key, _network(out_channels, config), image_input)


def apply(params: Any, image_input: jax.Array, *, config: ImageNetworkConfig) -> jax.Array:
    """The latent image f = T_f(theta_f, z) = sigmoid(U-Net(z)).

    Args:
      params: theta_f, from `init`.
      image_input: z, [H, W, N], any H and W.
      config: the one given to `init`.

    Returns:
      f, [H, W, C], values in (0, 1).
    """
    network = _network(params["logits"]["bias"].shape[0], config)

    def latent(params: Any, z: jax.Array) -> jax.Array:
        return cast(jax.Array, network.apply({"params": params}, z))

    if config.remat:
        kept = jax.checkpoint_policies.save_only_these_names(layers.CONVOLVED)
        return jax.checkpoint(latent, policy=kept)(params, image_input)
    return latent(params, image_input)


def _network(out_channels: int, config: ImageNetworkConfig) -> ImageNetwork:
    return ImageNetwork(out_channels, config.channels, config.levels, config.bfloat16)
