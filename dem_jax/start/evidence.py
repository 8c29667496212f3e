"""What a photo says about a kernel when all sharp images are taken into account.

A kernel's evidence is p(g | k) = integral of p(g | f, k) p(f) over f. Laplace's method puts for the
integral its largest integrand and how wide it is, which gives per pixel, up to a constant,

    -log p(g | k) = min_f |k * f - g|^2 / (2 s^2) + |grad f|^0.8        `free_energy`
                    + mean over frequencies of log(|K|^2 + c |D|^2) / 2

for planes of contrast one. K and D are the transforms of kernel and differences, c the curvature of
the prior times s^2, and s^2 the variance of the photo's noise and of the model's error. The error
of a file's coding counts more than its variance: it lies where the edges are. The first line alone
is least for the photo itself as its own sharp image, with a kernel that is a point; the second is
the volume of the images that explain the photo as well, and speaks against that. Its tangent turns
the search for the best kernel into EM (`improved`):

    E: f and the posterior's variance z = s^2 / (|K|^2 + c |D|^2) at every frequency
    M: k = argmin |k * f - g|^2 + sum z |K|^2    over k >= 0 of sum one

Iteration t begins ahead of its kernel, at k_t + t/(t+3) (k_t - k_t-1), because EM is slow.

Unlike the fits of `one_kernel`, which ask strong edges only, this uses every pixel, and its optimum
lies near the true kernel (benchmarks/NOTEBOOK.md), but it only leads there from nearby.

Sources: Levin, Weiss, Durand, Freeman: Efficient marginal likelihood optimization in blind
deconvolution, CVPR 2011; Wipf, Zhang: Revisiting Bayesian blind deconvolution, JMLR 2014;
Nesterov: A method of solving a convex programming problem with convergence rate O(1/k^2), 1983.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from optax.projections import projection_simplex

from dem_jax.solve import fourier
from dem_jax.solve.hyper_laplacian import EXPONENT, hyper_laplacian, power
from dem_jax.solve.kernels import normalised
from dem_jax.start.views import View, noise_variance

IMPROVEMENTS = 8  # iterations of EM that improve a kernel at last; more make it dotted
_ERROR = 0.008  # of the model, in parts of the contrast
_CODING = 4.0  # how often the variance of the file's coding counts in s^2
_CURVATURE = 0.1  # c
_IMAGE_STEPS, _KERNEL_STEPS = 20, 15  # alternations of EM's steps
_SPLITTING = 300.0  # penalty of the kernel's copy that is not negative and of sum one


class _Seen(NamedTuple):
    """A view on the canvas of its transforms, the photo's first pixel at (k - 1, k - 1)."""

    photo: jax.Array  # [h, w]
    known: jax.Array  # [h, w], 1 where a pixel of the photo is trusted
    variance: jax.Array  # [] s^2


def free_energy(view: View, kernel: jax.Array) -> jax.Array:
    """[] minus the log evidence of a kernel per pixel of a view.

    Args:
      view: of contrast one, see `views.stretched`.
      kernel: [k, k] of sum one.
    """
    seen = _on_canvas(view, kernel.shape[0])
    latent = hyper_laplacian(view.plane, kernel, seen.variance, size=view.size)
    shape, half = seen.photo.shape, kernel.shape[0] // 2
    blurred = jnp.fft.rfft2(latent, s=shape) * jnp.fft.rfft2(kernel, s=shape)
    residual = seen.known * (jnp.fft.irfft2(blurred, s=shape) - seen.photo)
    rows, cols = view.plane.shape
    own = latent[half : half + rows, half : half + cols]
    last = jnp.asarray(own.shape if view.size is None else view.size) - 1
    inside = fourier.inside(last, own.shape)
    edges = jnp.sum(power(jnp.abs(fourier.differences(own)), EXPONENT), 0)
    side = (shape[0], shape[0])
    return (
        jnp.sum(residual**2) / jnp.maximum(jnp.sum(seen.known), 1) / (2 * seen.variance)
        + jnp.sum(inside * edges) / jnp.sum(inside)
        - jnp.mean(jnp.log(_uncertainty(kernel, _prior(side), side))) / 2
    )


def improved(view: View, kernel: jax.Array, *, times: int) -> jax.Array:
    """The kernel [k, k] of sum one after some iterations of EM.

    Args:
      view: of contrast one, see `views.stretched`.
      kernel: [k, k] of sum one, near the right one.
      times: iterations.
    """
    size = kernel.shape[0]
    seen = _on_canvas(view, size)
    shape = seen.photo.shape
    scale, prior = seen.variance * jnp.maximum(jnp.sum(seen.known), 1), _prior(shape)

    def fit(kernel: jax.Array) -> jax.Array:
        latent = hyper_laplacian(
            view.plane, kernel, seen.variance, iterations=_IMAGE_STEPS, size=view.size
        )
        latent = jnp.fft.rfft2(latent, s=shape)
        curvature = jnp.abs(latent) ** 2 / scale + _uncertainty(kernel, prior, shape) + _SPLITTING

        def alternate(carry, _):
            kernel, off = carry
            predicted = jnp.fft.irfft2(latent * jnp.fft.rfft2(kernel, s=shape), s=shape)
            photo = jnp.where(seen.known > 0, seen.photo, predicted)
            right = jnp.conj(latent) * jnp.fft.rfft2(photo) / scale
            wanted = (-off).at[:size, :size].add(kernel)
            right += _SPLITTING * jnp.fft.rfft2(wanted)
            off += jnp.fft.irfft2(right / curvature, s=shape)
            kernel = projection_simplex(off[:size, :size])
            return (kernel, off.at[:size, :size].add(-kernel)), None

        return lax.scan(alternate, (kernel, jnp.zeros(shape)), length=_KERNEL_STEPS)[0][0]

    def further(t, last_two):
        before, kernel = last_two
        ahead = normalised(jnp.maximum(kernel + t / (t + 3) * (kernel - before), 0))
        return kernel, fit(ahead)

    return lax.fori_loop(0, times, further, (kernel, kernel))[1]


def _on_canvas(view: View, kernel_size: int) -> _Seen:
    plane = view.plane
    shape = fourier.canvas_shape(plane.shape, kernel_size)
    known = fourier.inside(plane.shape if view.size is None else view.size, plane.shape)
    if view.trusted is not None:
        known *= view.trusted
    first = [
        (kernel_size - 1, n - m - kernel_size + 1) for n, m in zip(shape, plane.shape, strict=True)
    ]
    variance = noise_variance(view, coding=_CODING) + _ERROR**2
    return _Seen(jnp.pad(plane, first), jnp.pad(known, first), variance)


def _uncertainty(kernel: jax.Array, prior: jax.Array, shape: fourier.Shape) -> jax.Array:
    """The posterior's variance over s^2 at every frequency, 1 / (|K|^2 + c |D|^2)."""
    return 1 / (jnp.abs(jnp.fft.rfft2(kernel, s=shape)) ** 2 + prior)


def _prior(shape: fourier.Shape) -> jax.Array:
    """C |D|^2 at every frequency."""
    return _CURVATURE * fourier.difference_power(shape)
