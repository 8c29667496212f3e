"""What both U-Nets are made of: convolution, normalisation, upsampling, and the U-Net itself.

Everything here works on one picture, [H, W, C] float32, without a batch axis: the networks of this
package are fitted to a single photo, and several chains are several networks (jax.vmap or
jax.lax.map over parameters), never a batch. So no chain's statistics can leak into another's.
"""

from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax
from jax.ad_checkpoint import checkpoint_name
from jax.flatten_util import ravel_pytree

NEGATIVE_SLOPE = 0.2  # of the leaky rectifier, as in deep image prior
EPSILON = 1e-5  # added to variances
_DIMENSIONS = ("NHWC", "HWIO", "NHWC")
CONVOLVED = "convolved"  # what convolutions give, to policies of jax.checkpoint
_BAND = 1024  # pixels that are multiplied at a time


def conv2d_plain(x: jax.Array, kernel: jax.Array, *, stride: int = 1) -> jax.Array:
    """Zero-padded cross-correlation of one picture, with the derivatives that JAX makes.

    y[i, j, o] = sum_{a, b, c} x[i s + a - (n - 1) / 2, j s + b - (n - 1) / 2, c] kernel[a, b, c, o]

    Args:
      x: [H, W, I].
      kernel: [n, n, I, O], n odd.
      stride: s, 1 or 2.

    Returns:
      [ceil(H / s), ceil(W / s), O].

    Raises:
      ValueError: if n is even or the channels differ.
    """
    n = kernel.shape[0]
    if n % 2 == 0:
        raise ValueError(
            f"The kernel is {n} pixels wide; give an odd width, so that it has a centre."
        )
    if x.shape[-1] != kernel.shape[2]:
        raise ValueError(
            f"The picture has {x.shape[-1]} channels and the kernel takes {kernel.shape[2]}; "
            "give arrays of equal channels."
        )
    pad = (n - 1) // 2
    y = lax.conv_general_dilated(
        x[None], kernel, (stride, stride), ((pad, pad), (pad, pad)), dimension_numbers=_DIMENSIONS
    )
    return y[0]


def conv2d(x: jax.Array, kernel: jax.Array, *, stride: int = 1) -> jax.Array:
    """`conv2d_plain` with reverse-mode derivatives that stay fast on CPU, in lax.scan as well.

    XLA:CPU is fast only at convolutions of NHWC pictures with HWIO kernels, and rewrites others
    into that form only outside of loops. The derivatives that JAX makes of a convolution are not of
    that form; here the derivative by the picture is, and the one by the kernel is a matrix product.
    Other platforms get the plain derivatives. There is no forward-mode derivative (jvp): take
    `conv2d_plain` for that. Arguments, result and errors as there.
    """
    return _conv2d(stride, x, kernel)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _conv2d(stride: int, x: jax.Array, kernel: jax.Array) -> jax.Array:
    return conv2d_plain(x, kernel, stride=stride)


def _conv2d_forward(
    stride: int, x: jax.Array, kernel: jax.Array
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    return conv2d_plain(x, kernel, stride=stride), (x, kernel)


def _conv2d_backward(
    stride: int, residuals: tuple[jax.Array, jax.Array], g: jax.Array
) -> tuple[jax.Array, jax.Array]:
    fast, plain = (partial(f, stride) for f in (_fast_derivatives, _plain_derivatives))
    return lax.platform_dependent(*residuals, g, cpu=fast, default=plain)


def _plain_derivatives(
    stride: int, x: jax.Array, kernel: jax.Array, g: jax.Array
) -> tuple[jax.Array, jax.Array]:
    return jax.vjp(partial(conv2d_plain, stride=stride), x, kernel)[1](g)


def _fast_derivatives(
    stride: int, x: jax.Array, kernel: jax.Array, g: jax.Array
) -> tuple[jax.Array, jax.Array]:
    by_picture = _gradient_by_picture(kernel, g, x.shape[:2], stride)
    return by_picture, _gradient_by_kernel(x, g, kernel.shape[0], stride)


_conv2d.defvjp(_conv2d_forward, _conv2d_backward)


def _gradient_by_picture(
    kernel: jax.Array, g: jax.Array, size: tuple[int, ...], stride: int
) -> jax.Array:
    """The transposed convolution, as a NHWC/HWIO convolution of g with the mirrored kernel."""
    n = kernel.shape[0]
    pad = (n - 1) // 2
    padding = [
        (pad, m - (k - 1) * stride - 1 + pad) for m, k in zip(size, g.shape[:2], strict=True)
    ]
    x = lax.conv_general_dilated(
        g[None],
        jnp.flip(kernel, (0, 1)).swapaxes(2, 3),
        (1, 1),
        padding,
        lhs_dilation=(stride, stride),
        dimension_numbers=_DIMENSIONS,
    )
    return x[0]


def _gradient_by_kernel(x: jax.Array, g: jax.Array, n: int, stride: int) -> jax.Array:
    """sum_{i, j} x[i s + a - pad, j s + b - pad, c] g[i, j, o], band of rows after band.

    XLA:CPU multiplies fast what lies as [M, K] and [K, N] and what its caches hold: so x gets its
    channels in front, and a band is about a thousand pixels. No shifted copy of a whole picture is
    ever made.
    """
    pad = (n - 1) // 2
    height, width, outputs = g.shape
    rows = max(1, min(height, _BAND // width))
    bands = -(-height // rows)
    last = (bands * rows - 1) * stride + n, (width - 1) * stride + n
    padding = [(pad, size - pad - m, 0) for size, m in zip(last, x.shape, strict=False)]
    x = lax.pad(x, jnp.zeros((), x.dtype), [*padding, (0, 0, 0)])
    g = jnp.pad(g, ((0, bands * rows - height), (0, 0), (0, 0)))

    def add_band(total: jax.Array, i: jax.Array | int) -> tuple[jax.Array, None]:
        reach, across = (rows - 1) * stride + 1, (width - 1) * stride + 1
        xs = lax.dynamic_slice_in_dim(x, i * rows * stride, reach + n - 1, 0).transpose(2, 0, 1)
        shifts = [
            xs[:, a : a + reach : stride, b : b + across : stride]
            for a in range(n)
            for b in range(n)
        ]
        gs = lax.dynamic_slice_in_dim(g, i * rows, rows, 0).reshape(rows * width, outputs)
        xs = jnp.concatenate(shifts).reshape(-1, rows * width)
        return total + jnp.matmul(xs, gs, preferred_element_type=total.dtype), None

    wide = jnp.promote_types(g.dtype, jnp.float32)
    total = jnp.zeros((n * n * x.shape[-1], outputs), wide)
    if bands == 1:
        total, _ = add_band(total, 0)
    else:
        total, _ = lax.scan(add_band, total, jnp.arange(bands))
    return total.reshape(n, n, x.shape[-1], outputs).astype(g.dtype)


def normalised_activation(x: jax.Array, scale: jax.Array, bias: jax.Array) -> jax.Array:
    """Each channel normalised over the picture, scaled and shifted, then the leaky rectifier.

    y = r((x - mean_{i, j} x) / sqrt(var_{i, j} x + 1e-5) scale + bias), r(u) = max(u, 0.2 u). This
    is deep image prior's batch normalisation at its batch size of one: instance normalisation. The
    derivative keeps x and no other picture. Reverse mode only.

    Args:
      x: [H, W, C].
      scale: [C].
      bias: [C].

    Returns:
      [H, W, C].
    """
    return _normalised_activation(x, scale, bias)


@jax.custom_vjp
def _normalised_activation(x: jax.Array, scale: jax.Array, bias: jax.Array) -> jax.Array:
    return _normalised_activation_forward(x, scale, bias)[0]


def _normalised_activation_forward(
    x: jax.Array, scale: jax.Array, bias: jax.Array
) -> tuple[jax.Array, tuple[jax.Array, ...]]:
    mean = jnp.mean(x, (0, 1), keepdims=True)
    variance = jnp.mean(jnp.square(x - mean), (0, 1), keepdims=True)
    inverse_std = lax.rsqrt(variance + EPSILON)
    slope = inverse_std * scale[None, None]
    slope, offset = _computed_once(slope, bias[None, None] - mean * slope)
    y = x * slope + offset
    return jnp.maximum(y, NEGATIVE_SLOPE * y), (x, slope, offset, mean, inverse_std)


def _normalised_activation_backward(
    residuals: tuple[jax.Array, ...], g: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
    x, slope, offset, mean, inverse_std = residuals
    g = jnp.where(x * slope + offset > 0, g, NEGATIVE_SLOPE * g)
    by_bias = jnp.sum(g, (0, 1), keepdims=True)
    # Not sum g (x - mean): XLA would keep that difference from the forward pass, beside x.
    by_scale = (jnp.sum(g * x, (0, 1), keepdims=True) - mean * by_bias) * inverse_std
    pixels = x.shape[0] * x.shape[1]
    linear = slope * inverse_std * by_scale / pixels
    linear, constant = _computed_once(linear, slope * by_bias / pixels - linear * mean)
    return slope * g - (linear * x + constant), by_scale[0, 0], by_bias[0, 0]


_normalised_activation.defvjp(_normalised_activation_forward, _normalised_activation_backward)


def _computed_once(*channels: jax.Array) -> tuple[jax.Array, ...]:
    """Keeps XLA from computing these per-channel numbers anew at every pixel."""
    return lax.optimization_barrier(channels)


def upsample(x: jax.Array) -> jax.Array:
    """Bilinear interpolation to twice the size, edges replicated: [H, W, C] -> [2 H, 2 W, C].

    Equals jax.image.resize(..., "bilinear") and PyTorch's align_corners=False, but its weights are
    known (1/4 and 3/4), so it is slices and sums, and so is its transpose. Reverse mode only.
    """
    return _upsample(x)


@jax.custom_vjp
def _upsample(x: jax.Array) -> jax.Array:
    return _upsample_axis(_upsample_axis(x, 1), 0)


def _upsample_axis(x: jax.Array, axis: int) -> jax.Array:
    before, after = _shifted(x, x, axis)
    pairs = jnp.stack([0.75 * x + 0.25 * before, 0.75 * x + 0.25 * after], axis + 1)
    return pairs.reshape(*x.shape[:axis], 2 * x.shape[axis], *x.shape[axis + 1 :])


def _upsample_axis_transposed(g: jax.Array, axis: int) -> jax.Array:
    pairs = g.reshape(*g.shape[:axis], g.shape[axis] // 2, 2, *g.shape[axis + 1 :])
    even = lax.index_in_dim(pairs, 0, axis + 1, keepdims=False)
    odd = lax.index_in_dim(pairs, 1, axis + 1, keepdims=False)
    before, after = _shifted(odd, even, axis)
    return 0.75 * (even + odd) + 0.25 * (before + after)


def _shifted(x: jax.Array, y: jax.Array, axis: int) -> tuple[jax.Array, jax.Array]:
    """The pixel before, x[i - 1], starting with y[0]; and the one after, y[i + 1], up to x[-1]."""
    n = x.shape[axis]
    first, last = lax.slice_in_dim(y, 0, 1, axis=axis), lax.slice_in_dim(x, n - 1, n, axis=axis)
    x, y = lax.slice_in_dim(x, 0, n - 1, axis=axis), lax.slice_in_dim(y, 1, n, axis=axis)
    return jnp.concatenate([first, x], axis), jnp.concatenate([y, last], axis)


_upsample.defvjp(
    lambda x: (_upsample(x), None),
    lambda _, g: (_upsample_axis_transposed(_upsample_axis_transposed(g, 0), 1),),
)


def halve(x: jax.Array) -> jax.Array:
    """Averages of 2x2 pixels, the last row or column repeated where the size is odd.

    [H, W, C] -> [ceil(H / 2), ceil(W / 2), C].
    """
    x = _extend(x, x.shape[0] % 2, x.shape[1] % 2)
    height, width, channels = x.shape
    rows = x.reshape(height // 2, 2, width, channels)
    columns = (rows[:, 0] + rows[:, 1]).reshape(height // 2, width // 2, 2, channels)
    return 0.25 * (columns[:, :, 0] + columns[:, :, 1])


def _extend(x: jax.Array, rows: int, columns: int) -> jax.Array:
    """Repeats the last row and column that many times more."""
    return jnp.pad(x, ((0, rows), (0, columns), (0, 0)), mode="edge") if rows or columns else x


class Conv(nn.Module):
    """`conv2d` with its kernel, and a bias where asked: [H, W, I] -> [ceil(H/s), ceil(W/s), O].

    Draw the weights by `init` below; the module's own gives every kernel its largest value. With
    bfloat16 the factors, the result and the derivatives of `conv2d` are rounded to it (sums are
    still formed in float32); the kernel itself, the features and what is left stay in float32.
    """

    features: int
    size: int = 3
    stride: int = 1
    use_bias: bool = False
    bfloat16: bool = False

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        shape = (self.size, self.size, x.shape[-1], self.features)
        kernel = self.param("kernel", _bound, shape)
        if self.bfloat16:
            low = (a.astype(jnp.bfloat16) for a in (x, kernel))
            y = conv2d(*low, stride=self.stride).astype(x.dtype)
        else:
            y = conv2d(x, kernel, stride=self.stride)
        y = checkpoint_name(y, CONVOLVED)
        if self.use_bias:
            y = y + self.param("bias", nn.initializers.zeros, (self.features,))[None, None]
        return y


class Activation(nn.Module):
    """Normalisation and leaky rectifier: [H, W, C] -> [H, W, C]."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        scale = self.param("scale", nn.initializers.ones, x.shape[-1:])
        bias = self.param("bias", nn.initializers.zeros, x.shape[-1:])
        return normalised_activation(x, scale, bias)


class UNet(nn.Module):
    """A U-Net in the manner of deep image prior: [H, W, N] -> [H, W, channels[0]].

    On the way down every level halves the picture, by averages of 2x2 pixels, and convolves it
    twice. On the way up the deeper level's features are convolved, interpolated to twice the size
    and added to the convolved skip connection. That sum equals a convolution of the two
    concatenated, but for the order of interpolation and convolution, at less than half the cost.

    Any H, W: a level of odd size repeats its last row or column before it is halved, and drops the
    last one that was interpolated. Pictures too small for the deepest level to have statistics are
    padded by edge replication and cropped.

    Attributes:
      channels: width of every level, the finest first.
      skip_channels: width of the skip connections.
      bfloat16: see `Conv`.
    """

    channels: tuple[int, ...]
    skip_channels: int = 16
    bfloat16: bool = False

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        convolution = partial(Conv, bfloat16=self.bfloat16)
        height, width = x.shape[:2]
        smallest = 2 ** (len(self.channels) + 1)
        x = _extend(x, max(0, smallest - height), max(0, smallest - width))
        skips = []
        for features in self.channels:
            skips.append(Activation()(convolution(self.skip_channels, size=1)(x)))
            x = Activation()(convolution(features)(halve(x)))
            x = Activation()(convolution(features)(x))
        for level in reversed(range(len(self.channels))):
            features, skip = self.channels[level], skips[level]
            x = upsample(convolution(features)(x))[: skip.shape[0], : skip.shape[1]]
            x = Activation()(x + convolution(features)(skip))
            x = Activation()(convolution(features, size=1)(x))
        return x[:height, :width]


def init(key: jax.Array, network: nn.Module, x: jax.Array) -> Any:
    """Draws the weights of a network of these layers, for an input like x.

    Kernels: U(-1 / sqrt(fan in), 1 / sqrt(fan in)), PyTorch's start; scales one, biases zero. All
    come from one draw, because a draw for every kernel takes twenty seconds to compile.
    """
    bounds = network.init(key, x)["params"]
    vector, unravel = ravel_pytree(bounds)
    draws = unravel(jax.random.uniform(key, vector.shape, vector.dtype, minval=-1.0))
    return jax.tree.map(lambda bound, u: bound * u if bound.ndim == 4 else bound, bounds, draws)


def _bound(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """How large a convolution's weights may be at the start; `init` draws them."""
    del key
    rows, cols, inputs, _ = shape
    return jnp.full(shape, (rows * cols * inputs) ** -0.5)
