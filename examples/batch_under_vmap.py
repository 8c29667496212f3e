"""Several photos of one size at once: `deblur` is pure, so `jax.vmap` makes a batch of it.

python examples/batch_under_vmap.py
"""

import jax
import jax.numpy as jnp
import numpy as np

import dem_jax


def deblur_batch(key: jax.Array, photos: jax.Array, config: dem_jax.DeblurConfig) -> dem_jax.Result:
    """Every field of the result gets a leading axis; every photo has a key of its own.

    Args:
      key: random key, consumed.
      photos: [B, H, W, C] in [0, 1].
      config: the same for all.
    """
    keys = jax.random.split(key, len(photos))
    return jax.vmap(lambda key, photo: dem_jax.deblur(key, photo, config))(keys, photos)


def main(count: int = 2, size: int = 128, **settings) -> dem_jax.Result:
    """Deblurs `count` pieces of a picture, each shaken by a line in another direction."""
    from skimage import data

    config = dem_jax.DeblurConfig(**settings)
    k = config.kernel_size
    sharp = data.camera().astype(np.float32)[:, :, None] / 255
    kernels = np.zeros((count, 1, k, k), np.float32)
    for number, kernel in enumerate(kernels):
        place = [k // 2, slice(k // 4, -(k // 4))]
        kernel[0][tuple(place[:: 1 - 2 * (number % 2)])] = 1
    kernels /= kernels.sum((-2, -1), keepdims=True)
    pieces = [sharp[i * 40 : i * 40 + size + k - 1, 100 : 100 + size + k - 1] for i in range(count)]
    photos = jax.vmap(dem_jax.blur.uniform)(jnp.asarray(kernels), jnp.stack(pieces))
    result = jax.jit(deblur_batch, static_argnums=2)(jax.random.key(0), photos, config)
    print("sharp pictures", result.latent.shape, "kernels", result.kernels.shape)
    return result


if __name__ == "__main__":
    main()
