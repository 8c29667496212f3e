import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dem_jax.config import DeblurConfig
from dem_jax.evaluation import protocols
from dem_jax.model import blur
from dem_jax.model.luma import luma
from dem_jax.runtime.files import images
from dem_jax.runtime.first_look import first_look
from dem_jax.start import warm_start as module
from dem_jax.start.find import refined
from dem_jax.start.overview import overview
from dem_jax.start.problem import prepare
from dem_jax.start.views import View
from dem_jax.start.warm_start import named_starts, warm_start
from dem_jax.types import Given


@pytest.mark.slow
def test_a_kernel_twice_too_large_costs_nothing(data_folder):
    photo = images.read_photo(data_folder / "levin" / "blurry" / "im2_kernel7_img.png").pixels
    truth = images.read_photo(data_folder / "levin" / "sharp" / "im2.png").pixels

    programs = {
        "overview": jax.jit(overview, static_argnums=1),
        "refine": jax.jit(refined, static_argnums=2),
    }
    run = jax.jit(prepare, static_argnums=2)

    def psnr(bound):
        bounded = DeblurConfig(kernel_size=bound)
        config, given, *_ = first_look(
            lambda name, *args: programs[name](*args), Given(photo), bounded
        )
        problem = run(jax.random.key(0), given, config)
        half = config.kernel_size // 2
        latent = (problem.start_latent / problem.gain)[half:-half, half:-half]
        return protocols.levin_score(np.clip(np.asarray(latent), 0, 1), truth)["psnr"]

    assert psnr(45) > psnr(23) - 0.3


def test_the_start_along_a_path_gives_kernels():
    config = DeblurConfig(kernel_size=5, patch_grid=(1, 2))
    photo = jax.random.uniform(jax.random.key(0), (30, 36, 1))
    kernels = start(photo, config)
    assert bool((kernels >= 0).all())
    np.testing.assert_allclose(kernels.sum((1, 2)), [1, 1], rtol=1e-4)


def start(photo, config):
    """`warm_start` of a photo of little noise."""
    operator = blur.blur_operator(config.patch_grid)

    @jax.jit
    def run(photo):
        view = View(luma(photo))
        return warm_start(view, 0.003, config, blur=operator, starts=named_starts(config))

    return run(photo)


def test_the_choice_takes_what_a_penalty_leaves_cheapest():
    """Of two kernels for a photo without blur the point wins, unless it is penalised."""
    rng = np.random.default_rng(0)
    photo = jnp.asarray(np.kron(rng.uniform(size=(8, 8)), np.ones((6, 6))), jnp.float32)
    point = jnp.zeros((1, 5, 5)).at[0, 2, 2].set(1.0)
    both = jnp.stack([point, jnp.full((1, 5, 5), 1 / 25)])
    choose = functools.partial(module.choose, photo, both, blur=blur.blur_operator((1, 1)))
    np.testing.assert_array_equal(choose(jnp.zeros(2), 1e-4), both[0])
    np.testing.assert_array_equal(choose(jnp.array([9.0, 0.0]), 1e-4), both[1])
