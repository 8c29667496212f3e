"""Both networks: shapes, counts, constraints, transformations."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dem_jax.config import ImageNetworkConfig, KernelNetworkConfig
from dem_jax.model import image_network, kernel_priors

POSTER = ImageNetworkConfig(channels=64)
SMALL = ImageNetworkConfig(channels=4, levels=2)
REMAT = ImageNetworkConfig(channels=4, levels=2, remat=True)
SHALLOW = ImageNetworkConfig(channels=4, levels=1)
TINY = KernelNetworkConfig(channels=(4, 4, 6, 6))


def noise(*shape, seed=0):
    return jax.random.uniform(jax.random.key(seed), shape)


def image_params(z, out_channels=1, config=SMALL, **options):
    draw = partial(image_network.init, out_channels=out_channels, config=config, **options)
    return jax.jit(draw)(jax.random.key(1), z)


def kernel_params(z, num_kernels, config=TINY):
    draw = partial(kernel_priors.init_network, num_kernels=num_kernels, config=config)
    return jax.jit(draw)(jax.random.key(1), z)


def image_latent(params, z, **options):
    return jax.jit(partial(image_network.apply, **{"config": SMALL, **options}))(params, z)


def kernel_set(params, z, kernel_size):
    network = partial(kernel_priors.apply_network, kernel_size=kernel_size, config=TINY)
    return jax.jit(network)(params, z)


def count(params):
    return sum(p.size for p in jax.tree.leaves(params))


@pytest.mark.parametrize(
    ("size", "out_channels"),
    [((1, 1), 1), ((1, 40), 3), ((17, 23), 3), ((32, 32), 1), ((33, 64), 1)],
)
def test_image_network_takes_any_size(size, out_channels):
    z = noise(*size, 5)
    latent = image_latent(image_params(z, out_channels), z)
    assert latent.shape == (*size, out_channels)
    assert latent.dtype == jnp.float32
    assert (latent > 0).all()
    assert (latent < 1).all()


def test_parameter_counts_of_the_papers_networks():
    z = jax.ShapeDtypeStruct((64, 64, 8), jnp.float32)
    image = jax.eval_shape(lambda z: image_params(z, 1, POSTER), z)
    skip, wide = 16, 64

    def level(inputs):
        convolutions = inputs * skip + 9 * wide * (inputs + wide + wide + skip) + wide * wide
        return convolutions + 2 * (skip + 4 * wide)  # and scale and bias of five normalisations

    assert count(image) == level(8) + 4 * level(wide) + wide + 1
    kernel = jax.eval_shape(lambda z: kernel_params(z, 12, KernelNetworkConfig()), z)
    heads = jax.eval_shape(lambda z: kernel_params(z, 1, KernelNetworkConfig()), z)
    assert count(kernel) - count(heads) == 11 * (32 + 1)


@pytest.mark.parametrize(("kernel_size", "num_kernels"), [(3, 6), (33, 1), (151, 2)])
def test_kernels_are_distributions(kernel_size, num_kernels):
    z = noise(*[kernel_priors.input_size(kernel_size)] * 2, 4)
    params = kernel_params(z, num_kernels)
    kernels = kernel_set(params, z, kernel_size)
    assert kernels.shape == (num_kernels, kernel_size, kernel_size)
    assert (kernels >= 0).all()
    np.testing.assert_allclose(kernels.sum((1, 2)), 1.0, atol=1e-5)
    assert jnp.std(kernels) > 0


def test_heads_share_the_trunk_and_differ():
    z = noise(32, 32, 4)
    params = kernel_params(z, 2)
    swapped = {**params, "logits": jax.tree.map(lambda p: p[..., ::-1], params["logits"])}
    one, two = (kernel_set(p, z, 9) for p in (params, swapped))
    np.testing.assert_allclose(one, two[::-1], atol=1e-7)
    assert jnp.abs(one[0] - one[1]).max() > 1e-6


@pytest.mark.slow
def test_kernel_network_learns_a_kernel_small_enough_to_lose_statistics():
    # A 7x7 grid would leave one pixel at the deepest level; the padded input leaves four.
    z = noise(kernel_priors.input_size(7), kernel_priors.input_size(7), 4)
    params = kernel_params(z, 1)
    truth = jnp.zeros((1, 7, 7)).at[0, 2, 1:5].set(0.25)

    @jax.jit
    def descend(params):
        def loss(params):
            kernels = kernel_priors.apply_network(params, z, kernel_size=7, config=TINY)
            return -jnp.sum(truth * jnp.log(kernels + 1e-9))

        def step(params, _):
            value, by_params = jax.value_and_grad(loss)(params)
            return jax.tree.map(lambda p, g: p - 0.03 * g, params, by_params), value

        return jax.lax.scan(step, params, None, length=100)[1]

    cross_entropy = descend(params)
    assert cross_entropy[-1] < jnp.log(4.0) + 0.2 < cross_entropy[0]  # log 4 is the truth's entropy


@pytest.mark.parametrize("kernel_size", [0, 1, 8])
def test_input_size_refuses_kernels_without_a_centre(kernel_size):
    with pytest.raises(ValueError, match="odd and at least 3"):
        kernel_priors.input_size(kernel_size)


def test_kernel_network_refuses_an_input_smaller_than_the_kernels():
    z = noise(32, 32, 4)
    with pytest.raises(ValueError, match="input_size"):
        kernel_priors.apply_network(kernel_params(z, 1), z, kernel_size=33, config=TINY)


def test_chains_are_independent_networks():
    """Side by side, or one after the other."""
    z = noise(18, 21, 3)
    keys = jax.random.split(jax.random.key(3), 3)
    chains = jax.vmap(lambda key: image_network.init(key, z, out_channels=1, config=SHALLOW))(keys)

    def value_and_gradient(params):
        return jax.value_and_grad(
            lambda p: jnp.sum(image_network.apply(p, z, config=SHALLOW) ** 2)
        )(params)

    alone = jax.jit(value_and_gradient)
    each = [alone(jax.tree.map(lambda p, i=i: p[i], chains)) for i in range(3)]
    values, by_params = jax.tree.map(lambda *x: np.stack(x), *each)
    in_turn = partial(jax.lax.map, value_and_gradient)
    for together in (jax.vmap(value_and_gradient), in_turn):
        found, gradients = jax.jit(together)(chains)
        np.testing.assert_allclose(found, values, rtol=1e-5)
        for a, b in zip(jax.tree.leaves(gradients), jax.tree.leaves(by_params), strict=True):
            scale = np.maximum(1, np.abs(b).max(axis=tuple(range(1, b.ndim)), keepdims=True))
            np.testing.assert_allclose(a / scale, b / scale, atol=1e-4, rtol=1e-7)


def test_eval_shape_needs_no_numbers():
    z = jax.ShapeDtypeStruct((100, 90, 10), jnp.float32)
    params = jax.eval_shape(lambda z: image_params(z, 3, POSTER), z)
    latent = jax.eval_shape(lambda p, z: image_network.apply(p, z, config=POSTER), params, z)
    assert latent.shape == (100, 90, 3)


@pytest.mark.parametrize("platform", ["cpu", "cuda", "tpu"])
def test_both_networks_lower_for_every_platform(platform):
    z, z_kernel = noise(16, 16, 3), noise(32, 32, 3)
    params = jax.eval_shape(lambda: (image_params(z, config=SHALLOW), kernel_params(z_kernel, 2)))

    def loss(image, kernel):
        latent = image_network.apply(image, z, config=SHALLOW)
        kernels = kernel_priors.apply_network(kernel, z_kernel, kernel_size=5, config=TINY)
        return latent.sum() + jnp.square(kernels).sum()

    traced = jax.jit(jax.grad(loss, (0, 1))).trace(*params)
    assert "convolution" in traced.lower(lowering_platforms=(platform,)).as_text()


def test_remat_keeps_less_for_the_same_gradient():
    z = noise(32, 32, 3)
    params = image_params(z)
    kept, gradients = [], []
    for config in (SMALL, REMAT):
        latent = partial(image_network.apply, image_input=z, config=config)
        back = jax.eval_shape(lambda params, f=latent: jax.vjp(f, params)[1], params)
        kept.append(sum(x.size for x in jax.tree.leaves(back)))
        gradients.append(jax.jit(jax.grad(lambda params, f=latent: jnp.sum(f(params))))(params))
    assert kept[1] < 0.7 * kept[0]
    for a, b in zip(*map(jax.tree.leaves, gradients), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
