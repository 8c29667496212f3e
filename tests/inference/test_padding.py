"""Photos padded to a common shape: the padding says nothing, and near sizes share a program."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from dem_jax.config import DeblurConfig, ImageNetworkConfig, KernelNetworkConfig, WarmStartConfig
from dem_jax.inference import deblur, mcem, sharded
from dem_jax.inference.deconvolution import hyper_laplacian
from dem_jax.inference.warm_start import blurriness
from dem_jax.model import likelihood

SHAPE = (44, 48)  # of the bucket
SIZES = ((36, 48), (44, 40))  # of two photos in it
CONFIG = DeblurConfig(
    kernel_size=5,
    num_chains=1,
    samples_per_chain=2,
    burn_in=2,
    thinning=2,
    m_steps=2,
    detail_iterations=3,
    image_network=ImageNetworkConfig(channels=4, levels=2, noise_channels=2),
    kernel_network=KernelNetworkConfig(channels=(4,)),
    start=WarmStartConfig(alternations=2, splittings=6),
)
KEY = jax.random.key(3)


def make_photo(size, seed):
    rng = np.random.default_rng(seed)
    photo = ndimage.gaussian_filter(rng.normal(size=size), (1.0, 2.0))
    photo = 0.5 + 0.15 * photo / photo.std() + 0.01 * rng.normal(size=size)
    return np.clip(photo, 0, 1).astype(np.float32)[..., None]


def padded(photo, value=0.0):
    rows, cols = photo.shape[:2]
    full = np.full((*SHAPE, 1), value, np.float32)
    full[:rows, :cols] = photo
    return full


PHOTOS = [make_photo(size, seed) for seed, size in enumerate(SIZES)]


def first_e_step(photo, size, key):
    problem = deblur.prepare(key, photo, CONFIG, size=size)
    state = mcem.init(key, problem, CONFIG)
    chains, samples = mcem.e_step(key, state, problem, CONFIG)
    return problem, chains, samples


@pytest.fixture(scope="module")
def alone():
    """The E-step of both photos, each padded to the bucket and computed by itself."""
    run = jax.jit(first_e_step)
    return [
        run(padded(photo), jnp.array(size), KEY) for photo, size in zip(PHOTOS, SIZES, strict=True)
    ]


def test_what_the_padding_holds_does_not_matter(alone):
    found = jax.jit(first_e_step)(padded(PHOTOS[0], np.nan), jnp.array(SIZES[0]), KEY)
    for a, b in zip(jax.tree.leaves(alone[0]), jax.tree.leaves(found), strict=True):
        np.testing.assert_array_equal(a, b)


def test_padding_has_weight_zero_and_the_photo_its_own(alone):
    for (problem, *_), photo, (rows, cols) in zip(alone, PHOTOS, SIZES, strict=True):
        weight = np.array(problem.weight)
        np.testing.assert_array_equal(weight[:rows, :cols], likelihood.trusted(jnp.asarray(photo)))
        weight[:rows, :cols] = 0
        assert not weight.any()


def test_em_does_not_see_the_padding(alone):
    problem, *_ = alone[0]
    garbage = jnp.where(problem.weight[..., None] > 0, problem.photo, 0.9)
    state = jax.jit(mcem.init, static_argnums=2)(KEY, problem, CONFIG)
    run = jax.jit(mcem.step, static_argnums=3)
    one = run(KEY, state, problem, CONFIG)
    other = run(KEY, state, problem._replace(photo=garbage), CONFIG)
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_batch_equals_one_by_one(alone):
    photos = jnp.stack([padded(photo) for photo in PHOTOS])
    sizes, keys = jnp.array(SIZES), jnp.stack([KEY, KEY])
    run = sharded.over_photos(lambda photo, size, key, _: first_e_step(photo, size, key))
    found = jax.jit(run, static_argnums=3)(photos, sizes, keys, CONFIG)
    for i, one in enumerate(alone):
        for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(found), strict=True):
            np.testing.assert_allclose(a, b[i], atol=1e-4, rtol=1e-3)


def test_scores_of_padded_pictures_are_those_of_the_pictures():
    for photo, size in zip(PHOTOS, SIZES, strict=True):
        full, size = padded(photo, 0.3), jnp.array(size)
        np.testing.assert_allclose(
            likelihood.estimate_noise_std(jnp.asarray(full), size=size),
            likelihood.estimate_noise_std(jnp.asarray(photo)),
            rtol=1e-6,
        )
        np.testing.assert_allclose(
            blurriness(jnp.asarray(full[..., 0]), size=size),
            blurriness(jnp.asarray(photo[..., 0])),
            rtol=1e-5,
        )


def test_deconvolution_explains_the_photo_and_not_the_padding():
    kernel = jnp.asarray(np.random.default_rng(0).dirichlet(np.ones(25)).reshape(5, 5), jnp.float32)
    photo, (rows, cols) = PHOTOS[0][..., 0], SIZES[0]
    whole = hyper_laplacian(jnp.asarray(photo), kernel, 1e-3)
    latent = hyper_laplacian(
        jnp.asarray(padded(PHOTOS[0], 0.5)[..., 0]), kernel, 1e-3, size=jnp.array(SIZES[0])
    )
    inner = np.s_[4:rows, 4:cols]
    difference = np.abs(np.asarray(latent)[inner] - np.asarray(whole)[inner])
    assert difference.max() < 0.02
    assert difference.mean() < 1e-3
