"""The layers against XLA's own convolution, JAX's resize and closed forms."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from dem_jax.model import layers


def pictures(*shapes):
    keys = jax.random.split(jax.random.key(0), len(shapes))
    return [jax.random.normal(k, s) for k, s in zip(keys, shapes, strict=True)]


def gradients(function, *args):
    """By all arguments, of a scalar that weighs every output differently."""

    def scalar(*args):
        y = function(*args)
        return jnp.vdot(jnp.sin(jnp.arange(y.size, dtype=y.dtype)).reshape(y.shape), y)

    return jax.jit(jax.grad(scalar, tuple(range(len(args)))))(*args)


def assert_close(actual, expected, tolerance=2e-6):
    for a, b in zip(actual, expected, strict=True):
        assert a.shape == b.shape
        scale = max(1.0, float(jnp.abs(b).max()))
        np.testing.assert_allclose(a / scale, b / scale, rtol=0, atol=tolerance)


@pytest.mark.parametrize(
    ("stride", "size", "shape", "channels"),
    [
        (1, 3, (8, 12), (3, 5)),
        (1, 3, (7, 9), (5, 2)),
        (2, 3, (8, 12), (3, 5)),
        (2, 3, (7, 9), (5, 2)),
        (1, 1, (7, 9), (5, 2)),
        (2, 1, (7, 8), (2, 5)),
        (1, 5, (1, 6), (3, 5)),
        (2, 5, (2, 1), (5, 2)),
        (1, 3, (37, 70), (3, 4)),  # more than one band
        (1, 1, (33, 65), (4, 3)),
        (2, 3, (75, 111), (2, 3)),
        (1, 3, (3, 1500), (2, 2)),  # a row longer than a band
    ],
)
def test_conv2d_gradients_equal_the_plain_ones(stride, size, shape, channels):
    x, kernel = pictures((*shape, channels[0]), (size, size, *channels))
    fast, plain = (partial(f, stride=stride) for f in (layers.conv2d, layers.conv2d_plain))
    np.testing.assert_array_equal(fast(x, kernel), plain(x, kernel))
    assert_close(gradients(fast, x, kernel), gradients(plain, x, kernel))


@pytest.mark.parametrize("stride", [1, 2])
def test_conv2d_is_the_documented_sum(stride):
    x, kernel = pictures((5, 6, 2), (3, 3, 2, 4))
    padded = np.pad(x, ((1, 1), (1, 1), (0, 0)))
    y = layers.conv2d(x, kernel, stride=stride)
    assert y.shape == (-(-5 // stride), -(-6 // stride), 4)
    for i, j in np.ndindex(y.shape[:2]):
        window = padded[i * stride : i * stride + 3, j * stride : j * stride + 3]
        np.testing.assert_allclose(y[i, j], np.einsum("abc,abco->o", window, kernel), atol=1e-5)


def test_conv2d_gradients_under_vmap_over_pictures_and_kernels():
    x, kernel = pictures((3, 6, 7, 2), (3, 3, 3, 2, 4))
    together = gradients(jax.vmap(layers.conv2d), x, kernel)
    assert_close(together, gradients(jax.vmap(layers.conv2d_plain), x, kernel))


def test_conv2d_plain_has_forward_mode():
    x, kernel = pictures((5, 5, 2), (3, 3, 2, 2))
    _, tangent = jax.jvp(lambda k: layers.conv2d_plain(x, k), (kernel,), (kernel,))
    np.testing.assert_allclose(tangent, layers.conv2d_plain(x, kernel), rtol=1e-6)


@pytest.mark.parametrize(
    ("kernel_shape", "message"), [((2, 2, 3, 1), "odd width"), ((3, 3, 2, 1), "equal channels")]
)
def test_conv2d_refuses(kernel_shape, message):
    with pytest.raises(ValueError, match=message):
        layers.conv2d(jnp.zeros((4, 4, 3)), jnp.zeros(kernel_shape))


def plain_normalised_activation(x, scale, bias):
    mean, variance = x.mean((0, 1), keepdims=True), x.var((0, 1), keepdims=True)
    u = (x - mean) / jnp.sqrt(variance + layers.EPSILON) * scale[None, None] + bias[None, None]
    return nn.leaky_relu(u, layers.NEGATIVE_SLOPE)


@pytest.mark.parametrize("shape", [(8, 6, 3), (1, 7, 2), (2, 2, 4)])
def test_normalised_activation_equals_its_formula(shape):
    x, scale, bias = pictures(shape, shape[-1:], shape[-1:])
    x = 5 * x + 3
    np.testing.assert_allclose(
        layers.normalised_activation(x, scale, bias),
        plain_normalised_activation(x, scale, bias),
        atol=1e-5,
    )
    expected = gradients(plain_normalised_activation, x, scale, bias)
    assert_close(gradients(layers.normalised_activation, x, scale, bias), expected, 1e-5)


def test_normalised_activation_of_a_constant_picture_is_the_bias():
    x, scale, bias = jnp.full((4, 4, 2), 7.0), jnp.asarray([1.0, 2.0]), jnp.asarray([0.5, -0.5])
    y = layers.normalised_activation(x, scale, bias)
    np.testing.assert_allclose(y, np.broadcast_to([0.5, -0.1], y.shape), atol=1e-6)
    assert all(
        jnp.isfinite(g).all() for g in gradients(layers.normalised_activation, x, scale, bias)
    )


def test_normalisation_of_one_chain_does_not_see_the_others():
    x, scale, bias = pictures((3, 6, 5, 2), (3, 2), (3, 2))
    together = jax.vmap(layers.normalised_activation)
    alone = layers.normalised_activation(x[1], scale[1], bias[1])
    np.testing.assert_allclose(together(x, scale, bias)[1], alone, atol=1e-6)
    other = x.at[0].mul(100.0)
    np.testing.assert_array_equal(together(other, scale, bias)[1], together(x, scale, bias)[1])


@pytest.mark.parametrize("shape", [(4, 6, 3), (5, 7, 1), (1, 3, 2), (1, 1, 1)])
def test_upsample_equals_bilinear_resize(shape):
    (x,) = pictures(shape)
    resize = partial(
        jax.image.resize, shape=(2 * shape[0], 2 * shape[1], shape[2]), method="bilinear"
    )
    np.testing.assert_allclose(layers.upsample(x), resize(x), atol=1e-6)
    assert_close(gradients(layers.upsample, x), gradients(resize, x))


@pytest.mark.parametrize("platform", ["cpu", "cuda", "tpu"])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("mapped", [False, True])
def test_conv2d_gradient_lowers_for_every_platform(platform, stride, mapped):
    x, kernel = pictures((2, 6, 6, 3), (2, 3, 3, 3, 4))
    loss = jax.grad(lambda x, k: layers.conv2d(x, k, stride=stride).sum(), (0, 1))
    args = (x, kernel) if mapped else (x[0], kernel[0])
    lowered = jax.jit(jax.vmap(loss) if mapped else loss).trace(*args)
    text = lowered.lower(lowering_platforms=(platform,)).as_text()
    products = text.count("stablehlo.dot_general")
    assert (products > 0) == (platform == "cpu")  # the fast form on CPU and nowhere else


def test_gradient_by_kernel_copies_no_picture():
    """Nine shifts of a picture would be nine times its size; a band of them is not."""
    shape = (256, 256, 16)
    x, g = (jax.ShapeDtypeStruct(shape, jnp.float32) for _ in range(2))
    gradient = partial(layers._gradient_by_kernel, n=3, stride=1)
    memory = jax.jit(gradient).lower(x, g).compile().memory_analysis()
    assert memory.temp_size_in_bytes < 2.5 * 4 * np.prod(shape)


def test_bfloat16_rounds_the_convolution_and_nothing_else():
    (x,) = pictures((9, 8, 16))
    plain, low = (layers.Conv(4, bfloat16=b) for b in (False, True))
    (kernel,) = pictures((3, 3, 16, 4))

    @partial(jax.jit, static_argnums=0)
    def gradient(conv, kernel):
        def loss(kernel):
            return jnp.sum(jnp.square(conv.apply({"params": {"kernel": kernel}}, x)))

        return jax.grad(loss)(kernel)

    exact, rounded = (gradient(conv, kernel) for conv in (plain, low))
    assert rounded.dtype == jnp.float32
    relative = jnp.linalg.norm(rounded - exact) / jnp.linalg.norm(exact)
    assert 1e-4 < relative < 1e-2  # 8 bits: 2^-9 = 2e-3 each time


@pytest.mark.parametrize("platform", ["cpu", "cuda"])
def test_bfloat16_reaches_the_compiler(platform):
    (x,) = pictures((8, 8, 3))
    conv = layers.Conv(4, bfloat16=True)
    params = jax.eval_shape(conv.init, jax.random.key(0), x)
    gradient = jax.jit(jax.grad(lambda p: jnp.square(conv.apply(p, x)).sum()))
    text = gradient.trace(params).lower(lowering_platforms=(platform,)).as_text()
    products = "stablehlo.convolution", "stablehlo.dot_general"
    lines = [line for line in text.splitlines() if any(p in line for p in products)]
    assert len(lines) == 2  # the value, and its derivative by the kernel
    assert all("bf16" in line for line in lines)


def test_unet_uses_every_parameter_and_passes_odd_sizes():
    (x,) = pictures((17, 13, 3))
    unet = layers.UNet((4, 6))
    params = jax.jit(unet.init)(jax.random.key(1), x)
    assert jax.eval_shape(unet.apply, params, x).shape == (17, 13, 4)
    by_params = jax.jit(jax.grad(lambda p: unet.apply(p, x)[3, 5].sum()))(params)
    assert all(jnp.abs(g).max() > 0 for g in jax.tree.leaves(by_params))


@pytest.mark.parametrize("shape", [(4, 6, 2), (5, 3, 1), (1, 1, 2)])
def test_halve_averages_two_by_two(shape):
    (x,) = pictures(shape)
    even = np.pad(x, ((0, shape[0] % 2), (0, shape[1] % 2), (0, 0)), mode="edge")
    means = even.reshape(even.shape[0] // 2, 2, even.shape[1] // 2, 2, -1).mean((1, 3))
    np.testing.assert_allclose(layers.halve(x), means, atol=1e-6)
