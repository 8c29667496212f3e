"""A first kernel from the photo alone: coarse to fine, with an L0 prior on the image's gradient.

At every level of a pyramid, alternately,

    f = argmin |k * f - g|^2 + lambda |grad f|_0         (half-quadratic splitting, FFT)
    k = argmin |k * grad f - grad g|^2 + ridge |k|^2     (non-negative, on k x k pixels)

after Xu, Zheng, Jia: Unnatural L0 sparse representation for natural image deblurring, CVPR 2013,
and Pan et al.: Deblurring text images via L0-regularized intensity and gradient prior, CVPR 2014.
Photos are planes [H, W] in [0, 1], kernels [k, k]. All shapes are fixed by the photo and k, so
that the whole estimate works under jit and, over starts, under vmap.
"""

import jax
import jax.numpy as jnp
from jax import lax

from dem_jax.model.blur import good_size, recentre
from dem_jax.solve import fourier
from dem_jax.solve.deconvolution import hyper_laplacian
from dem_jax.solve.least_squares import non_negative_least_squares

ALTERNATIONS = 5  # of image and kernel at every level of the pyramid
SPLITTINGS = 24  # half-quadratic steps for every image
_RIDGE = 2e-3  # on the kernel, relative to the power of the image's gradient
_LEAST_ENTRY = 0.02  # smaller kernel entries, relative to the largest, are dropped
_LEAST_ISLAND = 0.05  # smaller separate parts of the kernel, by mass, are dropped
_DECAY = 1 / 1.1  # of lambda, from one alternation to the next
_FINEST_SPLITTING = 1e5  # last penalty of the half-quadratic splitting (Xu et al.)
_LEAST_SPARSITY = 1e-4  # squared image units
_LEAST_SIDE = 16  # pixels; the pyramid does not shrink a photo below this
_STRONG_EDGE = 0.1  # image units: the least gradient that counts in `from_strong_edges`
_REFITS = 4  # alternations of it


def coarse_to_fine(
    photo: jax.Array,
    sparsity: jax.Array | float,
    support_fraction: jax.Array | float,
    *,
    kernel_size: int,
    size: jax.Array | None = None,
) -> jax.Array:
    """One kernel for the whole photo.

    Args:
      photo: [H, W] luma in [0, 1].
      sparsity: lambda at the coarsest level, in squared image units; it decreases step by step.
      support_fraction: the part of the kernel's half-width that may be used, in (0, 1]: a smaller
        kernel in the same static size.
      kernel_size: k, odd.
      size: [2] rows and columns of the photo where what follows them is padding; None is all.

    Returns:
      [k, k], non-negative, of sum one, its centre of mass near the middle.
    """
    sizes = pyramid(kernel_size)
    middle = sizes[0] // 2
    kernel = jnp.zeros((sizes[0],) * 2).at[middle, middle - 1 : middle + 1].set(0.5)
    for k in sizes:
        level, level_size = pyramid_level(photo, k / kernel_size, k, size)
        kernel = _normalised(jnp.maximum(jax.image.resize(kernel, (k, k), "cubic"), 0))
        kernel, sparsity = _one_level(level, level_size, kernel, sparsity, support_fraction)
    return kernel


def pyramid(kernel_size: int) -> list[int]:
    """Odd kernel sizes from the coarsest level to the finest, by steps of about sqrt(1/2)."""
    sizes, size = [kernel_size], float(kernel_size)
    while sizes[-1] > 3:
        size *= 0.5**0.5
        sizes.append(min(max(2 * round((size - 1) / 2) + 1, 3), sizes[-1] - 2))
    return sizes[::-1]


def pyramid_level(
    photo: jax.Array, scale: float, kernel_size: int, size: jax.Array | None
) -> tuple[jax.Array, jax.Array | None]:
    """The photo [H, W] (and the `size` of it that is no padding), made smaller by `scale`."""
    if scale == 1:
        return photo, size
    side = [max(round(n * scale), min(n, _LEAST_SIDE), kernel_size) for n in photo.shape]
    if size is not None:
        size = size * jnp.asarray(side) // jnp.asarray(photo.shape)
    return jax.image.resize(photo, side, "linear"), size


def _one_level(
    photo: jax.Array,
    size: jax.Array | None,
    kernel: jax.Array,
    sparsity: jax.Array | float,
    support_fraction: jax.Array | float,
) -> tuple[jax.Array, jax.Array]:
    k = kernel.shape[0]
    shape = fourier.canvas_shape(photo.shape, k)
    mask = fourier.inside(photo.shape if size is None else size, shape)[None]
    canvas = fourier.extend(photo, shape, size)
    edges = fourier.differences(canvas) * mask
    half = k // 2
    near = jnp.abs(jnp.arange(k) - half) <= jnp.maximum(jnp.round(support_fraction * half), 1)
    support = (near[:, None] & near[None]).astype(photo.dtype)

    def alternate(carry, _):
        kernel, sparsity = carry
        latent = l0_latent(canvas, kernel, sparsity, SPLITTINGS)
        kernel = fit_kernel(fourier.differences(latent) * mask, edges, support, _RIDGE)
        kernel = clean(kernel, _LEAST_ENTRY, _LEAST_ISLAND)
        return (kernel, next_sparsity(sparsity)), None

    start = (kernel, jnp.asarray(sparsity, photo.dtype))
    return lax.scan(alternate, start, length=ALTERNATIONS)[0]


def from_strong_edges(
    photo: jax.Array,
    kernel: jax.Array,
    weight: jax.Array | float,
    *,
    size: jax.Array | None = None,
) -> jax.Array:
    """Another estimate of a kernel, by the strong edges of the image that it makes of the photo.

    A few times, with the hyper-Laplacian prior in place of the L0 one,

        f = argmin |k * f - g|^2 / 2 + weight sum |grad f|^0.8
        k = argmin |k * grad f - grad g|^2 + ridge |k|^2     (where |grad f| >= 0.1 in f)

    Neither is the better one on all photos, but they err differently: a mean of the two gains where
    this one is better, and loses next to nothing where it is worse (docs/accuracy.md).

    Args:
      photo: g, [H, W] luma in [0, 1].
      kernel: [k, k] of sum one.
      weight: the prior's, in squared image units; see `deconvolution.prior_weight`.
      size: [2] rows and columns of the photo where what follows them is padding; None is all.

    Returns:
      [k, k], non-negative, of sum one, where the given kernel lies.

    Source: Xu and Jia: Two-phase kernel estimation for robust motion deblurring, ECCV 2010.
    """
    (rows, cols), k = photo.shape, kernel.shape[0]
    half, shape = k // 2, fourier.canvas_shape(photo.shape, k)
    # Without the last row and column, whose differences reach beyond the photo.
    last = jnp.asarray(photo.shape) if size is None else size
    mask = fourier.inside(last - 1, shape)[None]
    photo_edges = fourier.differences(fourier.extend(photo, shape, size)) * mask
    everywhere = jnp.ones_like(kernel)

    def refit(kernel, _):
        latent = hyper_laplacian(photo, kernel, weight, size=size)
        latent = latent[half : half + rows, half : half + cols]
        latent = jnp.pad(latent, ((0, shape[0] - rows), (0, shape[1] - cols)))
        edges = fourier.differences(latent)
        strong = mask * (jnp.sum(edges**2, 0) >= _STRONG_EDGE**2)[None]
        kernel = fit_kernel(edges * strong, photo_edges, everywhere, _RIDGE)
        return without_faint_parts(kernel, _LEAST_ENTRY, _LEAST_ISLAND), None

    return lax.scan(refit, kernel, length=_REFITS)[0]


def next_sparsity(sparsity: jax.Array) -> jax.Array:
    """Lambda of the next alternation."""
    return jnp.maximum(_DECAY * sparsity, _LEAST_SPARSITY)


SPLITTINGS = 24  # half-quadratic steps for every image


def l0_latent(
    photo: jax.Array, kernel: jax.Array, sparsity: jax.Array, splittings: int
) -> jax.Array:
    """The image of few edges that explains the photo; both on the canvas."""
    shape = photo.shape
    transfer = fourier.transfer_function(kernel, shape)
    gradient = fourier.difference_transfer(shape)
    power = jnp.abs(transfer) ** 2, jnp.sum(jnp.abs(gradient) ** 2, 0)
    data = jnp.conj(transfer) * jnp.fft.rfft2(photo)
    first = 2 * sparsity
    penalties = first * (_FINEST_SPLITTING / first) ** jnp.linspace(0, 1, splittings)

    def split(latent, penalty):
        edges = fourier.differences(latent)
        kept = jnp.sum(edges**2, 0) >= sparsity / penalty
        prior = jnp.sum(jnp.conj(gradient) * jnp.fft.rfft2(edges * kept[None]), 0)
        spectrum = (data + penalty * prior) / (power[0] + penalty * power[1])
        return jnp.fft.irfft2(spectrum, s=shape), None

    return lax.scan(split, photo, penalties)[0]


def fit_kernel(
    latent_edges: jax.Array,
    photo_edges: jax.Array,
    support: jax.Array,
    ridge: float,
    *,
    iterations: int = 80,
) -> jax.Array:
    """Non-negative least squares for the kernel between two sets of gradient planes.

    min_{k >= 0} sum_d |k * e_d - h_d|^2 / |e|^2 + ridge |k|^2 depends on the planes only through
    the autocorrelation of e and its correlation with h, so that an iteration (FISTA) costs one
    small transform, whatever the photo's size.

    Args:
      latent_edges: e, [D, ...] canvas planes, zero outside the photo.
      photo_edges: h, the same shape.
      support: [k, k], 1 where the kernel may be positive.
      ridge: relative to the power of e.
      iterations: FISTA steps; few of them leave the ill-determined high frequencies smooth.

    Returns:
      [k, k] of sum one.
    """
    size = support.shape[0]
    auto, cross = correlations(latent_edges, photo_edges, size)
    energy = jnp.maximum(auto[size - 1, size - 1], 1e-12)
    transfer = autocorrelation_transfer(auto / energy)
    kernel = non_negative_least_squares(
        lambda kernel: convolve(kernel, transfer) + ridge * kernel,
        cross / energy,
        cross / energy * support,
        steepness=jnp.max(jnp.abs(transfer)) + ridge,
        iterations=iterations,
        support=support,
    )
    return _normalised(kernel)


def correlations(
    latent_edges: jax.Array, photo_edges: jax.Array, size: int
) -> tuple[jax.Array, jax.Array]:
    """What the least squares need to know of gradient planes e and h, [D, ...] on a canvas.

    Returns:
      The autocorrelation of e, [2 size - 1, 2 size - 1], and its correlation with h, [size, size],
      no motion in the middle of both.
    """
    shape = latent_edges.shape[1:]
    latent, photo = jnp.fft.rfft2(latent_edges), jnp.fft.rfft2(photo_edges)
    auto = jnp.fft.irfft2(jnp.sum(jnp.abs(latent) ** 2, 0), s=shape)
    cross = jnp.fft.irfft2(jnp.sum(jnp.conj(latent) * photo, 0), s=shape)
    cross = jnp.roll(cross, (size // 2, size // 2), (0, 1))[:size, :size]
    auto = jnp.roll(auto, (size - 1, size - 1), (0, 1))[: 2 * size - 1, : 2 * size - 1]
    return auto, cross


def autocorrelation_transfer(auto: jax.Array) -> jax.Array:
    """The transfer function of an autocorrelation, on a canvas that `convolve` needs."""
    return fourier.transfer_function(auto, (good_size(2 * auto.shape[0]),) * 2)


def convolve(kernel: jax.Array, transfer: jax.Array) -> jax.Array:
    """An autocorrelation (by its transfer function) times a kernel, on the kernel's pixels."""
    size, canvas = kernel.shape[0], (transfer.shape[0],) * 2
    return jnp.fft.irfft2(jnp.fft.rfft2(kernel, s=canvas) * transfer, s=canvas)[:size, :size]


def clean(kernel: jax.Array, least_entry: float, least_island: float) -> jax.Array:
    """`without_faint_parts`, its centre of mass in the middle; [k, k] of sum one."""
    return recentre(without_faint_parts(kernel, least_entry, least_island)[None])[0][0]


def without_faint_parts(kernel: jax.Array, least_entry: float, least_island: float) -> jax.Array:
    """Drops faint entries, then islands of little mass.

    Args:
      kernel: [k, k], non-negative.
      least_entry: entries below this part of the largest are set to zero. It is small, because the
        fast stretches of a shake leave a faint trace that belongs to the kernel.
      least_island: 8-connected components with less than this part of the mass are removed.

    Returns:
      [k, k] of sum one.
    """
    kept = jnp.where(kernel < least_entry * jnp.max(kernel), 0, kernel)
    return _normalised(without_islands(kept, least_island))


def without_islands(mass: jax.Array, least: float) -> jax.Array:
    """Sets to zero what hangs together (corners included) with less than `least` of the mass.

    Fixed shapes: every entry takes the largest label around it until nothing changes.
    """
    labels = jnp.arange(1, mass.size + 1).reshape(mass.shape) * (mass > 0)
    window, strides = (3,) * mass.ndim, (1,) * mass.ndim

    def spread(carry):
        labels, _ = carry
        around = lax.reduce_window(labels, 0, lax.max, window, strides, "SAME") * (mass > 0)
        return around, jnp.any(around != labels)

    labels, _ = lax.while_loop(lambda carry: carry[1], spread, (labels, jnp.array(True)))
    island = jnp.zeros(mass.size + 1).at[labels].add(mass)
    return jnp.where(island[labels] >= least * jnp.sum(mass), mass, 0)


def _normalised(kernel: jax.Array) -> jax.Array:
    """Of sum one; where nothing is left, the kernel that does not blur."""
    size = kernel.shape[0]
    point = jnp.zeros_like(kernel).at[size // 2, size // 2].set(1.0)
    total = jnp.sum(kernel)
    return jnp.where(total > 1e-8, kernel / jnp.maximum(total, 1e-8), point)
