"""Non-blind deconvolution: the image that known kernels make of a photo.

    f = argmin_f |A(K) f - g|^2 / 2 + weight sum |grad f|^0.8

Everything that deconvolves calls `deconvolve`: the start and its choice, the refinement of EM's
image, and the tiles of large photos. Filter flow is solved patch by patch with transforms, any
other linear blur by conjugate gradients.

Source: Krishnan and Fergus: Fast image deconvolution using hyper-Laplacian priors, NIPS 2009.
"""

import jax
import jax.numpy as jnp
from jax import lax

from dem_jax.model import likelihood, windows
from dem_jax.model.blur import FilterFlow
from dem_jax.solve import fourier, least_squares
from dem_jax.types import BlurOperator

SMOOTHNESS = 1.5  # prior weight over error variance: 1.1 to 3.3 are best for noise 0.003 to 0.03
# What a kernel is wrong by, as an error of the photo in image units beside its noise.
_START_ERROR = 0.008  # one kernel of a start
_GRID_ERROR = 0.012  # kernels of a grid, before and after EM
_EM_ERROR = 0.005  # one kernel of EM
_DATA_SPLITTING = 0.05  # penalty of the copy of k * f, relative to the data term
_LIGHT_SPLITTING = 0.002  # likewise of the copy of f that is not negative
_PLAUSIBLE = 5.0  # residuals that are plausible, in roots of the prior's weight
_BELIEVED = 3  # alternations in which every pixel is: there is no prediction yet to judge them by
_EXPONENT = 0.8  # of the gradient's hyper-Laplacian prior
_INNER_STEPS = 6  # conjugate gradient steps for every set of edges, where the blur is a general one


def deconvolve(
    photo: jax.Array,
    kernels: jax.Array,
    weight: jax.Array | float,
    *,
    blur: BlurOperator,
    trust: jax.Array | None = None,
    white: jax.Array | float = likelihood.CLIPPED,
    size: jax.Array | None = None,
    iterations: int = 40,
) -> jax.Array:
    """The image [H+k-1, W+k-1, C] that known kernels make of a photo, not clipped.

    Args:
      photo: g, [H, W, C] in [0, 1].
      kernels: [P, k, k], each of sum one.
      weight: of the prior, in squared image units, see `prior_weight`.
      blur: A; filter flow is solved patch by patch, each on a crop of its own, and the results are
        weighted by the windows of the patches.
      trust: [H, W] in [0, 1], how far each pixel is known, for one kernel, which is then used by
        `robust_hyper_laplacian`, and for blurs other than filter flow; None: wholly.
      white: [] from which on a pixel is saturated, as `robust_hyper_laplacian` has to know.
      size: [2] rows and columns of the photo where what follows them is padding; None is all.
      iterations: alternations.
    """
    if not isinstance(blur, FilterFlow):
        return _general(
            photo, kernels, weight, blur=blur, trust=trust, size=size, iterations=iterations
        )

    def planes(kernel: jax.Array) -> jax.Array:
        def plane(x: jax.Array) -> jax.Array:
            return hyper_laplacian(x, kernel, weight, size=size, iterations=iterations)

        return jax.vmap(plane, -1, -1)(photo)

    if blur.grid == (1, 1) and trust is not None:
        return jax.vmap(
            lambda x: robust_hyper_laplacian(
                x, kernels[0], weight, trust, white=white, size=size, iterations=iterations
            ),
            -1,
            -1,
        )(photo)
    if blur.grid == (1, 1):
        return planes(kernels[0])
    return _in_windows(photo, kernels, weight, grid=blur.grid, size=size, iterations=iterations)


def _in_windows(
    photo: jax.Array,
    kernels: jax.Array,
    weight: jax.Array | float,
    *,
    grid: tuple[int, int],
    size: jax.Array | None,
    iterations: int,
) -> jax.Array:
    """`hyper_laplacian` of every patch on a crop of its own, weighed by the patch's window.

    A crop holds the window and a kernel more on every side, so that time and memory grow with the
    photo and hardly with the number of patches.
    """
    k = kernels.shape[-1]
    latent_shape = photo.shape[0] + k - 1, photo.shape[1] + k - 1
    crops = windows.crops(latent_shape, grid, k - 1)
    (rows, cols), channels = crops.shape, photo.shape[-1]

    def add(total: jax.Array, patch: tuple[jax.Array, ...]) -> tuple[jax.Array, None]:
        kernel, first, row, col = patch
        corner = first[0], first[1], 0
        crop = lax.dynamic_slice(photo, corner, (rows - k + 1, cols - k + 1, channels))
        # A crop of padding alone has one pixel of it.
        own = None if size is None else jnp.clip(size - first, 1, jnp.asarray(crop.shape[:2]))

        def plane(x: jax.Array) -> jax.Array:
            return hyper_laplacian(x, kernel, weight, size=own, iterations=iterations)

        found = row[:, None, None] * col[None, :, None] * jax.vmap(plane, -1, -1)(crop)
        before = lax.dynamic_slice(total, corner, found.shape)
        return lax.dynamic_update_slice(total, before + found, corner), None

    patches = (
        kernels,
        jnp.asarray(crops.first),
        jnp.asarray(crops.rows, photo.dtype),
        jnp.asarray(crops.cols, photo.dtype),
    )
    nothing = jnp.zeros((*latent_shape, channels), photo.dtype)
    return lax.scan(add, nothing, patches)[0]


def prior_weight(
    noise_std: jax.Array | float, kernel_error: float, *, smoothness: float = SMOOTHNESS
) -> jax.Array | float:
    """The weight smoothness (noise_std^2 + kernel_error^2) of the prior, image units squared.

    The photo is to be explained up to its noise and to what the kernels are wrong by.
    """
    return smoothness * (noise_std**2 + kernel_error**2)


def kernel_error(count: int, *, after_em: bool) -> float:
    """How wrong a model with `count` kernels is: an error of the photo, in image units."""
    if count > 1:
        return _GRID_ERROR
    return _EM_ERROR if after_em else _START_ERROR


def hyper_laplacian(
    photo: jax.Array,
    kernel: jax.Array,
    weight: jax.Array | float,
    *,
    iterations: int = 40,
    size: jax.Array | None = None,
) -> jax.Array:
    """argmin_f |k * f - g|^2 / 2 + weight sum |grad f|^0.8 over the pixels of the photo.

    Half-quadratic splitting of the gradients, and of k * f, which is free outside the photo: the
    border is neither wrapped nor padded (Almeida and Figueiredo, 2013).

    Args:
      photo: g, [H, W] in [0, 1].
      kernel: [k, k], sum one.
      weight: prior weight, in squared image units, see `prior_weight`.
      iterations: alternations.
      size: [2] rows and columns of the photo where what follows them is padding; None is all.

    Returns:
      f, [H+k-1, W+k-1], not clipped.

    """
    (rows, cols), k = photo.shape, kernel.shape[0]
    shape = fourier.canvas_shape(photo.shape, k)
    known = fourier.inside(photo.shape if size is None else size, shape) > 0
    canvas = fourier.extend(photo, shape, size)
    transfer = fourier.transfer_function(kernel, shape)
    gradient = fourier.difference_transfer(shape)
    power = _DATA_SPLITTING * jnp.abs(transfer) ** 2, jnp.sum(jnp.abs(gradient) ** 2, 0)

    def alternate(carry, t):
        edges, blurred, multiplier, _ = carry
        penalty = 8 * weight * jnp.minimum(1.25**t, 256.0)
        data = jnp.conj(transfer) * jnp.fft.rfft2(blurred - multiplier)
        prior = jnp.sum(jnp.conj(gradient) * jnp.fft.rfft2(edges), 0)
        spectrum = _DATA_SPLITTING * data + penalty * prior
        spectrum = spectrum / (power[0] + penalty * power[1] + 1e-8)
        latent = jnp.fft.irfft2(spectrum, s=shape)
        predicted = jnp.fft.irfft2(spectrum * transfer, s=shape)
        free = predicted + multiplier
        blurred = jnp.where(known, (canvas + _DATA_SPLITTING * free) / (1 + _DATA_SPLITTING), free)
        edges = _shrink(fourier.differences(latent), weight / penalty)
        return (edges, blurred, free - blurred, latent), None

    start = (fourier.differences(canvas), canvas, jnp.zeros(shape), canvas)
    *_, latent = lax.scan(alternate, start, jnp.arange(float(iterations)))[0]
    half = k // 2
    return jnp.roll(latent, (half, half), (0, 1))[: rows + k - 1, : cols + k - 1]


def robust_hyper_laplacian(
    photo: jax.Array,
    kernel: jax.Array,
    weight: jax.Array | float,
    trust: jax.Array,
    *,
    white: jax.Array | float = likelihood.CLIPPED,
    iterations: int = 40,
    size: jax.Array | None = None,
) -> jax.Array:
    """`hyper_laplacian` for photos with pixels that no kernel explains.

    Three things are added, each of which a photo without such pixels hardly notices:

    - a pixel counts as far as its residual is `plausible` (hot pixels, date stamps);
    - a saturated pixel bounds the light from below, it may have been more (lamps);
    - f is not negative, as light is not: no dark waves make up for bright ones.

    Args:
      photo: g, [H, W] in [0, 1].
      kernel: [k, k], sum one.
      weight: prior weight, in squared image units, see `prior_weight`.
      trust: [H, W] in [0, 1], how far each pixel is known.
      white: [] from which on a pixel is saturated.
      iterations: alternations.
      size: [2] rows and columns of the photo where what follows them is padding; None is all.

    Returns:
      f, [H+k-1, W+k-1], not clipped.

    Source of the bound: Whyte, Sivic, Zisserman: Deblurring shaken and partially saturated images,
    IJCV 2014; here as a constraint on k * f.
    """
    (rows, cols), k = photo.shape, kernel.shape[0]
    shape = fourier.canvas_shape(photo.shape, k)
    canvas = fourier.extend(photo, shape, size)
    counted = fourier.inside(photo.shape if size is None else size, shape)
    counted = counted * jnp.pad(
        trust, [(0, n - m) for n, m in zip(shape, trust.shape, strict=True)]
    )
    saturated = canvas >= white
    transfer = fourier.transfer_function(kernel, shape)
    gradient = fourier.difference_transfer(shape)
    power = _DATA_SPLITTING * jnp.abs(transfer) ** 2, jnp.sum(jnp.abs(gradient) ** 2, 0)
    scale = _PLAUSIBLE * jnp.sqrt(jnp.asarray(weight, photo.dtype))

    def alternate(carry, t):
        edges, blurred, blurred_off, light, light_off, _ = carry
        penalty = 8 * weight * jnp.minimum(1.25**t, 256.0)
        data = jnp.conj(transfer) * jnp.fft.rfft2(blurred - blurred_off)
        prior = jnp.sum(jnp.conj(gradient) * jnp.fft.rfft2(edges), 0)
        spectrum = _DATA_SPLITTING * data + penalty * prior
        spectrum = spectrum + _LIGHT_SPLITTING * jnp.fft.rfft2(light - light_off)
        spectrum = spectrum / (power[0] + penalty * power[1] + _LIGHT_SPLITTING)
        latent = jnp.fft.irfft2(spectrum, s=shape)
        predicted = jnp.fft.irfft2(spectrum * transfer, s=shape)
        free = predicted + blurred_off
        believed = jnp.where(t < _BELIEVED, 1, likelihood.plausible(canvas - predicted, scale))
        explained = saturated & (free > canvas)
        w = jnp.where(explained, 0, counted * believed)
        blurred = (w * canvas + _DATA_SPLITTING * free) / (w + _DATA_SPLITTING)
        edges = _shrink(fourier.differences(latent), weight / penalty)
        light = jnp.maximum(latent + light_off, 0)
        return (edges, blurred, free - blurred, light, latent + light_off - light, latent), None

    zero = jnp.zeros(shape, photo.dtype)
    start = (fourier.differences(canvas), canvas, zero, canvas, zero, canvas)
    *_, latent = lax.scan(alternate, start, jnp.arange(float(iterations)))[0]
    half = k // 2
    return jnp.roll(latent, (half, half), (0, 1))[: rows + k - 1, : cols + k - 1]


def _general(
    photo: jax.Array,
    kernels: jax.Array,
    weight: jax.Array | float,
    *,
    blur: BlurOperator,
    trust: jax.Array | None,
    size: jax.Array | None,
    iterations: int,
) -> jax.Array:
    """The same minimum for any linear blur: half-quadratic splitting by conjugate gradients."""
    half = kernels.shape[-1] // 2
    known = fourier.inside(photo.shape if size is None else size, photo.shape[:2])
    if trust is not None:
        known = known * trust
    latent = jnp.pad(photo, ((half, half), (half, half), (0, 0)), mode="edge")
    mean_kernel = jnp.mean(kernels, axis=0)

    def applied(f: jax.Array) -> jax.Array:
        return blur(kernels, f)

    data = least_squares.transposed(applied, latent)(known[..., None] * photo)

    def alternate(latent: jax.Array, t: jax.Array) -> tuple[jax.Array, None]:
        penalty = 8 * weight * jnp.minimum(1.25**t, 256.0)
        rows = _shrink(latent[1:] - latent[:-1], weight / penalty)
        cols = _shrink(latent[:, 1:] - latent[:, :-1], weight / penalty)
        right = data + penalty * least_squares.adjoint_differences(rows, cols)
        latent = least_squares.smooth(
            applied,
            mean_kernel,
            known,
            penalty,
            right,
            iterations=_INNER_STEPS,
            tolerance=0.0,
            start=latent,
        )
        return latent, None

    return lax.scan(alternate, latent, jnp.arange(float(iterations)))[0]


def _shrink(edges: jax.Array, threshold: jax.Array | float) -> jax.Array:
    """argmin_u threshold |u|^0.8 + (u - edge)^2 / 2, by a fixed point from |edge| down."""
    size = jnp.abs(edges)
    u = size
    for _ in range(4):
        slope = threshold * _EXPONENT * jnp.maximum(u, 1e-4) ** (_EXPONENT - 1)
        u = jnp.maximum(size - slope, 0)
    cost = threshold * jnp.maximum(u, 1e-12) ** _EXPONENT + (u - size) ** 2 / 2
    return jnp.where(cost < size**2 / 2, jnp.sign(edges) * u, 0)
