"""What a photo says about a kernel when all sharp images are taken into account.

A kernel's evidence is p(g | k) = integral of p(g | f, k) p(f) over f. Laplace's method puts for the
integral its largest integrand and how wide it is, which gives per pixel, up to a constant,

    -log p(g | k) = min_f |k * f - g|^2 / (2 s^2) + |grad f|^0.8        `free_energy`
                    + mean over frequencies of log(|K|^2 + c |D|^2) / 2

for planes of contrast one. K and D are the transforms of kernel and differences, c the curvature of
the prior times s^2. The first line alone is least for the photo itself as its own sharp image, with
a kernel that is a point; the second is the volume of the images that explain the photo as well, and
speaks against that. Its tangent turns the search for the best kernel into EM (`improved`):

    E: f and the posterior's variance z = s^2 / (|K|^2 + c |D|^2) at every frequency
    M: k = argmin_{k >= 0} |k * f - g|^2 + sum z |K|^2

Unlike the fits of `one_kernel`, which ask strong edges only, this uses every pixel, and its optimum
lies near the true kernel (benchmarks/NOTEBOOK.md), but it only leads there from nearby.

Sources: Levin, Weiss, Durand, Freeman: Efficient marginal likelihood optimization in blind
deconvolution, CVPR 2011; Wipf, Zhang: Revisiting Bayesian blind deconvolution, JMLR 2014.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from dem_jax.model.likelihood import estimate_noise_std
from dem_jax.solve import fourier
from dem_jax.solve.hyper_laplacian import EXPONENT, hyper_laplacian
from dem_jax.solve.kernels import normalised
from dem_jax.start.views import View

_ERROR, _TIMES = 0.003, 2.0  # s is so many times the noise and this error of the model
_CURVATURE = 0.1  # c
_IMAGE_STEPS, _KERNEL_STEPS = 20, 15  # alternations of EM's steps
_REACH = 3  # pixels around a kernel, where it may grow
_SPLITTING = 300.0  # of the kernel that is not negative, in curvatures per pixel


class _Seen(NamedTuple):
    """A view on the canvas of its transforms, the photo's first pixel at (k - 1, k - 1)."""

    photo: jax.Array  # [h, w]
    known: jax.Array  # [h, w], 1 where the photo's pixels are
    variance: jax.Array  # [] s^2


def free_energy(view: View, kernel: jax.Array) -> jax.Array:
    """[] minus the log evidence of a kernel [k, k] per pixel of a view of contrast one."""
    seen = _on_canvas(view, kernel.shape[0])
    latent = hyper_laplacian(view.plane, kernel, seen.variance, size=view.size)
    shape, half = seen.photo.shape, kernel.shape[0] // 2
    residual = seen.known * (_blurred(_wide(latent, shape), kernel) - seen.photo)
    (rows, cols), known = view.plane.shape, seen.known
    inner = jnp.pad(latent[half : half + rows, half : half + cols], _gaps((rows, cols), shape))
    inside = fourier.inside((rows - 1, cols - 1) if view.size is None else view.size - 1, shape)
    edges = jnp.sum(jnp.abs(fourier.differences(inner)) ** EXPONENT, 0)
    return (
        jnp.sum(residual**2) / jnp.sum(known) / (2 * seen.variance)
        + jnp.sum(inside * edges) / jnp.sum(inside)
        - jnp.mean(jnp.log(_uncertainty(kernel, (shape[0],) * 2))) / 2
    )


def improved(view: View, kernel: jax.Array, *, times: int) -> jax.Array:
    """The kernel [k, k] after some iterations of EM, no farther than 3 pixels from what it was.

    In a window far wider than the kernel the rest would explain noise.
    """
    size = kernel.shape[0]
    around = (2 * _REACH + 1,) * 2
    support = lax.reduce_window(1.0 * (kernel > 0), 0.0, lax.max, around, (1, 1), "SAME")
    seen = _on_canvas(view, size)
    shape = seen.photo.shape
    scale = seen.variance * jnp.sum(seen.known)

    def fit(kernel: jax.Array) -> jax.Array:
        latent = hyper_laplacian(
            view.plane, kernel, seen.variance, iterations=_IMAGE_STEPS, size=view.size
        )
        latent = jnp.fft.rfft2(_wide(latent, shape))
        curvature = jnp.abs(latent) ** 2 / scale + _uncertainty(kernel, shape) + _SPLITTING

        def alternate(carry, _):
            kernel, off = carry
            predicted = jnp.fft.irfft2(latent * jnp.fft.rfft2(kernel, s=shape), s=shape)
            photo = jnp.where(seen.known > 0, seen.photo, predicted)
            right = jnp.conj(latent) * jnp.fft.rfft2(photo) / scale
            right += _SPLITTING * jnp.fft.rfft2(_wide(kernel, shape) - off)
            free = jnp.fft.irfft2(right / curvature, s=shape) + off
            kernel = support * jnp.maximum(free[:size, :size], 0)
            return (kernel, free - _wide(kernel, shape)), None

        (kernel, _), _ = lax.scan(alternate, (kernel, jnp.zeros(shape)), length=_KERNEL_STEPS)
        return normalised(kernel)

    return lax.fori_loop(0, times, lambda _, kernel: fit(kernel), kernel)


def _on_canvas(view: View, kernel_size: int) -> _Seen:
    plane = view.plane
    shape = fourier.canvas_shape(plane.shape, kernel_size)
    known = fourier.inside(plane.shape if view.size is None else view.size, plane.shape)
    if view.trusted is not None:
        known *= view.trusted
    noise = estimate_noise_std(plane[..., None], size=view.size) ** 2
    first = [
        (kernel_size - 1, n - m - kernel_size + 1) for n, m in zip(shape, plane.shape, strict=True)
    ]
    variance = _TIMES**2 * (noise + _ERROR**2)
    return _Seen(jnp.pad(plane, first), jnp.pad(known, first), variance)


def _uncertainty(kernel: jax.Array, shape: fourier.Shape) -> jax.Array:
    """The posterior's variance over s^2 at every frequency."""
    power = jnp.sum(jnp.abs(fourier.difference_transfer(shape)) ** 2, 0)
    return 1 / (jnp.abs(jnp.fft.rfft2(kernel, s=shape)) ** 2 + _CURVATURE * power)


def _blurred(latent: jax.Array, kernel: jax.Array) -> jax.Array:
    shape = latent.shape
    return jnp.fft.irfft2(jnp.fft.rfft2(latent) * jnp.fft.rfft2(kernel, s=shape), s=shape)


def _wide(plane: jax.Array, shape: fourier.Shape) -> jax.Array:
    return jnp.pad(plane, _gaps(plane.shape, shape))


def _gaps(small: fourier.Shape, large: fourier.Shape) -> list[tuple[int, int]]:
    return [(0, n - m) for n, m in zip(large, small, strict=True)]
