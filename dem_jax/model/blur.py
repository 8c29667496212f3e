"""A(K) f: how a kernel set blurs a latent image, uniformly or region by region.

Blur is a true convolution (the kernel is flipped). The latent image is k - 1 larger than the photo
along each axis, so that only pixels whose whole support is known appear in the photo:

    g[y, x] = sum_{i, j} k[i, j] f[y + k - 1 - i, x + k - 1 - j],    0 <= y < H, 0 <= x < W

Shapes: H, W photo, C channels, k kernel size (odd), P = R x C patches in row-major order. Image
values have no fixed unit: both operators are linear in the kernels and in the latent image, hence
differentiable (forward and reverse) in both. They compute in float32, or float64 where an argument
has it. Positions are (row, column) in pixels, 0 at the centre of the first pixel.
"""

import dataclasses

import jax
import jax.numpy as jnp
from jax import lax

from dem_jax.model.windows import patch_centres, profiles, tiling, windows

__all__ = [
    "FilterFlow",
    "blur_operator",
    "centre_of_mass",
    "filter_flow",
    "good_size",
    "patch_centres",
    "recentre",
    "translate",
    "uniform",
    "unit_sums",
    "windows",
]

_LOST = 0.01  # of its mass: the most that a kernel may lose at one edge when it is moved


def uniform(kernels: jax.Array, latent: jax.Array) -> jax.Array:
    """One kernel for the whole image: the valid part of k * f.

    A cyclic convolution of the latent image's own size wraps only into the k - 1 first rows and
    columns, which the valid part leaves out; so the transforms need no padding beyond a good size.

    Args:
        kernels: [1, k, k] or [k, k].
        latent: [H+k-1, W+k-1, C].

    Returns:
        [H, W, C].

    Raises:
        ValueError: shapes other than these, an even k, or a latent image smaller than the kernel.

    >>> kernel = jnp.zeros((1, 3, 3)).at[0, 1].set(1 / 3)
    >>> bright_column = jnp.zeros((4, 7, 1)).at[:, 3].set(1.0)
    >>> [abs(round(3 * float(x))) for x in uniform(kernel, bright_column)[0, :, 0]]
    [0, 1, 1, 1, 0]
    """
    kernels = kernels[None] if kernels.ndim == 2 else kernels
    _check(kernels, latent, (1, 1))
    latent, kernels = _computable(latent, kernels)
    border = kernels.shape[-1] - 1
    size = tuple(good_size(n) for n in latent.shape[:2])
    spectrum = jnp.fft.rfft2(jnp.moveaxis(latent, -1, 0), s=size)  # [C, ...]
    blurred = jnp.fft.irfft2(jnp.fft.rfft2(kernels, s=size) * spectrum, s=size)
    rows, cols = latent.shape[:2]
    return jnp.moveaxis(blurred[:, border:rows, border:cols], 0, -1)


def filter_flow(kernels: jax.Array, latent: jax.Array, *, grid: tuple[int, int]) -> jax.Array:
    """Space-variant blur: g = sum_p k_p * (w_p . f), the windows on the latent image.

    The windows w_p (see `windows`) sum to one at every pixel, so equal kernels give `uniform`.
    (Windows on the blurred image, g = sum_p w_p . (k_p * f), are a different model.)

    The hops between windows cut the image into tiles, and every window is four quarters, each on
    a tile of its own. All quarters are transformed in one batch, those on the same tile are
    added as spectra and return by one inverse transform. Memory grows with the photo's size,
    by the factor 4 (1 + (k-1) / hop)^2, not with the number of patches.

    Args:
        kernels: [P, k, k], P = grid[0] * grid[1], row-major.
        latent: [H+k-1, W+k-1, C].
        grid: number of patches along rows and columns; (1, 1) is `uniform`.

    Returns:
        [H, W, C].

    Raises:
        ValueError: as `uniform`, a number of kernels other than the grid's, or too fine a grid.

    Source: Hirsch, Sra, Schoelkopf, Harmeling: Efficient filter flow for space-variant multiframe
    blind deconvolution, CVPR 2010.

    >>> kernels = jnp.zeros((6, 5, 5)).at[:, 2, 2].set(1.0)  # points: nothing is blurred
    >>> latent = jax.random.uniform(jax.random.key(0), (34, 44, 3))
    >>> photo = filter_flow(kernels, latent, grid=(2, 3))
    >>> bool(jnp.allclose(photo, latent[2:-2, 2:-2], atol=1e-5))
    True
    """
    _check(kernels, latent, grid)
    if grid == (1, 1):
        return uniform(kernels, latent)
    latent, kernels = _computable(latent, kernels)
    (rows, cols), k = latent.shape[:2], kernels.shape[-1]
    hop_y, before_y = tiling(rows, grid[0])
    hop_x, before_x = tiling(cols, grid[1])
    size = (good_size(hop_y + k - 1), good_size(hop_x + k - 1))

    quarters = _windowed_halves(jnp.moveaxis(latent, -1, 0), 2, grid[1])
    quarters = _windowed_halves(quarters, 1, grid[0])  # [C, rows, 2, hop, columns, 2, hop]
    quarters = jnp.moveaxis(quarters, 3, 5)
    spectrum = jnp.fft.rfft2(kernels.reshape(1, grid[0], 1, grid[1], 1, k, k), s=size)
    spectrum = _add_on_tiles(_add_on_tiles(spectrum * jnp.fft.rfft2(quarters, s=size), 3), 1)
    tiles = jnp.fft.irfft2(spectrum, s=size)[..., : hop_y + k - 1, : hop_x + k - 1]
    tiles = jnp.moveaxis(tiles, 2, 3)  # [C, rows + 1, length, columns + 1, length]
    photo = _overlap_add(_overlap_add(tiles, 3, hop_x), 1, hop_y)
    photo = photo[:, before_y + k - 1 : before_y + rows, before_x + k - 1 : before_x + cols]
    return jnp.moveaxis(photo, 0, -1)


@dataclasses.dataclass(frozen=True)
class FilterFlow:
    """`filter_flow` on a grid, as an operator (kernels [P, k, k], latent) -> photo."""

    grid: tuple[int, int]

    def __call__(self, kernels: jax.Array, latent: jax.Array) -> jax.Array:
        return filter_flow(kernels, latent, grid=self.grid)


def blur_operator(grid: tuple[int, int]) -> FilterFlow:
    """The operator (kernels [P, k, k], latent) -> photo for a patch grid; (1, 1) is `uniform`.

    >>> operator = blur_operator((2, 3))
    >>> operator(jnp.full((6, 5, 5), 1 / 25), jnp.ones((34, 44, 3))).shape
    (30, 40, 3)
    """
    return FilterFlow(grid)


def good_size(n: int) -> int:
    """The smallest integer >= n without a prime factor above 7: sizes that transform fast.

    >>> [good_size(n) for n in (97, 121, 256)]
    [98, 125, 256]
    """
    size = n
    while not _is_smooth(size):
        size += 1
    return size


def centre_of_mass(kernels: jax.Array) -> jax.Array:
    """[..., 2] centres of mass of kernels [..., k, k], (row, column) from the middle pixel.

    >>> centre_of_mass(jnp.zeros((1, 5, 5)).at[0, 3, 1].set(1.0)).tolist()
    [[1.0, -1.0]]
    """
    k = kernels.shape[-1]
    offset = jnp.arange(k, dtype=kernels.dtype) - (k - 1) // 2
    mass = jnp.sum(kernels, axis=(-2, -1))
    row = jnp.einsum("...ij,i->...", kernels, offset) / mass
    col = jnp.einsum("...ij,j->...", kernels, offset) / mass
    return jnp.stack([row, col], axis=-1)


def unit_sums(kernels: jax.Array) -> jax.Array:
    """Kernels [P, k, k], each divided by its sum.

    >>> bool(jnp.allclose(unit_sums(jnp.ones((2, 5, 5))).sum((1, 2)), 1))
    True
    """
    return kernels / jnp.maximum(jnp.sum(kernels, (1, 2), keepdims=True), 1e-8)


def recentre(kernels: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Shifts a kernel set by whole pixels, jointly, so that its mean centre of mass is central.

    Jointly, because differences between the patches are real motion. The shift is limited so that
    no kernel loses more than 1 % of its mass over an edge; then each is made to sum to one.

    Args:
        kernels: [P, k, k], non-negative, each summing to one.

    Returns:
        The kernels [P, k, k], and the shift [2] int32, (row, column), by which they moved:
        `translate(latent, -shift)` moves the latent image so that the photo stays explained.

    >>> kernels, shift = recentre(jnp.zeros((1, 5, 5)).at[0, 3, 1].set(1.0))
    >>> shift.tolist(), float(kernels[0, 2, 2])
    ([-1, 1], 1.0)
    """
    shift = jnp.round(-jnp.mean(centre_of_mass(kernels), axis=0)).astype(jnp.int32)
    room = [_empty_margins(jnp.sum(kernels, axis=axis), _LOST) for axis in (2, 1)]
    shift = jnp.stack([jnp.clip(shift[i], -room[i][0], room[i][1]) for i in (0, 1)])
    k = kernels.shape[-1]
    moved = lax.dynamic_slice(
        jnp.pad(kernels, ((0, 0), (k, k), (k, k))), (0, k - shift[0], k - shift[1]), kernels.shape
    )
    return moved / jnp.sum(moved, axis=(1, 2), keepdims=True), shift


def translate(image: jax.Array, shift: jax.Array) -> jax.Array:
    """Moves an image [H, W, C] by shift [2] whole pixels (down, right), repeating its border.

    >>> translate(jnp.arange(4.0).reshape(1, 4, 1), jnp.array([0, 1]))[0, :, 0].tolist()
    [0.0, 0.0, 1.0, 2.0]
    """
    rows, cols = image.shape[:2]
    image = jnp.take(image, jnp.clip(jnp.arange(rows) - shift[0], 0, rows - 1), axis=0)
    return jnp.take(image, jnp.clip(jnp.arange(cols) - shift[1], 0, cols - 1), axis=1)


def _check(kernels: jax.Array, latent: jax.Array, grid: tuple[int, int]) -> None:
    patches = grid[0] * grid[1]
    if kernels.ndim != 3 or kernels.shape[0] != patches or kernels.shape[1] != kernels.shape[2]:
        raise ValueError(
            f"kernels of shape {kernels.shape} do not fit a {grid[0]}x{grid[1]} grid; "
            f"give [{patches}, k, k]."
        )
    k = kernels.shape[-1]
    if k % 2 == 0:
        raise ValueError(f"kernels of size {k} have no middle pixel; give an odd size.")
    if latent.ndim != 3 or min(latent.shape[:2]) < k:
        raise ValueError(
            f"a latent image of shape {latent.shape} is too small for kernels of size {k}; "
            "give [H + k - 1, W + k - 1, C]."
        )


def _computable(*arrays: jax.Array) -> list[jax.Array]:
    """The arrays in their common type, float32 at least: there are no half-precision transforms."""
    dtype = jnp.promote_types(jnp.result_type(*arrays), jnp.float32)
    return [array.astype(dtype) for array in arrays]


def _is_smooth(n: int) -> bool:
    for factor in (2, 3, 5, 7):
        while n % factor == 0:
            n //= factor
    return n == 1


def _windowed_halves(image: jax.Array, axis: int, count: int) -> jax.Array:
    """Both halves of every windowed patch along an axis, which becomes three: count, 2, hop."""
    n = image.shape[axis]
    hop, before = tiling(n, count)
    left, right = image.shape[:axis], image.shape[axis + 1 :]
    padding = [(0, 0)] * image.ndim
    padding[axis] = (before, (count + 1) * hop - n - before)
    tiles = jnp.pad(image, padding).reshape(*left, count + 1, hop, *right)
    halves = [lax.slice_in_dim(tiles, i, i + count, axis=axis) for i in (0, 1)]
    shaped = profiles(n, count).reshape(*[1] * axis, count, 2, hop, *[1] * len(right))
    return jnp.stack(halves, axis=axis + 1) * jnp.asarray(shaped, image.dtype)


def _add_on_tiles(parts: jax.Array, axis: int) -> jax.Array:
    """Adds what lies on the same tile: part i of piece p on tile p + i; the two axes become one."""
    count = parts.shape[axis + 1]
    total = []
    for i in range(count):
        padding = [(0, 0)] * (parts.ndim - 1)
        padding[axis] = (i, count - 1 - i)
        total.append(jnp.pad(lax.index_in_dim(parts, i, axis + 1, keepdims=False), padding))
    return sum(total[1:], total[0])


def _overlap_add(pieces: jax.Array, axis: int, hop: int) -> jax.Array:
    """Adds pieces [..., count, length, ...] that start one hop apart; the two axes become one."""
    count, length = pieces.shape[axis : axis + 2]
    parts = -(-length // hop)
    left, right = pieces.shape[:axis], pieces.shape[axis + 2 :]
    padding = [(0, 0)] * pieces.ndim
    padding[axis + 1] = (0, parts * hop - length)
    tiles = jnp.pad(pieces, padding).reshape(*left, count, parts, hop, *right)
    return _add_on_tiles(tiles, axis).reshape(*left, -1, *right)


def _empty_margins(profile: jax.Array, tolerance: float) -> tuple[jax.Array, jax.Array]:
    """Leading and trailing pixels that hold at most `tolerance` of every kernel; profile [P, k]."""
    heads = jnp.max(jnp.cumsum(profile, axis=1), axis=0)
    tails = jnp.max(jnp.cumsum(profile[:, ::-1], axis=1), axis=0)
    return jnp.sum(heads <= tolerance), jnp.sum(tails <= tolerance)
