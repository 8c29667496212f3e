"""log p(g | theta_f; theta_K), the prior on theta_f, and the photo's noise level.

Image values are in [0, 1]; the noise standard deviation has their unit. Weights [H, W] are 1 where
a pixel is trusted, small where it is clipped, 0 where it is padding; log densities are in nats.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from dem_jax.model import ranks
from dem_jax.types import PyTree

QUANTISATION_STD = 1 / 255 / 12**0.5  # of rounding to 8 bit: no photo is taken to be cleaner
WEIGHT_STD = 10.0  # of the Gaussian prior on theta_f: wide, it only keeps weights from running away
_BLOCK, _FEW = 32, 9  # pixels along the sides of a periodogram's blocks; the fewest that tell
_EXPOSED, _NEARLY = 0.1, 0.95  # the least share of unclipped values that tells; of a block's pixels
_EMPTY, _EMPTIEST = 0.05, 1.645  # part of the frequencies, and Gaussian deviations it lies below
CLIPPED = 254.5 / 255  # values from here up are taken to be saturated
CLIPPED_WEIGHT = 0.05  # of a saturated pixel: "bright" is all that it tells, but white paper is so


def log_likelihood(residual: jax.Array, weight: jax.Array, noise_std: jax.Array) -> jax.Array:
    """Gaussian log p(g | f; K) = -sum w r^2 / (2 s^2) - N log(s sqrt(2 pi)), N = C sum w.

    Args:
      residual: r = g - A(K) f, [H, W, C].
      weight: w, [H, W].
      noise_std: s, [].

    Returns:
      [] nats.
    """
    count = residual.shape[-1] * jnp.sum(weight)
    energy = jnp.sum(weight[..., None] * residual**2) / (2 * noise_std**2)
    return -energy - count * jnp.log(noise_std * jnp.sqrt(2 * jnp.pi))


def root_mean_square(residual: jax.Array, weight: jax.Array) -> jax.Array:
    """[] of a residual [H, W, C] over pixels with weights [H, W]."""
    count = jnp.maximum(jnp.sum(weight) * residual.shape[-1], 1)
    return jnp.sqrt(jnp.sum(weight[..., None] * residual**2) / count)


def log_prior(theta: PyTree) -> jax.Array:
    """Gaussian prior on theta_f up to a constant: -|theta|^2 / (2 WEIGHT_STD^2), [] nats."""
    return -optax.tree.norm(theta, squared=True) / (2 * WEIGHT_STD**2)


def estimate_noise_std(photo: jax.Array, *, size: jax.Array | None = None) -> jax.Array:
    """Standard deviation of the noise: the smaller of two measures that texture makes too large.

    - the median of a second-order mixed difference, [[1, -2, 1], [-2, 4, -2], [1, -2, 1]] of norm
      6, which cancels what is smooth: it does not see a few hot pixels or sharp lines;
    - the power of those frequencies that hold least, see `_least_power`: a kernel has wiped the
      picture out of some of them, so that it does not see fine texture.

    White paper and black nights are clipped, and their noise with them: they do not count, unless
    there is nothing else.

    Args:
      photo: [H, W, C] in [0, 1].
      size: [2] rows and columns of the photo where what follows them is padding; None is all.

    Returns:
      [], at least `QUANTISATION_STD`.

    Source of the first: Immerkaer: Fast noise variance estimation, 1996, with Donoho's
    median / 0.6745.
    """
    inside = jnp.ones(photo.shape[:2], bool)
    if size is not None:
        rows, cols = (jnp.arange(n) < size[axis] for axis, n in enumerate(inside.shape))
        inside = rows[:, None] & cols[None]
    inside = inside[..., None]
    exposed = inside & (photo > 0) & (photo < CLIPPED)
    enough = jnp.mean(exposed) > _EXPOSED * jnp.mean(inside)
    counted = jnp.where(enough, exposed, inside)
    mixed, known = photo, counted
    for axis in (0, 1):
        n = photo.shape[axis]
        a, b, c = (jax.lax.slice_in_dim(mixed, i, n - 2 + i, axis=axis) for i in range(3))
        mixed = a - 2 * b + c
        x, y, z = (jax.lax.slice_in_dim(known, i, n - 2 + i, axis=axis) for i in range(3))
        known = x & y & z
    # Of the smallest values, those that do not count being larger than any.
    differences = jnp.where(known, jnp.abs(mixed), jnp.inf)
    median = ranks.quantile(differences, 0.5, count=jnp.sum(known)) / (6 * 0.6745)
    least = _least_power(photo, jnp.where(inside, counted, -jnp.inf)) ** 0.5
    return jnp.maximum(jnp.minimum(median, least), QUANTISATION_STD)


def _least_power(photo: jax.Array, counted: jax.Array) -> jax.Array:
    """[] power per pixel of white noise that the emptiest frequencies of a photo would have.

    Noise has the same power at every frequency, a blurred picture has not. The periodogram is the
    mean over windowed blocks that overlap by half, and the frequency that counts has few below it;
    infinite where too few blocks tell. `counted` [H, W, C] is 1 for pixels that count, of which
    nearly all of a block are to be, and -inf for padding, which a block must not hold.

    Source of the mean: Welch: The use of fast Fourier transform for the estimation of power
    spectra, 1967.
    """
    rows, cols = (np.arange(0, n - _BLOCK + 1, _BLOCK // 2) for n in photo.shape[:2])
    if len(rows) * len(cols) < _FEW:
        return jnp.full((), jnp.inf, photo.dtype)
    hann = np.sin(np.pi * (np.arange(_BLOCK) + 0.5) / _BLOCK) ** 2
    window = jnp.asarray(np.outer(hann, hann)[None, ..., None], photo.dtype)

    def cut(image: jax.Array, row: jax.Array) -> jax.Array:
        strip = jax.lax.dynamic_slice_in_dim(image, row, _BLOCK, 0)
        return jnp.moveaxis(strip[:, cols[:, None] + np.arange(_BLOCK)], 1, 0)

    def add(total: tuple[jax.Array, jax.Array], row: jax.Array) -> tuple[Any, None]:
        blocks = cut(photo, row)
        middle = jnp.sum(window * blocks, (1, 2), keepdims=True) / jnp.sum(window)
        found = jnp.abs(jnp.fft.rfft2(window * (blocks - middle), axes=(1, 2))) ** 2
        count = (jnp.mean(cut(counted, row), (1, 2)) > _NEARLY).astype(photo.dtype)
        power = jnp.einsum("nc,nijc->ij", count, found, precision="highest")
        return (total[0] + power, total[1] + jnp.sum(count)), None

    nothing = jnp.zeros((_BLOCK, _BLOCK // 2 + 1), photo.dtype), jnp.zeros((), photo.dtype)
    (power, number), _ = jax.lax.scan(add, nothing, jnp.asarray(rows))
    power, blocks = power / jnp.maximum(number * jnp.sum(window**2), 1e-9), number / photo.shape[-1]
    least = ranks.quantile(power, _EMPTY) / (1 - _EMPTIEST / jnp.sqrt(jnp.maximum(blocks, _FEW)))
    return jnp.where(blocks >= _FEW, least, jnp.inf)


def trusted(photo: jax.Array) -> jax.Array:
    """[H, W] weights: small where any channel of the photo [H, W, C] is saturated, else 1."""
    return jnp.where(unclipped(photo), 1.0, CLIPPED_WEIGHT).astype(photo.dtype)


def unclipped(photo: jax.Array, white: jax.Array | float = CLIPPED) -> jax.Array:
    """[H, W] bool, where no channel of the photo [H, W, C] is saturated, as it is from `white`."""
    return jnp.all(photo < white, axis=-1)


def plausible(residual: jax.Array, scale: jax.Array | float) -> jax.Array:
    """Weights in (0, 1] of a residual: near 1 within `scale`, falling fast for what is no noise.

    Hot pixels, date stamps and lamps are explained by no kernel; as data they would make rings.

    Source: Geman and McClure's estimator, as in Black and Rangarajan, IJCV 1996.
    """
    return 1 / (1 + (residual / scale) ** 2) ** 2


def without_saturation(
    photo: jax.Array, weight: jax.Array, white: jax.Array | float = CLIPPED
) -> jax.Array:
    """[H, W] weights for a solver that bounds saturated pixels itself: there they count wholly."""
    return jnp.where(unclipped(photo, white), weight, jnp.sign(weight))
