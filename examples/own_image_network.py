"""An image network of one's own in place of the U-Net: any Flax module of the right output shape.

python examples/own_image_network.py photo.jpg sharp.png
"""

import sys

import flax.linen as nn
import jax

import dem_jax
from dem_jax.runtime.files import images, writing


class SmallNetwork(nn.Module):
    """Three plain convolutions on top of the input that `Problem` holds: [H, W, N] -> [H, W, C]."""

    out_channels: int
    width: int = 16

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        for _ in range(2):
            x = nn.leaky_relu(nn.Conv(self.width, (3, 3))(x))
        return nn.sigmoid(nn.Conv(self.out_channels, (3, 3))(x))


def small_prior(channels: int) -> dem_jax.ImagePrior:
    """`SmallNetwork` as T_f."""
    network = SmallNetwork(channels)
    return dem_jax.ImagePrior(
        init=lambda key, problem: network.init(key, problem.image_input)["params"],
        image=lambda theta, problem: network.apply({"params": theta}, problem.image_input),
    )


def main(source: str, target: str, **settings) -> dem_jax.Result:
    """Deblurs one file with it."""
    photo, config = images.read_photo(source), dem_jax.DeblurConfig(**settings)
    prior = small_prior(photo.pixels.shape[-1])
    model = dem_jax.mcem.paper_model(config)._replace(image=prior)
    deblur = jax.jit(lambda key, photo: dem_jax.deblur(key, photo, config, model=model))
    result = deblur(jax.random.key(0), photo.pixels)
    writing.write_photo(target, result.latent, like=photo)
    return result


if __name__ == "__main__":
    main(*sys.argv[1:3])
