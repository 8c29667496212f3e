"""What callers give: photos and kernels, brought to the type that is computed in, or refused.

Shapes and types are checked always, values where they are known, as they are not under `jit`.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dem_jax.config import DeblurConfig
from dem_jax.types import Given, PyTree

_WHITE = {"uint8": 255, "uint16": 65535}
_SLACK = 0.1  # beyond [0, 1], as filters that overshoot leave it


def photo(given: Any) -> jax.Array:
    """A photo [H, W, C] as float32, or as float64 with `jax_enable_x64`.

    Args:
      given: floats in [0, 1], or uint8 or uint16, which are scaled to it.

    Raises:
      ValueError: naming what was given and what is allowed.

    >>> photo(np.full((4, 5, 3), 255, np.uint8)).max()
    Array(1., dtype=float32)
    """
    if isinstance(given, jax.Array | np.ndarray):
        dtype = given.dtype
    elif hasattr(given, "__array__") or isinstance(given, list | tuple):
        given = _array(given)
        dtype = given.dtype
    else:
        raise ValueError(f"photo is a {type(given).__name__}; give an array [H, W, C].")
    if given.ndim != 3 or given.shape[-1] not in (1, 3):
        raise ValueError(
            f"photo has shape {tuple(given.shape)}; give [H, W, C] with C = 1 or 3{_hint(given)}."
        )
    if white := _WHITE.get(str(dtype)):
        return jnp.asarray(given).astype(_working()) / white
    if not jnp.issubdtype(dtype, jnp.floating):
        raise ValueError(
            f"photo has type {dtype}; give floats in [0, 1], or uint8 or uint16, which are scaled."
        )
    if not isinstance(given, jax.core.Tracer):
        _check_values(np.asarray(given, np.float64))
    return jnp.asarray(given).astype(_working())


def as_given(given: Any) -> Given:
    """A photo [H, W, C], or one with what is known of it, in the type that is computed in.

    Its last row and column are continued into its padding.

    Raises:
      ValueError: as `photo`.

    >>> as_given(jnp.full((2, 2, 1), 255, jnp.uint8)).pixels[0, 0]
    Array([1.], dtype=float32)
    """
    given = given if isinstance(given, Given) else Given(given)
    pixels = photo(given.pixels)
    if given.size is not None:
        pixels = _continue_edge(pixels, given.size)
    return given._replace(pixels=pixels)


def like(photo: Any, result: PyTree) -> PyTree:
    """A result's floats in the type of the photo [H, W, C], where that has one of 32 or 64 bits."""
    dtype = getattr(photo, "dtype", None)
    if dtype not in (jnp.float32, jnp.float64) or _working() == jnp.float32:
        return result
    floats = (jnp.float32, jnp.float64)
    return jax.tree.map(lambda x: x.astype(dtype) if x.dtype in floats else x, result)


def kernels(given: Any, dtype: Any) -> jax.Array:
    """Kernels [P, k, k] in the type of the photo; values are checked where they are known.

    Raises:
      ValueError: for negative values, values that are no numbers, and a kernel of nothing.

    >>> kernels(np.ones((1, 3, 3), np.uint8), jnp.float32).dtype
    dtype('float32')
    """
    if not isinstance(given, jax.core.Tracer):
        values = np.asarray(given, np.float64)
        if not np.isfinite(values).all() or values.min() < 0:
            raise ValueError("kernels hold negative values or none; give numbers from 0 up.")
        if values.ndim == 3 and not (values.sum(axis=(1, 2)) > 0).all():
            raise ValueError("kernels hold one that is zero everywhere; each needs a positive sum.")
    return jnp.asarray(given).astype(dtype)


def require_room(photo: jax.Array, config: DeblurConfig, kernels: jax.Array | None) -> None:
    """Refuses photos [H, W, C] and kernels whose shapes `config` does not allow.

    Raises:
      ValueError: with what was given and what is allowed.

    >>> require_room(jnp.zeros((8, 20, 1)), DeblurConfig(kernel_size=5), None)
    Traceback (most recent call last):
    ...
    ValueError: photo is 20x8 pixels, too small for kernel_size=5; each side needs at least 10.
    """
    if min(photo.shape[:2]) < 2 * config.kernel_size:
        raise ValueError(
            f"photo is {photo.shape[1]}x{photo.shape[0]} pixels, too small for "
            f"kernel_size={config.kernel_size}; each side needs at least {2 * config.kernel_size}."
        )
    if kernels is None:
        return
    k, patches = config.kernel_size, config.patch_grid[0] * config.patch_grid[1]
    if kernels.shape not in ((1, k, k), (patches, k, k)):
        raise ValueError(
            f"kernels have shape {kernels.shape}; give [1, {k}, {k}] or [{patches}, {k}, {k}], as "
            "kernel_size and patch_grid say."
        )
    if not config.warm_start:
        raise ValueError("kernels were given with warm_start=false, which takes none; drop one.")


def _working() -> Any:
    """The type that is computed in: float64 where that is enabled, as constants then have it."""
    return jnp.result_type(float)


def _continue_edge(photo: jax.Array, size: jax.Array) -> jax.Array:
    """The photo's last row and column, `size` [2] giving their numbers, repeated to the end."""
    for axis in (0, 1):
        places = jnp.minimum(jnp.arange(photo.shape[axis]), size[axis] - 1)
        photo = jnp.take(photo, places, axis=axis)
    return photo


def _array(given: Any) -> np.ndarray:
    try:
        return np.asarray(given)
    except ValueError as error:
        raise ValueError("photo has rows of different lengths; give an array [H, W, C].") from error


def _hint(given: Any) -> str:
    if given.ndim == 2:
        return "; photo[..., None] makes a grey picture so"
    if given.ndim == 4:
        return "; jax.vmap takes several photos"
    if given.ndim == 3 and given.shape[-1] == 4:
        return "; photo[..., :3] leaves alpha out"
    if given.ndim == 3 and given.shape[0] in (1, 3):
        return "; its channels come first, so transpose it by (1, 2, 0)"
    return ""


def _check_values(values: np.ndarray) -> None:
    if not np.isfinite(values).all():
        raise ValueError("photo holds NaN or infinite values; give numbers in [0, 1].")
    if values.size and (values.min() < -_SLACK or values.max() > 1 + _SLACK):
        raise ValueError(
            f"photo holds values from {values.min():.4g} to {values.max():.4g}; give values in "
            "[0, 1], divided by that of white, or uint8 or uint16."
        )
