"""A kernel for every patch from one camera path: how long the camera was shifted and rolled where.

A density w(theta, t) >= 0 over rolls theta and translations t of the picture, sum one, gives the
kernel of the patch whose centre is c, seen from the picture's centre:

    k_p(x) = sum_theta w(theta, x - theta J c),    J (row, column) = (-column, row)

Every patch votes on the same density, so that patches without texture get kernels too. From the
coarsest level of a pyramid to the finest, beginning with a camera that hardly moved, alternately

    f = L0-sharpened photo, patch by patch, blended by the windows
    w = argmin_{w >= 0} sum_p |v_p (k_p * grad f - grad g)|^2 + ridge |k_p|^2,    v_p^2 the windows

The patches of a level are a few of its kernels wide, whatever grid the kernels are wanted on.

Kernels of pitch and yaw are translations to first order, for which see the sources: Whyte, Sivic,
Zisserman, Ponce: Non-uniform deblurring for shaken images, CVPR 2010; Gupta, Joshi, Zitnick, Cohen,
Curless: Single image deblurring using motion density functions, ECCV 2010 (this family of poses);
Hirsch, Schuler, Harmeling, Schoelkopf: Fast removal of non-uniform camera shake, ICCV 2011 (fit by
patches).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from dem_jax.model import blur
from dem_jax.solve import fourier, least_squares
from dem_jax.start import kernel_estimation
from dem_jax.start.motion_spectrum import lever

_MOST_ROLLS = 31  # angles; at most one for every pixel that the farthest patch's centre moves
_LEAST_DENSITY = 0.05  # smaller entries, relative to the largest, are dropped
_LEAST_ISLAND = 0.05  # smaller separate parts of the density are dropped
_STRONG_EDGES = 3.2e-2  # sparsity, squared image units
_KERNEL_RIDGE = 2e-3  # on the kernels, relative to the power of the image's gradient
_RIDGE = 1e-3  # on the density: it spreads over rolls that the photo does not tell apart
_ITERATIONS = 50  # of every fit
_LEAST_PATCH = 12  # pixels, and two kernels: the patches of a level
_LARGEST_GRID = 6  # rows or columns of them


class _Crops(NamedTuple):
    """Where the windows of a photo [H, W] lie: each on a crop [h, w] of its own."""

    rows: np.ndarray  # [P, h] rows of the photo
    cols: np.ndarray  # [P, w]
    windows: np.ndarray  # [P, h, w]


def path_kernels(
    photo: jax.Array,
    sparsity: jax.Array | float,
    *,
    kernel_size: int,
    grid: tuple[int, int],
    motion: jax.Array | None = None,
    size: jax.Array | None = None,
) -> jax.Array:
    """A kernel for every patch, from the photo alone.

    From the coarsest level to the finest; or, where a straight `motion` tells where to begin, on
    the finest level only: there it survives, on coarser ones the alternation leaves it.

    Args:
      photo: [H, W] luma in [0, 1].
      sparsity: lambda at the coarsest level, see `kernel_estimation`.
      kernel_size: k, odd.
      grid: number of patches along rows and columns.
      motion: [3] from `motion_spectrum.straight_motion`.
      size: [2] rows and columns of the photo where what follows them is padding; None is all.

    Returns:
      [P, k, k], non-negative, each of sum one, centred jointly.
    """
    sizes = kernel_estimation.pyramid(kernel_size)
    if motion is None:
        k, rolls = sizes[0], _rolls(sizes[0])
        density = jnp.zeros((rolls, k, k), photo.dtype)
        density = density.at[rolls // 2, k // 2, k // 2 - 1 : k // 2 + 1].set(0.5)
    else:
        sizes = sizes[-1:]
        density = straight_density(motion, kernel_size)
    for k in sizes:
        level, level_size = kernel_estimation.pyramid_level(photo, k / kernel_size, k, size)
        shape = (_rolls(k), k, k)
        density = _normalised(jnp.maximum(jax.image.resize(density, shape, "linear"), 0))
        level_grid = _grid(level.shape, k)
        density, sparsity = _one_level(level, level_size, density, sparsity, level_grid)
    return blur.unit_sums(synthesise(density, photo.shape, grid))


def turned_motion(
    photo: jax.Array,
    motion: jax.Array,
    *,
    kernel_size: int,
    size: jax.Array | None = None,
) -> jax.Array:
    """A straight motion [3] turned to where the strongest edges of the photo [H, W] say it goes.

    The direction is the principal axis of the density that the alternation makes of it with few
    edges; these make it too short, the spectrum rather too long: the length is the geometric mean.
    Other arguments are those of `path_kernels`.
    """
    density, _ = _one_level(
        photo,
        size,
        straight_density(motion, kernel_size),
        _STRONG_EDGES,
        _grid(photo.shape, kernel_size),
    )
    density = lax.stop_gradient(density)
    poses = jnp.stack(
        jnp.meshgrid(*_pose_axes(kernel_size, density.dtype), indexing="ij"), -1
    ).reshape(-1, 3)
    weights = density.reshape(-1, 1)
    centred = poses - jnp.sum(weights * poses, 0, keepdims=True)
    values, axes = jnp.linalg.eigh(centred.T @ (weights * centred))
    length = jnp.sqrt(12 * jnp.maximum(values[-1], 0))  # of a line of that variance
    return axes[:, -1] * jnp.sqrt(length * jnp.linalg.norm(motion))


def synthesise(density: jax.Array, shape: tuple[int, ...], grid: tuple[int, int]) -> jax.Array:
    """The kernels [P, k, k] of a density [A, k, k] on a photo of `shape`; linear in the density.

    Rolls are A equal steps, up to the one that moves a patch near the corner by half a kernel: the
    density means the same on every grid.
    Displacements between pixels are split linearly.
    """
    rolls, k, _ = density.shape
    centres = blur.patch_centres((shape[0], shape[1]), grid) - (np.asarray(shape[:2]) - 1) / 2
    largest = (k // 2) / lever(shape)
    angles = largest * np.linspace(-1, 1, rolls)
    moves = angles[None, :, None] * np.stack([-centres[:, 1], centres[:, 0]], -1)[:, None]
    places = np.arange(k)
    distance = places[:, None] - places[None] - moves[..., None, None]  # [P, A, 2, k, k]
    shift = jnp.asarray(np.maximum(1 - np.abs(distance), 0), density.dtype)
    return jnp.einsum("payi,aij,paxj->pyx", shift[:, :, 0], density, shift[:, :, 1])


def straight_density(motion: jax.Array, kernel_size: int) -> jax.Array:
    """The density [A, k, k] of a camera that moves along `motion` [3] at constant speed.

    `motion` is in pixels from end to end, as `motion_spectrum.straight_motion` returns it.
    """
    poses = jnp.linspace(-0.5, 0.5, 4 * kernel_size, dtype=motion.dtype)[:, None] * motion[None]
    near = [
        jnp.maximum(
            1 - jnp.abs(entries[None] - poses[:, axis, None]) / (entries[1] - entries[0]), 0
        )
        for axis, entries in enumerate(_pose_axes(kernel_size, motion.dtype))
    ]
    return _normalised(jnp.einsum("ta,ty,tx->ayx", *near))


def _pose_axes(kernel_size: int, dtype: jnp.dtype) -> list[jax.Array]:
    """Rolls, rows and columns of a density's entries, in pixels that a pose moves the picture."""
    half, rolls = kernel_size // 2, _rolls(kernel_size)
    return [jnp.linspace(-half, half, n, dtype=dtype) for n in (rolls, kernel_size, kernel_size)]


def _grid(shape: tuple[int, ...], k: int) -> tuple[int, int]:
    rows, cols = (min(max(round(n / max(2 * k, _LEAST_PATCH)), 1), _LARGEST_GRID) for n in shape)
    return rows, cols


def _rolls(k: int) -> int:
    return min(k, _MOST_ROLLS)


def _one_level(
    photo: jax.Array,
    size: jax.Array | None,
    density: jax.Array,
    sparsity: jax.Array | float,
    grid: tuple[int, int],
) -> tuple[jax.Array, jax.Array]:
    crops = _crops(photo.shape, grid)
    side, k = crops.windows.shape[1:], density.shape[-1]
    shape = fourier.canvas_shape(side, k)
    gaps = ((0, 0), *((0, n - m) for n, m in zip(shape, side, strict=True)))

    def cut(image: jax.Array) -> jax.Array:
        return image[crops.rows[:, :, None], crops.cols[:, None, :]]

    def edges(canvases: jax.Array) -> jax.Array:
        # The last row and column of a crop have no neighbour of their own.
        known = fourier.inside((side[0] - 1, side[1] - 1), shape)
        return jax.vmap(fourier.differences)(canvases) * known[None, None]

    trust = cut(fourier.inside(photo.shape if size is None else size, photo.shape))
    weight = jnp.pad(jnp.sqrt(crops.windows) * trust, gaps)[:, None]
    canvases = jax.vmap(lambda crop: fourier.extend(crop, shape))(cut(photo))
    photo_edges = edges(canvases) * weight

    def alternate(carry, _):
        density, sparsity = carry
        kernels = blur.unit_sums(synthesise(density, photo.shape, grid))
        latents = jax.vmap(
            lambda g, k: kernel_estimation.l0_latent(g, k, sparsity, kernel_estimation.SPLITTINGS)
        )(canvases, kernels)
        blended = (
            jnp.zeros_like(photo)
            .at[crops.rows[:, :, None], crops.cols[:, None, :]]
            .add(crops.windows * latents[:, : side[0], : side[1]])
        )
        latent_edges = edges(jnp.pad(cut(blended), gaps, mode="edge")) * weight
        density = _fit(latent_edges, photo_edges, density, photo.shape, grid, _KERNEL_RIDGE)
        density = kernel_estimation.without_islands(
            jnp.where(density < _LEAST_DENSITY * jnp.max(density), 0, density), _LEAST_ISLAND
        )
        return (_centred(density), kernel_estimation.next_sparsity(sparsity)), None

    start = (density, jnp.asarray(sparsity, photo.dtype))
    return lax.scan(alternate, start, length=kernel_estimation.ALTERNATIONS)[0]


def _fit(
    latent_edges: jax.Array,
    photo_edges: jax.Array,
    density: jax.Array,
    shape: tuple[int, ...],
    grid: tuple[int, int],
    ridge: float,
) -> jax.Array:
    """Non-negative least squares for the density between weighted gradients [P, 2, ...]."""
    k = density.shape[-1]
    auto, cross = jax.vmap(lambda e, h: kernel_estimation.correlations(e, h, k))(
        latent_edges, photo_edges
    )
    energy = jnp.maximum(jnp.mean(auto[:, k - 1, k - 1]), 1e-12)
    transfers = jax.vmap(kernel_estimation.autocorrelation_transfer)(auto / energy)

    def kernels(density: jax.Array) -> jax.Array:
        return synthesise(density, shape, grid)

    to_density = jax.linear_transpose(kernels, density)

    def normal(density: jax.Array) -> jax.Array:
        blurred = kernels(density)
        correlated = jax.vmap(kernel_estimation.convolve)(blurred, transfers)
        return to_density(correlated + ridge * blurred)[0] + _RIDGE * density

    right = to_density(cross / energy)[0]
    density = least_squares.non_negative_least_squares(
        normal,
        right,
        density,
        steepness=least_squares.steepness(normal, right),
        iterations=_ITERATIONS,
    )
    return _normalised(density)


def _crops(shape: tuple[int, ...], grid: tuple[int, int]) -> _Crops:
    """Crops of equal size that hold the windows of `blur.windows`."""
    axes = []
    for n, profiles in zip(shape, blur.windows((shape[0], shape[1]), grid), strict=True):
        first = (profiles > 0).argmax(1)
        length = int(((profiles > 0).sum(1)).max())
        places = np.minimum(first, n - length)[:, None] + np.arange(length)
        axes.append((places, np.take_along_axis(profiles, places, 1)))
    (rows, row_profiles), (cols, col_profiles) = axes
    r, c = (i.ravel() for i in np.indices(grid))
    windows = row_profiles[r][:, :, None] * col_profiles[c][:, None, :]
    return _Crops(rows[r], cols[c], windows.astype(np.float32))


def _centred(density: jax.Array) -> jax.Array:
    """The density moved by whole entries, so that its mean pose is the middle one."""
    for axis, n in enumerate(density.shape):
        mass = jnp.sum(density, [other for other in range(3) if other != axis])
        move = jnp.round(jnp.sum(mass * jnp.arange(n)) / jnp.sum(mass)).astype(int) - n // 2
        places = jnp.arange(n) + move
        known = ((places >= 0) & (places < n)).reshape([-1 if i == axis else 1 for i in range(3)])
        density = jnp.take(density, jnp.clip(places, 0, n - 1), axis=axis) * known
    return _normalised(density)


def _normalised(density: jax.Array) -> jax.Array:
    """Of sum one; where nothing is left, the camera that did not move."""
    still = jnp.zeros_like(density).at[tuple(n // 2 for n in density.shape)].set(1.0)
    total = jnp.sum(density)
    return jnp.where(total > 1e-8, density / jnp.maximum(total, 1e-8), still)
