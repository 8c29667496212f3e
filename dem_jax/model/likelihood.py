"""log p(g | theta_f; theta_K), the prior on theta_f, and the photo's noise level.

Image values are in [0, 1]; the noise standard deviation has their unit. Weights [H, W] are 1 where
a pixel is trusted, small where it is clipped, 0 where it is padding; log densities are in nats.
"""

import jax
import jax.numpy as jnp
import optax

from dem_jax.model import ranks
from dem_jax.types import PyTree

QUANTISATION_STD = 1 / 255 / 12**0.5  # of rounding to 8 bit: no photo is taken to be cleaner
WEIGHT_STD = 10.0  # of the Gaussian prior on theta_f: wide, it only keeps weights from running away
# Cells of a periodogram along an axis, and the fewest frequencies that one averages along it.
_CELLS, _LEAST_CELL = 16, 8
_EMPTY, _EMPTIEST = 0.05, 1.645  # part of the cells, and the Gaussian deviations that it lies below
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

    Noise has the same power at every frequency, a blurred picture has not. The photo's periodogram,
    under a window, is averaged over cells, and the cell that counts has few below it.
    """
    shape = photo.shape[:2]
    ends = shape if size is None else size
    window = _hann(shape[0], ends[0])[:, None] * _hann(shape[1], ends[1])[None]
    sides = [max(_LEAST_CELL, n // _CELLS) for n in shape]

    def power(plane: jax.Array) -> jax.Array:
        plane = window * (plane - jnp.sum(window * plane) / jnp.sum(window))
        found = jnp.abs(jnp.fft.rfft2(plane)) ** 2
        rows, cols = (n // side for n, side in zip(found.shape, sides, strict=True))
        cells = found[: rows * sides[0], : cols * sides[1]].reshape(rows, sides[0], cols, sides[1])
        return jnp.mean(cells, (1, 3)) / jnp.sum(window**2)

    cells = jnp.mean(jax.lax.map(power, jnp.moveaxis(photo, -1, 0)), 0)
    spread = 1.5 / (sides[0] * sides[1]) ** 0.5  # of white noise; the window joins 1.5 x 1.5
    return ranks.quantile(cells, _EMPTY) / (1 - _EMPTIEST * spread)


def _hann(count: int, end: jax.Array | int) -> jax.Array:
    """[count] Hann's window over the first `end` places, 0 after them."""
    places = jnp.arange(count) + 0.5
    return jnp.where(places < end, jnp.sin(jnp.pi * places / end) ** 2, 0)


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
