"""Roughly how the camera moved, from the photo's spectrum: no image is restored for it.

A camera that rolls and is shifted at constant speed moves the patch whose centre is c along a line

    v(c) = t + theta J c / R,    J (row, column) = (-column, row),

and passes about B = 1 / (1 + (omega . v)^2 / 8) of the power at every frequency omega: what a box
as long as v passes, without its zeros, which no real shake has. Differences of a sharp photo have a
nearly white spectrum, so the periodogram P of a window is exponentially distributed about

    S = a B(omega . v) + s^2 |D(omega)|^2,

a being the window's unknown contrast, s the noise and D the transfer of differences. What is left
to find, by Whittle's likelihood over all windows, are three numbers for the whole photo,

    (theta, t) = argmin sum_windows mean_omega (log S + P / S).

So few numbers can be searched exhaustively, where the alternation of image and kernels, which goes
from coarse to fine, is lost once the coarse levels show too little. Directions come out well, the
length within a factor of two or so, the shape of the motion and its sign not at all.

Sources: Whittle, 1953 (likelihood); Field: Relations between the statistics of natural images and
the response properties of cortical cells, 1987 (spectra); Yitzhaky and Kopeika: Identification of
blur parameters from motion blurred images, 1997 (direction of a blur from derivatives).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from dem_jax.model.likelihood import estimate_noise_std
from dem_jax.solve import fourier
from dem_jax.start import kernel_estimation

_FARTHEST = 0.8  # R as a part of half the diagonal
_LARGEST_KERNEL = 31  # pixels: photos of longer shakes are made smaller for the search
_WINDOW, _LEAST_WINDOW = 1.75, 16  # kernel sizes, pixels
_FREQUENCIES = (0.06, 0.5)  # cycles per pixel, from and to
_STEPS = 4  # of the first grid, from no motion to the longest
_BEST, _HALVINGS = 3, 5  # lines of it that are refined, by halving its spacing
_CONTRAST_ITERATIONS = 3
_AGREEMENT = 0.75  # true motions reach 0.8 to 1, wrongly turned ones 0.5


class _Spectra(NamedTuple):
    power: jax.Array  # [N, F] periodograms P of N windows' differences
    noise: jax.Array  # [1, F] what the photo's noise adds to them
    inside: jax.Array  # [N] 1 for windows without padding
    centres: np.ndarray  # [N, 2] of the windows
    shape: tuple[int, ...]  # of the photo
    waves: jax.Array  # [F, 2] omega, radians per pixel


def lever(shape: tuple[int, ...]) -> float:
    """R in pixels: where in a photo of `shape` a roll is measured."""
    return _FARTHEST * float(np.hypot(shape[0], shape[1])) / 2


def straight_motion(
    photo: jax.Array, *, kernel_size: int, size: jax.Array | None = None
) -> jax.Array:
    """The straight motion of a camera that explains the photo's spectra best.

    Args:
      photo: [H, W] luma in [0, 1].
      kernel_size: k; no line is longer than k - 1 pixels, at the distance R from the middle.
      size: [2] rows and columns of the photo where what follows them is padding; None is all.

    Returns:
      [3] pixels from end to end: theta, as it moves what lies R from the middle, and t along rows
      and columns. Its negative is the same motion.
    """
    spectra, k = _small_spectra(photo, kernel_size, size)

    def misfit(line: jax.Array) -> jax.Array:
        length = jnp.abs(line[0]) + jnp.linalg.norm(line[1:])
        return jnp.where(length > k - 1, jnp.inf, _misfit(line, spectra))

    spacing = (k - 1) / _STEPS
    lines = jnp.asarray(spacing * _coarse_lines(), photo.dtype)
    _, best = lax.top_k(-lax.map(misfit, lines), _BEST)
    offsets = np.indices((3, 3, 3)).reshape(3, -1).T - 1
    offsets = offsets[np.argsort(np.abs(offsets).sum(1), kind="stable")]  # a draw changes nothing
    around = jnp.asarray(offsets, photo.dtype)

    def refine(lines: jax.Array, spacing: jax.Array) -> tuple[jax.Array, None]:
        near = lines[:, None] + spacing * around[None]
        values = lax.map(misfit, near.reshape(-1, 3)).reshape(_BEST, -1)
        return near[jnp.arange(_BEST), jnp.argmin(values, 1)], None

    spacings = spacing * 0.5 ** jnp.arange(1, _HALVINGS + 1)
    refined, _ = lax.scan(refine, lines[best], spacings)
    return refined[jnp.argmin(lax.map(misfit, refined))] * (kernel_size / k)


def agrees(
    photo: jax.Array,
    motion: jax.Array,
    other: jax.Array,
    *,
    kernel_size: int,
    size: jax.Array | None = None,
) -> jax.Array:
    """Whether another motion [3] explains the spectra nearly as well as `straight_motion`'s, [].

    That is, three quarters as much better than no motion. Other arguments are those of
    `straight_motion`.
    """
    spectra, k = _small_spectra(photo, kernel_size, size)
    best, tried, none = (
        _misfit(line * (k / kernel_size), spectra)
        for line in (motion, other, jnp.zeros_like(motion))
    )
    return none - tried >= _AGREEMENT * (none - best)


def line_ends(motion: jax.Array, centres: np.ndarray, shape: tuple[int, ...]) -> jax.Array:
    """[P, 2] v(c), pixels: how far `motion` [3] moves patches with centres c [P, 2] of a photo."""
    from_middle = centres - (np.asarray(shape[:2]) - 1) / 2
    levers = np.stack([-from_middle[:, 1], from_middle[:, 0]], -1) / lever(shape)
    return motion[0] * jnp.asarray(levers, motion.dtype) + motion[None, 1:]


def _small_spectra(
    photo: jax.Array, kernel_size: int, size: jax.Array | None
) -> tuple[_Spectra, int]:
    """Of the photo where its kernels are small enough to be searched, and their size there."""
    k = min(kernel_size, _LARGEST_KERNEL)
    level, size = kernel_estimation.pyramid_level(photo, k / kernel_size, k, size)
    return _spectra(level, k, size), k


def _misfit(line: jax.Array, spectra: _Spectra) -> jax.Array:
    """Whittle's negative log likelihood of a line [3], every window's contrast at its best."""
    moves = line_ends(line, spectra.centres, spectra.shape)
    passed = 1 / (1 + (moves @ spectra.waves.T) ** 2 / 8)
    contrast = jnp.mean(spectra.power / passed, 1, keepdims=True)
    for _ in range(_CONTRAST_ITERATIONS):  # a fixed point of its likelihood
        total = contrast * passed + spectra.noise
        contrast *= jnp.sum(spectra.power * passed / total**2, 1, keepdims=True)
        contrast /= jnp.sum(passed / total, 1, keepdims=True)
    total = contrast * passed + spectra.noise
    return jnp.sum(spectra.inside * jnp.mean(jnp.log(total) + spectra.power / total, 1))


def _coarse_lines() -> np.ndarray:
    """[L, 3] a grid over half a ball of radius _STEPS, no motion first."""
    axis = np.arange(-_STEPS, _STEPS + 1)
    grid = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3)
    half = grid[len(grid) // 2 :]  # the other half holds their negatives
    return half[np.abs(half[:, 0]) + np.hypot(half[:, 1], half[:, 2]) <= _STEPS]


def _spectra(photo: jax.Array, kernel_size: int, size: jax.Array | None) -> _Spectra:
    """Periodograms of overlapping windows, as long as some kernels."""
    shape = photo.shape
    side = min(max(round(_WINDOW * kernel_size), _LEAST_WINDOW), *shape)
    starts = [_starts(n, side) for n in shape]
    rows, cols = (s.ravel() for s in np.meshgrid(*starts, indexing="ij"))
    taper = np.outer(*[np.hanning(side + 2)[1:-1]] * 2)
    places = np.arange(side)

    def windows(plane: jax.Array) -> jax.Array:
        return plane[rows[:, None, None] + places[:, None], cols[:, None, None] + places]

    waves = np.stack(np.meshgrid(np.fft.fftfreq(side), np.fft.rfftfreq(side), indexing="ij"), -1)
    radius = np.hypot(waves[..., 0], waves[..., 1])
    kept = (radius > _FREQUENCIES[0]) & (radius < _FREQUENCIES[1])
    known = fourier.inside(shape if size is None else size, shape)
    edges = fourier.differences(photo).at[0, -1].set(0).at[1, :, -1].set(0)
    spectra = jax.vmap(lambda plane: jnp.fft.rfft2(windows(plane) * taper[None]))(edges)
    power = jnp.sum(jnp.abs(spectra) ** 2, 0)
    noise = estimate_noise_std(photo[..., None], size=size) ** 2 * np.sum(taper**2)
    return _Spectra(
        power=power[:, kept],
        noise=noise * np.sum(4 * np.sin(np.pi * waves[kept]) ** 2, -1)[None],
        inside=jnp.min(windows(known), (1, 2)),
        centres=np.stack([rows, cols], -1) + (side - 1) / 2,
        shape=shape,
        waves=jnp.asarray(2 * np.pi * waves[kept], power.dtype),
    )


def _starts(length: int, side: int) -> np.ndarray:
    """Where windows that overlap by half begin, the last one ending at the border."""
    count = max(int(np.ceil(2 * length / side)) - 1, 1)
    return np.linspace(0, length - side, count).round().astype(int)
