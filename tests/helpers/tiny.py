"""What tests of the whole algorithm share: it small, its programs compiled quickly."""

import functools

import jax
import jax.numpy as jnp

from dem_jax.config import DeblurConfig, ImageNetworkConfig, KernelNetworkConfig

CONFIG = DeblurConfig(
    kernel_size=5,
    kernels="network",
    em_iterations=2,
    samples_per_chain=2,
    burn_in=2,
    thinning=2,
    m_steps=2,
    detail_iterations=3,
    image_network=ImageNetworkConfig(channels=4, levels=2),
    kernel_network=KernelNetworkConfig(channels=(4,)),
)

# small programs spend most of the time in their compilation
jit = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})


def sharp_start():
    """The camera's part and gain of a `Problem` whose photo is sharp to the pixel."""
    return jnp.float32(0), jnp.float32(1)
