"""log p(g | theta_f; theta_K), the prior on theta_f, and the photo's noise level.

Image values are in [0, 1]; the noise standard deviation has their unit. Weights [H, W] are 1 where
a pixel is trusted, small where it is clipped, 0 where it is padding; log densities are in nats.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax

from dem_jax.model import ranks
from dem_jax.types import PyTree

QUANTISATION_STD = 1 / 255 / 12**0.5  # of rounding to 8 bit: no photo is taken to be cleaner
WEIGHT_STD = 10.0  # of the Gaussian prior on theta_f: wide, it only keeps weights from running away
_BLOCK, _FEW = 32, 9  # pixels along the sides of a periodogram's blocks; the fewest that tell
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

    Args:
      photo: [H, W, C].
      size: [2] rows and columns of the photo where what follows them is padding; None is all.

    Returns:
      [], at least `QUANTISATION_STD`.

    Source of the first: Immerkaer: Fast noise variance estimation, 1996, with Donoho's
    median / 0.6745.
    """
    mixed = photo
    for axis in (0, 1):
        n = photo.shape[axis]
        a, b, c = (jax.lax.slice_in_dim(mixed, i, n - 2 + i, axis=axis) for i in range(3))
        mixed = a - 2 * b + c
    differences, count = jnp.abs(mixed), None
    if size is not None:  # of the smallest values, those of the padding being larger than any
        rows, cols = (jnp.arange(n) < size[axis] - 2 for axis, n in enumerate(mixed.shape[:2]))
        known = (rows[:, None] & cols[None])[..., None]
        differences = jnp.where(known, differences, jnp.inf)
        count = jnp.sum(known) * mixed.shape[-1]
    median = ranks.quantile(differences, 0.5, count=count) / (6 * 0.6745)
    return jnp.maximum(jnp.minimum(median, _least_power(photo, size) ** 0.5), QUANTISATION_STD)


def _least_power(photo: jax.Array, size: jax.Array | None) -> jax.Array:
    """[] power per pixel of white noise that the emptiest frequencies of a photo would have.

    Noise has the same power at every frequency, a blurred picture has not. The periodogram is the
    mean over windowed blocks that overlap by half, as far as they lie inside the photo, and the
    frequency that counts has few below it; infinite where too few blocks fit in to tell.

    Source of the mean: Welch: The use of fast Fourier transform for the estimation of power
    spectra, 1967.
    """
    rows, cols = (np.arange(0, n - _BLOCK + 1, _BLOCK // 2) for n in photo.shape[:2])
    if len(rows) * len(cols) < _FEW:
        return jnp.full((), jnp.inf, photo.dtype)
    ends = photo.shape[:2] if size is None else size
    hann = np.sin(np.pi * (np.arange(_BLOCK) + 0.5) / _BLOCK) ** 2
    window = jnp.asarray(np.outer(hann, hann)[None, ..., None], photo.dtype)
    inside = (jnp.asarray(cols) + _BLOCK <= ends[1]).astype(photo.dtype)

    def add(total: jax.Array, row: jax.Array) -> tuple[jax.Array, None]:
        strip = jax.lax.dynamic_slice_in_dim(photo, row, _BLOCK, 0)
        blocks = jnp.moveaxis(strip[:, cols[:, None] + np.arange(_BLOCK)], 1, 0)
        middle = jnp.sum(window * blocks, (1, 2), keepdims=True) / jnp.sum(window)
        found = jnp.abs(jnp.fft.rfft2(window * (blocks - middle), axes=(1, 2))) ** 2
        count = inside * (row + _BLOCK <= ends[0])
        return total + jnp.einsum("n,nijc->ij", count, found, precision="highest"), None

    nothing = jnp.zeros((_BLOCK, _BLOCK // 2 + 1), photo.dtype)
    total, _ = jax.lax.scan(add, nothing, jnp.asarray(rows))
    blocks = jnp.sum(inside) * jnp.sum(jnp.asarray(rows) + _BLOCK <= ends[0])
    power = total / jnp.maximum(blocks * photo.shape[-1] * jnp.sum(window**2), 1e-9)
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
