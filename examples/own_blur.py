"""A blur of one's own: a lens that darkens the corners, besides the camera's shake.

Any function that is linear in kernels and image will do. The start's image, EM, the last
deconvolution, the grain and the tiles of large photos all follow.

python examples/own_blur.py photo.jpg sharp.png
"""

import sys

import jax
import jax.numpy as jnp

import dem_jax
from dem_jax.runtime.files import images, writing


def shade(shape: tuple[int, int], strength: float) -> jax.Array:
    """[H, W, 1] how much light a lens lets through: one in the middle, less in the corners."""
    rows, cols = (jnp.linspace(-1, 1, n) for n in shape)
    return 1 / (1 + strength * (rows[:, None, None] ** 2 + cols[None, :, None] ** 2)) ** 2


def dark_cornered(config: dem_jax.DeblurConfig, strength: float) -> dem_jax.Model:
    """The paper's model, seen through such a lens."""
    model = dem_jax.mcem.paper_model(config)

    def blur(kernels: jax.Array, latent: jax.Array) -> jax.Array:
        photo = model.blur(kernels, latent)
        return shade(photo.shape[:2], strength) * photo

    return model._replace(blur=blur)


def main(source: str, target: str, strength: float = 0.2, **settings) -> dem_jax.Result:
    """Deblurs one file and takes the shade away."""
    photo, config = images.read_photo(source), dem_jax.DeblurConfig(**settings)
    model = dark_cornered(config, strength)
    deblur = jax.jit(lambda key, photo: dem_jax.deblur(key, photo, config, model=model))
    result = deblur(jax.random.key(0), photo.pixels)
    writing.write_photo(target, result.latent, like=photo)
    return result


if __name__ == "__main__":
    main(*sys.argv[1:3])
