"""A kernel for every patch from one camera path: how long the camera was turned and shifted where.

A density w(theta, t) >= 0 over rolls theta and displacements t of the photo's middle, sum one,
gives the kernel at a point c, seen from the middle:

    k_c(x) = sum_{theta, t} w(theta, t) [x = t + b (t . c) c / F^2 + theta J c],  J (r, q) = (-q, r)

The second term tells a camera that is tilted, b = 1, which moves the borders more than the middle,
from one that is shifted, b = 0; the one that leaves crops sparser is taken, and a shift must gain
more. F, the focal length, is taken to be the photo's longer side, as that of most phones nearly is.
All patches vote on the density, so that patches without texture get kernels too.
It is found as one kernel is, from a view in which it has 5 pixels to finer and finer ones,
alternately,

    f = L0-sharpened photo, patch by patch, blended by the windows
    w = argmin_{w >= 0} sum_p |u_p (k_p * e - grad g)|^2 + ridge |k_p|^2,    u_p^2 the windows

where e holds the strong, useful edges of f, as for one kernel.

Sources: Whyte, Sivic, Zisserman, Ponce: Non-uniform deblurring for shaken images, CVPR 2010; Gupta,
Joshi, Zitnick, Cohen, Curless: Single image deblurring using motion density functions, ECCV 2010;
Hirsch, Schuler, Harmeling, Schoelkopf: Fast removal of non-uniform camera shake, ICCV 2011 (fit by
patches).
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from dem_jax.model import blur
from dem_jax.model.windows import Crops, crops
from dem_jax.solve import few_edges, fourier, kernel_fit, least_squares
from dem_jax.start import cleaning, edges, one_kernel
from dem_jax.start.one_kernel import Setting
from dem_jax.start.views import View

_MOST_ROLLS = 31  # angles
_LEVER = 0.8  # of half the diagonal: where a roll is measured, in pixels
_LEAST_DENSITY, _LEAST_ISLAND = 0.02, 0.02  # of the largest entry, of the sum: less is dropped
_KERNEL_RIDGE = 2e-3  # on the kernels, relative to the mean power of the patches' edges
_RIDGE = 1e-3  # on the density: it spreads over poses that the photo does not tell apart
_ITERATIONS = 50  # of every fit to a photo
_LEAST_PATCH = 64  # pixels, and two kernels: the patches of a level
_LARGEST_GRID = 6  # rows or columns of them


def rolls(kernel_size: int) -> int:
    """The number of rolls in a density for kernels of that size, odd."""
    return min(kernel_size, _MOST_ROLLS)


def work(shape: tuple[int, ...], kernel_size: int) -> int:
    """Entries of a density, times the patches that vote on it: what a step of its fit sees."""
    rows, cols = _grid(shape, kernel_size)
    return rows * cols * rolls(kernel_size) * kernel_size**2


def synthesise(
    density: jax.Array, centres: np.ndarray, shape: tuple[int, ...], tilt: jax.Array | float = 1.0
) -> jax.Array:
    """The kernels [P, k, k] of a density at points of a photo; linear in the density.

    What leaves the k x k pixels is lost. Displacements between pixels are split linearly.

    Args:
      density: [A, k, k]: rolls of -k/2 to k/2 pixels at `_lever`, displacements of the middle.
      centres: [P, 2] points (row, column).
      shape: of the photo, (H, W).
      tilt: b.
    """
    count, k, _ = density.shape
    middle = (np.asarray(shape[:2]) - 1) / 2
    focal, half = float(max(shape[:2])), k // 2
    steps = jnp.arange(k, dtype=density.dtype) - half
    angles = jnp.linspace(-half, half, count, dtype=density.dtype) / _lever(shape)
    angle, row, col = (x.ravel() for x in jnp.meshgrid(angles, steps, steps, indexing="ij"))
    weights = density.ravel()

    def at(centre: jax.Array) -> jax.Array:
        y, x = centre
        farther = tilt * (row * y + col * x) / focal**2
        return _splat(weights, row + farther * y - angle * x, col + farther * x + angle * y, k)

    return lax.map(at, jnp.asarray(centres - middle, density.dtype))


def patch_kernels(
    density: jax.Array, shape: tuple[int, ...], grid: tuple[int, int], tilt: jax.Array | float = 1.0
) -> jax.Array:
    """The kernels [P, k, k] of a grid's patches, each of sum one, by a density [A, k, k]."""
    centres = blur.patch_centres((shape[0], shape[1]), grid)
    return blur.unit_sums(synthesise(density, centres, shape, tilt))


def without_roll(kernel: jax.Array) -> jax.Array:
    """The density [A, k, k] of a camera that was only moved, as one kernel [k, k] tells."""
    count = rolls(kernel.shape[-1])
    return jnp.zeros((count, *kernel.shape), kernel.dtype).at[count // 2].set(kernel)


def coarse_to_fine(
    view: View, setting: Setting, *, window: int, tilt: jax.Array | float = 1.0
) -> jax.Array:
    """The density [A, window, window] for a view of range one, from no more than the view."""
    sizes = one_kernel.window_sizes(window)
    density = without_roll(one_kernel.first_kernel(sizes[0]))
    sparsity = setting.sparsity
    for size in sizes:
        level = one_kernel.level(view, size, window)
        density = zoom(density, size, size / density.shape[-1])
        setting = setting._replace(sparsity=sparsity)
        density, sparsity = alternate(level, density, setting, tilt=tilt)
    return density


def alternate(
    view: View,
    density: jax.Array,
    setting: Setting,
    *,
    times: int = one_kernel.ALTERNATIONS,
    tilt: jax.Array | float = 1.0,
) -> tuple[jax.Array, jax.Array]:
    """Image and density [A, k, k] in turn, on one view; the density, and lambda as it is then."""
    shape, k = view.plane.shape, density.shape[-1]
    grid = _grid(shape, k)
    parts = crops((shape[0], shape[1]), grid, k // 2)
    window = jnp.asarray(parts.rows[:, :, None] * parts.cols[:, None, :])
    canvas = fourier.canvas_shape(parts.shape, k)
    seen = edges.voters(view, k, useless=setting.useless)
    useful = seen.useful[: shape[0], : shape[1]]
    photo_edges = seen.edges[:, : shape[0], : shape[1]]
    centres = blur.patch_centres((shape[0], shape[1]), grid)

    def kernels_of(density: jax.Array) -> jax.Array:
        return synthesise(density, centres, shape, tilt)

    back = jax.linear_transpose(kernels_of, density)

    def sharpened(density: jax.Array, sparsity: jax.Array) -> jax.Array:
        kernels = blur.unit_sums(kernels_of(density))

        def add(total, patch):
            kernel, first, weight = patch
            crop = lax.dynamic_slice(view.plane, first, parts.shape)
            own = None if view.size is None else _own_size(view.size, first, parts)
            extended = fourier.extend(crop, canvas, own)
            latent = few_edges.l0_latent(extended, kernel, sparsity, one_kernel.SPLITTINGS)
            found = weight * latent[: parts.shape[0], : parts.shape[1]]
            before = lax.dynamic_slice(total, first, parts.shape)
            return lax.dynamic_update_slice(total, before + found, first), None

        patches = (kernels, jnp.asarray(parts.first), window)
        return lax.scan(add, jnp.zeros_like(view.plane), patches)[0]

    def told(latent_edges: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Of every patch: the transfer of its edges' autocorrelation, and their correlation."""
        gaps = ((0, 0), *((0, n - m) for n, m in zip(canvas, parts.shape, strict=True)))

        def one(patch):
            first, weight = patch

            def cut(planes: jax.Array) -> jax.Array:
                crop = lax.dynamic_slice(planes, (0, first[0], first[1]), (2, *parts.shape))
                return jnp.pad(crop * jnp.sqrt(weight)[None], gaps)

            return kernel_fit.correlations(cut(latent_edges), cut(photo_edges), k)

        auto, cross = lax.map(one, (jnp.asarray(parts.first), window))
        energy = jnp.maximum(jnp.mean(auto[:, k - 1, k - 1]), 1e-12)
        return jax.vmap(kernel_fit.autocorrelation_transfer)(auto / energy), cross / energy

    def once(carry, _):
        density, sparsity = carry
        latent = sharpened(density, sparsity)
        rows = jnp.diff(latent, axis=0, append=latent[-1:])
        cols = jnp.diff(latent, axis=1, append=latent[:, -1:])
        found = edges.strongest(jnp.stack([rows, cols]), useful, seen.share * setting.fraction)
        density = _cleaned(_fit(*told(found), density, kernels_of, back))
        return (density, one_kernel.next_sparsity(sparsity)), None

    begin = (_cleaned(density), jnp.asarray(setting.sparsity, view.plane.dtype))
    return lax.scan(once, begin, length=times)[0]


def zoom(density: jax.Array, kernel_size: int, scale: float) -> jax.Array:
    """The density [A, k, k] of a view whose pixels are `scale` times as fine."""
    count, window, _ = density.shape
    shape = (rolls(kernel_size), kernel_size, kernel_size)
    finer = scale * (window // 2) / max(count - 1, 1) * (shape[0] - 1) / (kernel_size // 2)
    factors = jnp.asarray([finer, scale, scale], density.dtype)
    shift = (jnp.asarray(shape) - factors * jnp.asarray(density.shape)) / 2
    found = jax.image.scale_and_translate(
        density, shape, (0, 1, 2), factors, shift, "linear", antialias=False
    )
    return _normalised(jnp.maximum(found, 0))


def _lever(shape: tuple[int, ...]) -> float:
    """Pixels from the middle of a photo of `shape` to where a roll is measured."""
    return _LEVER * float(np.hypot(shape[0], shape[1])) / 2


def _splat(weights: jax.Array, row: jax.Array, col: jax.Array, k: int) -> jax.Array:
    """[k, k] of weights [N] at displacements from the middle pixel, split bilinearly."""
    side = k + 2  # a border for what is lost
    total = jnp.zeros(side * side, weights.dtype)
    low = jnp.floor(row), jnp.floor(col)
    for down in (0, 1):
        for right in (0, 1):
            y, x = low[0] + down, low[1] + right
            part = (1 - jnp.abs(row - y)) * (1 - jnp.abs(col - x))
            place = jnp.clip(y + k // 2 + 1, 0, side - 1), jnp.clip(x + k // 2 + 1, 0, side - 1)
            total = total.at[(place[0] * side + place[1]).astype(int)].add(part * weights)
    return total.reshape(side, side)[1:-1, 1:-1]


def _fit(
    transfers: jax.Array,
    cross: jax.Array,
    density: jax.Array,
    kernels_of: Callable[[jax.Array], jax.Array],
    back: Callable[[jax.Array], tuple[jax.Array]],
) -> jax.Array:
    """Non-negative least squares for the density, from what the patches' edges tell."""

    def normal(density: jax.Array) -> jax.Array:
        kernels = kernels_of(density)
        correlated = jax.vmap(kernel_fit.convolve)(kernels, transfers)
        return back(correlated + _KERNEL_RIDGE * kernels)[0] + _RIDGE * density

    right = back(cross)[0]
    return least_squares.non_negative_least_squares(
        normal,
        right,
        density,
        steepness=least_squares.steepness(normal, right),
        iterations=_ITERATIONS,
    )


def _grid(shape: tuple[int, ...], k: int) -> tuple[int, int]:
    rows, cols = (min(max(round(n / max(2 * k, _LEAST_PATCH)), 1), _LARGEST_GRID) for n in shape)
    return rows, cols


def _own_size(size: jax.Array, first: jax.Array, parts: Crops) -> jax.Array:
    """[2] rows and columns of a crop that are no padding; one of each at least."""
    return jnp.clip(size - first, 1, jnp.asarray(parts.shape))


def _cleaned(density: jax.Array) -> jax.Array:
    """Without faint entries and small islands, of sum one, its mean displacement in the middle."""
    return _centred(cleaning.without_faint_parts(density, _LEAST_DENSITY, _LEAST_ISLAND))


def _centred(density: jax.Array) -> jax.Array:
    """The density moved by whole entries, so that its mean pose is the middle one."""
    for axis, n in enumerate(density.shape):
        mass = jnp.sum(density, [other for other in range(3) if other != axis])
        mean = jnp.sum(mass * jnp.arange(n)) / jnp.maximum(jnp.sum(mass), 1e-12)
        places = jnp.arange(n) + jnp.round(mean).astype(int) - n // 2
        known = ((places >= 0) & (places < n)).reshape([-1 if i == axis else 1 for i in range(3)])
        density = jnp.take(density, jnp.clip(places, 0, n - 1), axis=axis) * known
    return _normalised(density)


def _normalised(density: jax.Array) -> jax.Array:
    """Of sum one; where nothing is left, the camera that did not move."""
    still = jnp.zeros_like(density).at[tuple(n // 2 for n in density.shape)].set(1.0)
    total = jnp.sum(density)
    return jnp.where(total > 1e-8, density / jnp.maximum(total, 1e-8), still)
