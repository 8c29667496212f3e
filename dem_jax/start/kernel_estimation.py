"""Parts of classical kernel estimates: an image of few edges, and the kernel that fits to it.

In every view the starts alternate between the two,

    f = argmin |k * f - g|^2 + lambda |grad f|_0 (+ lambda |f - b|_0)      (half-quadratic, FFT)
    k = argmin |k * grad f - grad g|^2 + ridge |k|^2 + smooth |w grad k|^2        (k >= 0)

after Xu, Zheng, Jia: Unnatural L0 sparse representation for natural image deblurring, CVPR 2013,
and Pan et al.: Deblurring text images via L0-regularized intensity and gradient prior, CVPR 2014.
Photos are planes [H, W] of range one, kernels [k, k] in windows of w = k pixels. All shapes are
fixed by the photo and k.
"""

import jax
import jax.numpy as jnp
from jax import lax

from dem_jax.model.blur import good_size, recentre
from dem_jax.solve import fourier
from dem_jax.solve.least_squares import non_negative_least_squares
from dem_jax.start.views import normalised

SPLITTINGS = 24  # half-quadratic steps for every image
_DECAY = 1 / 1.1  # of lambda, from one alternation to the next
_FINEST_SPLITTING = 1e5  # last penalty of the half-quadratic splitting (Xu et al.)
_FINEST_VALUES = 8.0  # the same for values (Pan et al.)
_LEAST_SPARSITY = 1e-4  # squared image units


def next_sparsity(sparsity: jax.Array) -> jax.Array:
    """Lambda of the next alternation."""
    return jnp.maximum(_DECAY * sparsity, _LEAST_SPARSITY)


def l0_latent(
    photo: jax.Array,
    kernel: jax.Array,
    sparsity: jax.Array,
    splittings: int,
    *,
    plain: jax.Array | float = 0.0,
    background: jax.Array | float = 1.0,
) -> jax.Array:
    """The image of few edges that explains the photo; both on the canvas, [H, W] of range one.

    With `plain` = 1 the image also has few values other than `background`, as text on paper has:
    lambda |f - b|_0 is added. Where the expected background is not the photo's, little is lost.
    """
    shape = photo.shape
    transfer = fourier.transfer_function(kernel, shape)
    gradient = fourier.difference_transfer(shape)
    power = jnp.abs(transfer) ** 2, jnp.sum(jnp.abs(gradient) ** 2, 0)
    data = jnp.conj(transfer) * jnp.fft.rfft2(photo)
    first = 2 * sparsity
    penalties = first * (_FINEST_SPLITTING / first) ** jnp.linspace(0, 1, splittings)
    values = plain * first * (_FINEST_VALUES / first) ** jnp.linspace(0, 1, splittings)

    def split(latent, pair):
        penalty, value = pair
        edges = fourier.differences(latent)
        kept = jnp.sum(edges**2, 0) >= sparsity / penalty
        prior = jnp.sum(jnp.conj(gradient) * jnp.fft.rfft2(edges * kept[None]), 0)
        other = value * (latent - background) ** 2 >= sparsity
        flat = jnp.fft.rfft2(jnp.where(other, latent, background))
        spectrum = (data + value * flat + penalty * prior) / (power[0] + value + penalty * power[1])
        return jnp.fft.irfft2(spectrum, s=shape), None

    return lax.scan(split, photo, (penalties, values))[0]


def fit_kernel(
    latent_edges: jax.Array,
    photo_edges: jax.Array,
    support: jax.Array,
    ridge: float,
    *,
    smoothness: jax.Array | float = 0.0,
    iterations: int = 80,
) -> jax.Array:
    """Non-negative least squares for the kernel between two sets of gradient planes.

        min_{k >= 0} sum_d |k * e_d - h_d|^2 / |e|^2 + ridge |k|^2 + smoothness |w grad k|^2

    w being the window's pixels along a side: what is smooth is so in units of the kernel, whatever
    the photo's resolution. The sum depends on the planes only through the autocorrelation of e and
    its correlation with h, so that an iteration (FISTA) costs one small transform, whatever the
    photo's size.

    Args:
      latent_edges: e, [D, ...] canvas planes, zero outside the photo.
      photo_edges: h, the same shape.
      support: [k, k], 1 where the kernel may be positive.
      ridge: relative to the power of e.
      smoothness: the same, of the kernel's differences.
      iterations: FISTA steps; few of them leave the ill-determined high frequencies smooth.

    Returns:
      [k, k] of sum one.
    """
    size = support.shape[0]
    auto, cross = correlations(latent_edges, photo_edges, size)
    energy = jnp.maximum(auto[size - 1, size - 1], 1e-12)
    differences = (smoothness * size**2) * jnp.asarray([[0, -1, 0], [-1, 4, -1], [0, -1, 0]])
    smoothed = (auto / energy).at[size - 2 : size + 1, size - 2 : size + 1].add(differences)
    transfer = autocorrelation_transfer(smoothed)
    kernel = non_negative_least_squares(
        lambda kernel: convolve(kernel, transfer) + ridge * kernel,
        cross / energy,
        cross / energy * support,
        steepness=jnp.max(jnp.abs(transfer)) + ridge,
        iterations=iterations,
        support=support,
    )
    return normalised(kernel)


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
    return normalised(without_islands(kept, least_island))


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
