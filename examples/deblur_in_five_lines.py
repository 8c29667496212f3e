"""A photo in, a sharp one out: the shortest way.

python examples/deblur_in_five_lines.py photo.jpg sharp.png
"""

import sys

import jax

import dem_jax
from dem_jax.runtime.files import images, writing


def main(source: str, target: str, **settings) -> dem_jax.Result:
    """Deblurs one file; `settings` go to the configuration."""
    photo = images.read_photo(source)
    config = dem_jax.DeblurConfig(**settings)
    deblur = jax.jit(dem_jax.deblur, static_argnums=2)
    result = deblur(jax.random.key(0), photo.pixels, config)
    writing.write_photo(target, result.latent, like=photo)
    return result


if __name__ == "__main__":
    main(*sys.argv[1:3])
