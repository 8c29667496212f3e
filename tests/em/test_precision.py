"""What bfloat16 costs: an E-step on a tiny photo whose kernel is known."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from dem_jax.em import mcem
from dem_jax.evaluation import camera_shake, metrics
from dem_jax.model import blur
from dem_jax.runtime.command.flags import define_flags
from dem_jax.runtime.command.options import make_options
from dem_jax.types import Problem

SIZE, SHAPE = tiny.CONFIG.kernel_size, (28, 32)
CONFIG = dataclasses.replace(
    tiny.CONFIG,
    em_iterations=1,
    samples_per_chain=1,
    burn_in=280,
    thinning=20,
    step_size=0.004,
    noise_std=0.005,
    detail=False,  # else the detail beside T_f would make up for what T_f loses
    image_network=dataclasses.replace(tiny.CONFIG.image_network, channels=8, levels=1),
)
LOSS = 1.0  # dB that may be lost; from seed to seed the loss varies by about 0.4


@pytest.fixture(scope="module")
def results():
    """Of a flat image, PSNR; in float32 and in bfloat16, PSNR of two seeds' mean and images."""
    from skimage import data

    keys = jax.random.split(jax.random.key(3), 4)
    sharp = data.camera()[100 : 104 + SHAPE[0], 200 : 204 + SHAPE[1], None].astype(np.float32) / 255
    kernel = camera_shake.random_kernel(keys[0], SIZE, extent=4)
    photo = camera_shake.gaussian_noise(keys[1], blur.uniform(kernel, sharp), CONFIG.noise_std)
    start = np.pad(photo, ((2, 2), (2, 2), (0, 0)), mode="edge")
    noise = 0.1 * jax.random.uniform(keys[2], (*sharp.shape[:2], 2))
    problem = Problem(
        photo=photo,
        weight=jnp.ones(SHAPE),
        image_input=jnp.concatenate([noise, start], -1),
        kernel_input=jnp.zeros((32, 32, 2)),
        start_latent=start,
        start_kernels=kernel[None],
        noise_std=jnp.float32(CONFIG.noise_std),
        cameras_part=jnp.float32(0.0),
        gain=jnp.float32(1.0),
    )

    def score(image):
        return metrics.psnr(image[2:-2, 2:-2, 0], sharp[2:-2, 2:-2, 0])

    def images(bfloat16):
        network = dataclasses.replace(CONFIG.image_network, bfloat16=bfloat16)
        config = dataclasses.replace(CONFIG, image_network=network)

        @tiny.jit
        def run(key):
            state = mcem.init(key, problem, config)
            return mcem.e_step(key, state, problem, config)[1].mean

        return [np.asarray(run(key)) for key in jax.random.split(keys[3])]

    found = images(False), images(True)
    flat = np.full_like(start, sharp.mean())
    return score(flat), [np.mean([score(i) for i in pair]) for pair in found], found


def test_bfloat16_acts(results):
    (exact, _), (rounded, _) = results[2]
    assert np.abs(exact - rounded).max() > 1e-4


def test_bfloat16_costs_little(results):
    flat, (exact, rounded), _ = results
    assert exact > flat + 3
    assert rounded > exact - LOSS


def test_the_flag_reaches_the_network():
    values = define_flags()
    values(["", "--precision=bfloat16", "--input=-", "--output_dir=-"])
    assert make_options(values).config.image_network.bfloat16
