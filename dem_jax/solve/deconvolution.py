"""Non-blind deconvolution: the image that known kernels make of a photo.

    f = argmin_f |A(K) f - g|^2 / 2 + weight sum_i |c_i * f|^0.8

The filters c_i are the eight `cosines` of 3 x 3 pixels. Of a picture in colour they see brightness
and two differences of colours, which are smoother in photos. Everything that gives a picture calls
`deconvolve`: the start, the refinement of EM's image, and the tiles of large photos. Filter flow is
solved patch by patch with transforms, any other linear blur by conjugate gradients.

Source: Krishnan and Fergus: Fast image deconvolution using hyper-Laplacian priors, NIPS 2009.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from dem_jax.model import likelihood, windows
from dem_jax.model.blur import FilterFlow
from dem_jax.solve import cosines, fourier, least_squares
from dem_jax.solve.hyper_laplacian import DATA_SPLITTING, ITERATIONS, shrink_once
from dem_jax.types import BlurOperator

_SMOOTHNESS = 0.6  # prior weight over error variance, where that is well below the next one
# Image units squared: beyond it the weight grows with the error's deviation, not with its variance.
# Under strong noise the most probable image is smoother than the mean one, the nearest to truth.
_STRONG_ERROR = 4e-4
# What kernels are wrong by, as an error of the photo in image units beside its noise.
_KERNEL_ERROR, _GRID_ERROR = 0.004, 0.0095
_LIGHT_SPLITTING = 0.002  # likewise of the copy of f that is not negative
_PLAUSIBLE = 12.0  # residuals that are plausible, in roots of 0.6 times the error's variance
_ENTRY_ERROR = 0.3  # relative error of each entry of a kernel
_BELIEVED = 3  # first alternations, which believe every pixel: nothing is predicted yet
_COLOUR = 2.0  # prior weight of differences of colours over that of brightness
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
    iterations: int = ITERATIONS,
) -> jax.Array:
    """The image [H+k-1, W+k-1, C] that known kernels make of a photo, not clipped.

    Args:
      photo: g, [H, W, C] in [0, 1].
      kernels: [P, k, k], each of sum one.
      weight: of the prior, in squared image units, see `prior_weight`.
      blur: A; filter flow is solved patch by patch, each on a crop of its own, and the results are
        weighted by the windows of the patches.
      trust: [H, W] in [0, 1], how far each pixel is known; None: wholly.
      white: [] from which on a pixel is saturated; filter flow bounds what it was from below.
      size: [2] rows and columns of the photo where what follows them is padding; None is all.
      iterations: alternations.
    """
    if trust is None:
        trust = jnp.ones(photo.shape[:2], photo.dtype)
    if not isinstance(blur, FilterFlow):
        return _general(
            photo, kernels, weight, blur=blur, trust=trust, size=size, iterations=iterations
        )

    def with_one_kernel(photo, kernel, trust, size):
        return sparse_cosines(
            photo, kernel, weight, trust=trust, white=white, size=size, iterations=iterations
        )

    if blur.grid == (1, 1):
        return with_one_kernel(photo, kernels[0], trust, size)
    return _in_windows(with_one_kernel, photo, kernels, trust, grid=blur.grid, size=size)


def deconvolved(
    photo: jax.Array,
    kernels: jax.Array,
    weight: jax.Array,
    *,
    noise_std: jax.Array,
    gain: jax.Array,
    blur: BlurOperator,
) -> jax.Array:
    """`deconvolve` by a photo's noise: the image [H+k-1, W+k-1, C], image values times `gain`.

    Args:
      photo: g, [H, W, C], multiplied by `gain`.
      kernels: [P, k, k], each of sum one.
      weight: [H, W] of the pixels; padding, whose weight is 0, does not enter.
      noise_std: [] of the photo, multiplied by `gain`.
      gain: [] tells what is saturated, which bounds the light from below.
      blur: A.
    """
    known = weight > 0
    size = jnp.stack([_end(jnp.any(known, 1)), _end(jnp.any(known, 0))])
    white = gain * likelihood.CLIPPED
    trust = likelihood.without_saturation(photo, weight, white)
    return deconvolve(
        photo,
        kernels,
        prior_weight(noise_std, len(kernels)),
        blur=blur,
        trust=trust,
        white=white,
        size=size,
    )


def _in_windows(
    with_one_kernel: Callable[..., jax.Array],
    photo: jax.Array,
    kernels: jax.Array,
    trust: jax.Array,
    *,
    grid: tuple[int, int],
    size: jax.Array | None,
) -> jax.Array:
    """Every patch is deconvolved on a crop of its own, and weighed by the patch's window.

    A crop holds the window and a kernel more on every side, so that time and memory grow with the
    photo and hardly with the number of patches. `with_one_kernel` gives the latent image of a crop
    [h, w, C], its kernel [k, k], trust [h, w] and size.
    """
    k = kernels.shape[-1]
    latent_shape = photo.shape[0] + k - 1, photo.shape[1] + k - 1
    crops = windows.crops(latent_shape, grid, k - 1)
    (rows, cols), channels = crops.shape, photo.shape[-1]

    def add(total: jax.Array, patch: tuple[jax.Array, ...]) -> tuple[jax.Array, None]:
        kernel, first, row, col = patch
        corner, shape = (first[0], first[1], 0), (rows - k + 1, cols - k + 1)
        crop = lax.dynamic_slice(photo, corner, (*shape, channels))
        known = lax.dynamic_slice(trust, corner[:2], shape)
        # A crop of padding alone has one pixel of it.
        own = None if size is None else jnp.clip(size - first, 1, jnp.asarray(shape))
        found = row[:, None, None] * col[None, :, None] * with_one_kernel(crop, kernel, known, own)
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


def prior_weight(noise_std: jax.Array | float, count: int) -> jax.Array | float:
    """The prior's weight for a photo of that noise and `count` kernels, in squared image units.

    0.6 s^2 / (1 + (s^2 / 0.0004)^2)^(1/4), s^2 the variance of the photo's error
    """
    error = error_variance(noise_std, count)
    return _SMOOTHNESS * error / jnp.sqrt(jnp.hypot(1.0, error / _STRONG_ERROR))


def _error_of(weight: jax.Array | float) -> jax.Array:
    """The error's variance s^2 of which a `prior_weight` was made, in squared image units.

    With u = s^2 / 0.0004 and q = (weight / 0.00024)^2 it solves u^4 - q^2 u^2 - q^2 = 0.
    """
    q = (jnp.asarray(weight) / (_SMOOTHNESS * _STRONG_ERROR)) ** 2
    return _STRONG_ERROR * jnp.sqrt(q * (q + jnp.sqrt(q**2 + 4)) / 2)


def error_variance(noise_std: jax.Array | float, count: int) -> jax.Array | float:
    """What a photo of that noise and a blurred image may differ by, image units squared.

    The photo is to be explained up to its noise and to what the kernels are wrong by, which is more
    where there are many.
    """
    error = _GRID_ERROR if count > 1 else _KERNEL_ERROR
    return noise_std**2 + error**2


def sparse_cosines(
    photo: jax.Array,
    kernel: jax.Array,
    weight: jax.Array | float,
    *,
    trust: jax.Array | None = None,
    white: jax.Array | float = likelihood.CLIPPED,
    iterations: int = ITERATIONS,
    size: jax.Array | None = None,
) -> jax.Array:
    """argmin_f |k * f - g|^2 / 2 + sum_ij w_j |c_i * (B f)_j|^0.8 over the pixels of the photo.

    B makes of a pixel's colours its brightness and two differences, see `_opponents`; w_j is
    `weight` for the first, and twice as much for the others. Half-quadratic splitting of the
    cosines' responses, and of k * f, which is free outside the photo: the border is neither wrapped
    nor padded (Almeida and Figueiredo, 2013). Pixels that no kernel explains make no rings:

    - a pixel counts as far as its residual is `plausible` (hot pixels, date stamps);
    - a saturated pixel bounds the light from below, it may have been more (lamps);
    - where light beyond white reaches, a pixel counts less, see `_error_of_bright_light`;
    - f is not negative, as light is not: no dark waves make up for bright ones.

    Args:
      photo: g, [H, W, C] in [0, 1].
      kernel: [k, k], sum one.
      weight: of the prior, in squared image units, see `prior_weight`.
      trust: [H, W] in [0, 1], how far each pixel is known; None: wholly.
      white: [] from which on a pixel is saturated.
      iterations: alternations.
      size: [2] rows and columns of the photo where what follows them is padding; None is all.

    Returns:
      f, [H+k-1, W+k-1, C], not clipped.

    Source of the bound: Whyte, Sivic, Zisserman: Deblurring shaken and partially saturated images,
    IJCV 2014; here as a constraint on k * f.
    """
    (rows, cols, _), k = photo.shape, kernel.shape[0]
    shape = fourier.canvas_shape((rows, cols), k)
    canvas = jax.vmap(lambda plane: fourier.extend(plane, shape, size), -1)(photo)
    counted = fourier.inside((rows, cols) if size is None else size, shape)
    if trust is not None:
        counted *= jnp.pad(trust, [(0, n - m) for n, m in zip(shape, trust.shape, strict=True)])
    counted, saturated = counted[None], canvas >= white
    transfer = fourier.transfer_function(kernel, shape)[None]
    data_power, prior_power = DATA_SPLITTING * jnp.abs(transfer) ** 2, cosines.power(shape)[None]
    reach, variance = fourier.transfer_function(kernel**2, shape), _error_of(weight)
    scale = _PLAUSIBLE * jnp.sqrt(jnp.asarray(_SMOOTHNESS * variance, photo.dtype))

    def reached(light: jax.Array) -> jax.Array:
        return jnp.fft.irfft2(jnp.fft.rfft2(light) * reach, s=shape)

    responses, adjoint = jax.vmap(cosines.responses), jax.vmap(cosines.adjoint)

    def alternate(carry, t):
        sparse, blurred, blurred_off, light, light_off, before = carry
        penalty = _penalty(weight, t)
        data = jnp.conj(transfer) * jnp.fft.rfft2(blurred - blurred_off)
        prior = penalty * adjoint(sparse) + _LIGHT_SPLITTING * (light - light_off)
        spectrum = DATA_SPLITTING * data + jnp.fft.rfft2(prior)
        spectrum = spectrum / (data_power + penalty * prior_power + _LIGHT_SPLITTING)
        latent = jnp.fft.irfft2(spectrum, s=shape)
        predicted = jnp.fft.irfft2(spectrum * transfer, s=shape)
        free = predicted + blurred_off
        believed = jnp.where(t < _BELIEVED, 1, likelihood.plausible(canvas - predicted, scale))
        known = variance / (variance + _error_of_bright_light(before, reached, white))
        explained = saturated & (free > canvas)
        w = jnp.where(explained, 0, counted * believed * known[None])
        blurred = (w * canvas + DATA_SPLITTING * free) / (w + DATA_SPLITTING)
        sparse = _shrink_colours(responses(latent), weight / penalty)
        light = jnp.maximum(latent + light_off, 0)
        return (sparse, blurred, free - blurred, light, latent + light_off - light, latent), None

    zero = jnp.zeros_like(canvas)
    start = (responses(canvas), canvas, zero, canvas, zero, canvas)
    *_, latent = lax.scan(alternate, start, jnp.arange(float(iterations)))[0]
    half = k // 2
    latent = jnp.roll(latent, (half, half), (1, 2))[:, : rows + k - 1, : cols + k - 1]
    return jnp.moveaxis(latent, 0, -1)


def _error_of_bright_light(
    latent: jax.Array, reached: Callable[[jax.Array], jax.Array], white: jax.Array | float
) -> jax.Array:
    """[H, W] what a kernel's errors add to the variance of pixels that bright light reaches.

        c^2 (k^2 * max(f - white, 0)^2),    c the relative error of each entry

    A lamp's light may be many times white, and so are the errors that it makes visible: as data
    they would make waves around the lamp. Of colours the brightest counts.

    Args:
      latent: f, [C, h, w].
      reached: k^2 * a plane [h, w], k^2 the kernel's entries squared.
      white: [] the most that a pixel of the photo can hold.
    """
    beyond = jnp.maximum(jnp.max(latent, axis=0) - white, 0)
    return _ENTRY_ERROR**2 * jnp.maximum(reached(beyond**2), 0)


def _general(
    photo: jax.Array,
    kernels: jax.Array,
    weight: jax.Array | float,
    *,
    blur: BlurOperator,
    trust: jax.Array,
    size: jax.Array | None,
    iterations: int,
) -> jax.Array:
    """The same prior for any linear blur: half-quadratic splitting by conjugate gradients."""
    half = kernels.shape[-1] // 2
    known = fourier.inside(photo.shape if size is None else size, photo.shape[:2]) * trust
    latent = jnp.pad(photo, ((half, half), (half, half), (0, 0)), mode="edge")
    mean_kernel = jnp.mean(kernels, axis=0)

    def applied(f: jax.Array) -> jax.Array:
        return blur(kernels, f)

    data = least_squares.transposed(applied, latent)(known[..., None] * photo)
    rows, cols = latent.shape[:2]
    inner = jnp.zeros((rows, cols), photo.dtype).at[1:-1, 1:-1].set(1.0)

    def responses(f: jax.Array) -> jax.Array:
        return inner[None, None] * jax.vmap(cosines.responses, -1)(f)

    def adjoint(found: jax.Array) -> jax.Array:
        return jax.vmap(cosines.adjoint, 0, -1)(inner[None, None] * found)

    roughness = least_squares.Roughness(lambda f: adjoint(responses(f)), cosines.power)

    def alternate(latent: jax.Array, t: jax.Array) -> tuple[jax.Array, None]:
        penalty = _penalty(weight, t)
        sparse = _shrink_colours(responses(latent), weight / penalty)
        latent = least_squares.smooth(
            applied,
            mean_kernel,
            known,
            penalty,
            data + penalty * adjoint(sparse),
            roughness=roughness,
            iterations=_INNER_STEPS,
            tolerance=0.0,
            start=latent,
        )
        return latent, None

    return lax.scan(alternate, latent, jnp.arange(float(iterations)))[0]


def _penalty(weight: jax.Array | float, t: jax.Array) -> jax.Array:
    return 2 * weight * jnp.minimum(1.25**t, 1024.0)


def _shrink_colours(found: jax.Array, threshold: jax.Array | float) -> jax.Array:
    """`shrink_once` of responses [C, ...] as brightness and differences of colours."""
    across, strengths = _opponents(len(found))
    opponent = jnp.einsum("jc,c...->j...", across, found, precision="highest")
    opponent = jax.vmap(shrink_once)(opponent, threshold * jnp.asarray(strengths))
    return jnp.einsum("jc,j...->c...", across, opponent, precision="highest")


def _opponents(channels: int) -> tuple[np.ndarray, np.ndarray]:
    """B [C, C], orthonormal: brightness and differences of colours; and their weights [C].

    >>> _opponents(3)[0].round(2)
    array([[ 0.58,  0.58,  0.58],
           [ 0.71, -0.71,  0.  ],
           [ 0.41,  0.41, -0.82]], dtype=float32)
    """
    if channels != 3:
        return np.eye(channels, dtype=np.float32), np.ones(channels, np.float32)
    across = np.array([[1, 1, 1], [1, -1, 0], [1, 1, -2]], np.float32)
    across /= np.linalg.norm(across, axis=1, keepdims=True)
    return across, np.array([1, _COLOUR, _COLOUR], np.float32)


def _end(known: jax.Array) -> jax.Array:
    """[] one more than the last place of [N] that holds True."""
    return jnp.max(jnp.where(known, jnp.arange(len(known)) + 1, 0))
