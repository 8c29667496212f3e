"""How much memory a photo needs, estimated before anything is computed, and how much there is.

The estimate is of EM's step, the largest program: what T_f keeps for its gradient, and the samples.
Its constants were fitted to XLA's own figures for CPU (`Compiled.memory_analysis`);
tests/runtime/scale/test_memory.py holds them to that.
"""

import errno
import os
import pathlib
import resource

import jax

from dem_jax.config import DeblurConfig

USABLE = 0.85  # of the memory there is: the rest is the program's, and the estimate's error
_FLOATS_PER_CHANNEL = 12  # and latent pixel: kept by T_f and its gradient
_FLOATS = 100  # and latent pixel: skip connections, inputs, detail
_FLOATS_PER_SAMPLE = 3  # latent pixel and image channel
_HOST_COPIES = 22  # of the photo, in float32, while a result is put together and written
_OWN_ADDRESSES = 7 * 2**28  # bytes that Python and JAX map, whatever they compute
_LEAST_ADDRESSES = 2**31  # with less XLA's compiler ends the process, were the photo ever so small
_LACK = (  # what is said where no memory is given, beside MemoryError
    "RESOURCE_EXHAUSTED",  # by XLA
    "can't start new thread",  # by Python
    "failed to map segment",  # by the loader of shared libraries
    "annot allocate memory",
    "Out of memory",  # by libavif
    "Memory allocation error: Unspecified",  # by libheif, which calls its own limits otherwise
)
_MAX_PHOTOS = 8  # side by side; more would gain little and lose more when one run ends


class TooLarge(ValueError):
    """A photo that does not fit into the memory; the message is one sentence for the user."""


def em_bytes(height: int, width: int, channels: int, config: DeblurConfig) -> int:
    """Bytes that EM needs for one photo of that size on one device."""
    k = config.kernel_size
    pixels = (height + k - 1) * (width + k - 1)
    if not config.em_iterations:
        return 4 * pixels * _FLOATS
    at_once = config.num_chains if config.chain_axis == "vmap" else 1
    network = at_once * (_FLOATS_PER_CHANNEL * config.image_network.channels + _FLOATS)
    samples = config.num_chains * config.samples_per_chain * channels * _FLOATS_PER_SAMPLE
    return 4 * pixels * (network + samples)


def host_bytes(height: int, width: int, channels: int) -> int:
    """Bytes that a photo and its result need on the host, whatever is computed."""
    return 4 * height * width * channels * _HOST_COPIES


def device_bytes() -> int:
    """Bytes of memory of one of this process's devices; on CPU, of the host."""
    stats = jax.local_devices()[0].memory_stats()
    return stats["bytes_limit"] if stats and "bytes_limit" in stats else total_host_bytes()


def total_host_bytes() -> int:
    """Bytes of memory of this host, or of the container or this process if that is less."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for name in ("memory.max", "memory/memory.limit_in_bytes"):  # control groups 2 and 1
        path = pathlib.Path("/sys/fs/cgroup", name)
        text = path.read_text().strip() if path.is_file() else ""
        if text.isdigit():
            total = min(total, int(text))
    limit = _limit()
    return total if limit is None else min(total, max(0, limit - _OWN_ADDRESSES))


def _limit() -> int | None:
    """Bytes that this process may have, as set by `ulimit -v`; None for as many as it likes."""
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    return None if limit == resource.RLIM_INFINITY else limit


def require_addresses() -> None:
    """Refuses a limit that lets XLA's compiler end the process in the middle of its work.

    Raises:
      ValueError: with what is needed.
    """
    limit = _limit()
    if limit is not None and limit < _LEAST_ADDRESSES:
        raise ValueError(
            f"This process may have {_gb(limit)} of memory (ulimit -v), and the smallest photo "
            f"takes {_gb(_LEAST_ADDRESSES)}; raise the limit, as by 'ulimit -v unlimited'."
        )


def is_lacking(error: BaseException) -> bool:
    """Whether an error comes of too little memory, be it for numbers, threads or libraries."""
    if isinstance(error, OSError) and error.errno == errno.ENOMEM:
        return True
    return isinstance(error, MemoryError) or any(sign in str(error) for sign in _LACK)


def photos_at_once(height: int, width: int, channels: int, config: DeblurConfig) -> int:
    """How many photos are best computed side by side on one device.

    On a TPU what the memory holds, at most 8. One on others, where two networks under vmap, whose
    convolutions are grouped ones, take longer than one after the other (benchmarks/NOTEBOOK.md).
    """
    if jax.local_devices()[0].platform != "tpu":
        return 1
    return min(photos_that_fit(height, width, channels, config), _MAX_PHOTOS)


def photos_that_fit(height: int, width: int, channels: int, config: DeblurConfig) -> int:
    """How many photos the memory of one device holds side by side; 1 at least."""
    return max(1, int(USABLE * device_bytes() / em_bytes(height, width, channels, config)))


def require_fit(label: str, shape: tuple[int, ...], config: DeblurConfig) -> None:
    """Refuses a photo whose EM does not fit.

    Raises:
      TooLarge: with what is needed, what there is, and the size that fits.
    """
    height, width, channels = shape
    need, there = em_bytes(height, width, channels, config), int(USABLE * device_bytes())
    if need <= there:
        return
    scale, border = (there / need) ** 0.5, config.kernel_size - 1
    fitting = "x".join(str(int((n + border) * scale) - border) for n in (width, height))
    raise TooLarge(
        f"{label} is {width}x{height} pixels and would need about {_gb(need)} of memory in one "
        f"piece, of {_gb(there)} that can be used; {fitting} pixels fit, or use --tile_size=auto."
    )


def require_host_fit(label: str, shape: tuple[int, ...]) -> None:
    """Refuses a photo that the host cannot hold even where it is restored in tiles.

    Raises:
      TooLarge: with what is needed, what there is, and the size that fits.
    """
    height, width, channels = shape
    need, there = host_bytes(height, width, channels), int(USABLE * total_host_bytes())
    if need > there:
        scale = (there / need) ** 0.5
        raise TooLarge(
            f"{label} is {width}x{height} pixels and would need about {_gb(need)} of memory, of "
            f"{_gb(there)} that can be used; {int(width * scale)}x{int(height * scale)} pixels fit."
        )


def _gb(count: int) -> str:
    return f"{count / 2**30:.1f} GB"
