"""Eight filters that show how rough an image is: the cosines of 3 x 3 pixels without the constant.

    c_ij = u_i u_j^T, i + j > 0
    u_0 = [1, 1, 1] / sqrt(3), u_1 = [-1, 0, 1] / sqrt(2), u_2 = [1, -2, 1] / sqrt(6)

They are orthonormal. Differences are among them, but also curvature and corners, so that a prior on
all of them keeps slopes and fine lines that one on differences makes into steps (Roth and Black:
Fields of experts, IJCV 2009, learn such filters from photos; these need no photos).

Planes are [H, W] and continue periodically.
"""

import jax
import jax.numpy as jnp


def responses(plane: jax.Array) -> jax.Array:
    """[8, H, W] what the filters see of a plane [H, W]."""
    return jnp.stack([found for row in _along(plane, 0) for found in _along(row, 1)][1:])


def adjoint(found: jax.Array) -> jax.Array:
    """[H, W] the adjoint of `responses`, of [8, H, W]."""
    flat, slope, bend = (
        _back(three, 1)
        for three in (
            (jnp.zeros_like(found[0]), found[0], found[1]),
            (found[2], found[3], found[4]),
            (found[5], found[6], found[7]),
        )
    )
    return _back((flat, slope, bend), 0)


def power(shape: tuple[int, ...]) -> jax.Array:
    """[H, W/2+1] the sum of the filters' squared transfer functions on planes of a `shape`."""
    waves = jnp.fft.fftfreq(shape[0])[:, None], jnp.fft.rfftfreq(shape[1])[None]
    mean = [(1 + 2 * jnp.cos(2 * jnp.pi * wave)) / 3 for wave in waves]
    return 9 * (1 - (mean[0] * mean[1]) ** 2)  # all nine sum up to 9, the constant's is left out


def _along(plane: jax.Array, axis: int) -> tuple[jax.Array, jax.Array, jax.Array]:
    """A plane's responses to u_0, u_1 and u_2 along an axis."""
    before, after = jnp.roll(plane, 1, axis), jnp.roll(plane, -1, axis)
    both = before + after
    return (both + plane) / 3**0.5, (after - before) / 2**0.5, (both - 2 * plane) / 6**0.5


def _back(three: tuple[jax.Array, jax.Array, jax.Array], axis: int) -> jax.Array:
    """The adjoint of `_along`: the same but for the odd one, which changes its sign."""
    flat, slope, bend = three
    before = flat / 3**0.5 + slope / 2**0.5 + bend / 6**0.5
    after = flat / 3**0.5 - slope / 2**0.5 + bend / 6**0.5
    middle = flat / 3**0.5 - 2 * bend / 6**0.5
    return middle + jnp.roll(before, 1, axis) + jnp.roll(after, -1, axis)
