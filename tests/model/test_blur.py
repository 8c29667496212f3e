"""The blur operators against SciPy's direct convolution, and the identities they must obey."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from grids import full_windows
from scipy import signal

from dem_jax.model import blur

# photo's shape, grid, kernel size
CASES = [
    ((20, 27, 1), (1, 1), 5),
    ((24, 19, 3), (2, 3), 7),
    ((31, 16, 2), (3, 1), 9),
    ((23, 30, 1), (5, 4), 11),  # kernels wider than two hops
]


def random_problem(shape, grid, k, seed=0, dtype=np.float64):
    rng = np.random.default_rng(seed)
    kernels = rng.uniform(size=(grid[0] * grid[1], k, k)).astype(dtype)
    kernels /= kernels.sum((1, 2), keepdims=True)
    latent = rng.uniform(size=(shape[0] + k - 1, shape[1] + k - 1, shape[2])).astype(dtype)
    return kernels, latent, rng.normal(size=shape).astype(dtype)


def direct(kernels, latent, grid):
    """Patch after patch, channel after channel: sum_p k_p * (w_p . f)."""
    patches = zip(kernels, full_windows(latent.shape[:2], grid), strict=True)
    return sum(
        np.stack(
            [signal.convolve2d(w * f, k, mode="valid") for f in np.moveaxis(latent, -1, 0)], axis=-1
        )
        for k, w in patches
    )


def direct_adjoint(kernels, photo, grid):
    """By the latent image: sum_p w_p . (k_p correlated with g)."""
    k = kernels.shape[-1]
    shape = (photo.shape[0] + k - 1, photo.shape[1] + k - 1)
    return sum(
        np.stack(
            [w * signal.correlate2d(g, k, mode="full") for g in np.moveaxis(photo, -1, 0)], axis=-1
        )
        for k, w in zip(kernels, full_windows(shape, grid), strict=True)
    )


def direct_kernel_adjoint(latent, photo, grid):
    """By the kernels: w_p . f correlated with g, flipped."""
    pairs = list(zip(np.moveaxis(latent, -1, 0), np.moveaxis(photo, -1, 0), strict=True))
    return np.stack(
        [
            sum(signal.correlate2d(w * f, g, mode="valid") for f, g in pairs)[::-1, ::-1]
            for w in full_windows(latent.shape[:2], grid)
        ]
    )


@pytest.mark.parametrize(("shape", "grid", "k"), CASES)
def test_fft_equals_direct(shape, grid, k):
    kernels, latent, _ = random_problem(shape, grid, k)
    expected = direct(kernels, latent, grid)
    operator = jax.jit(blur.blur_operator(grid))
    photo = operator(np.float32(kernels), np.float32(latent))
    assert photo.shape == shape
    np.testing.assert_allclose(photo, expected, atol=1e-6)
    with jax.enable_x64(True):
        np.testing.assert_allclose(operator(kernels, latent), expected, atol=1e-13)


def test_uniform_is_true_convolution():
    """An off-centre point in the kernel moves the picture its own way, not the opposite way."""
    latent = np.random.default_rng(0).uniform(size=(14, 14, 1)).astype(np.float32)
    kernel = np.zeros((5, 5), np.float32)
    kernel[0, 3] = 1.0  # two up, one right of the middle
    photo = blur.uniform(kernel, latent)
    np.testing.assert_allclose(photo, latent[4:14, 1:11], atol=1e-6)


@pytest.mark.parametrize(("shape", "grid", "k"), CASES)
@pytest.mark.parametrize("x64", [False, True])
def test_adjoints(shape, grid, k, x64):
    """<g, A f> = <A' g, f> and the same by the kernels, the adjoints being the right ones."""
    dtype = np.float64 if x64 else np.float32
    tolerance = 1e-12 if x64 else 2e-5
    kernels, latent, photo = random_problem(shape, grid, k, dtype=dtype)

    @jax.jit
    def blur_and_adjoints(kernels, latent, photo):
        blurred, pullback = jax.vjp(blur.blur_operator(grid), kernels, latent)
        return blurred, *pullback(photo)

    with jax.enable_x64(x64):
        blurred, by_kernels, by_latent = map(np.asarray, blur_and_adjoints(kernels, latent, photo))
    assert by_kernels.dtype == by_latent.dtype == dtype
    inner, scale = np.vdot(photo, blurred), np.linalg.norm(photo) * np.linalg.norm(blurred)
    assert abs(np.vdot(by_latent, latent) - inner) < tolerance * scale
    assert abs(np.vdot(by_kernels, kernels) - inner) < tolerance * scale
    expected = direct_adjoint(kernels, photo, grid)
    np.testing.assert_allclose(by_latent, expected, atol=tolerance * abs(expected).max())
    expected = direct_kernel_adjoint(latent, photo, grid)
    np.testing.assert_allclose(by_kernels, expected, atol=tolerance * abs(expected).max())


@pytest.mark.parametrize("grid", [(1, 1), (2, 3), (6, 5)])
def test_equal_kernels_are_uniform_blur(grid):
    kernels, latent, _ = random_problem((40, 33, 3), grid, 7, dtype=np.float32)
    kernels[:] = kernels[0]
    flow = jax.jit(blur.blur_operator(grid))(kernels, latent)
    uniform = jax.jit(blur.uniform)(kernels[0], latent)
    np.testing.assert_allclose(flow, uniform, atol=0 if grid == (1, 1) else 1e-6)


@pytest.mark.parametrize("grid", [(1, 1), (2, 2)])
def test_works_under_jit_vmap_grad_and_jvp(grid):
    k = 5
    kernels, latent, photo = random_problem((12, 13, 2), grid, k, dtype=np.float32)
    operator = jax.jit(blur.blur_operator(grid))

    @jax.jit
    def gradients(kernels, latent):
        return jax.grad(lambda k, f: jnp.sum((operator(k, f) - photo) ** 2), argnums=(0, 1))(
            kernels, latent
        )

    latents = np.stack([latent, latent[::-1], latent + 0.5])
    by_kernels, by_latent = jax.jit(jax.vmap(gradients, in_axes=(None, 0)))(kernels, latents)
    for i in range(3):
        single = gradients(kernels, latents[i])
        np.testing.assert_allclose(by_kernels[i], single[0], rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(by_latent[i], single[1], rtol=1e-4, atol=1e-4)
    primals, tangents = (kernels, latent), (kernels[:, ::-1], latent[::-1])
    forward = jax.jit(lambda p, t: jax.jvp(operator, p, t)[1])(primals, tangents)
    expected = operator(tangents[0], primals[1]) + operator(primals[0], tangents[1])
    np.testing.assert_allclose(forward, expected, atol=1e-5)


@pytest.mark.parametrize("grid", [(1, 1), (2, 3)])
def test_transforms_are_real_and_done_once(grid):
    """Kernels, latent image and derivative one transform each, and one back for every result."""
    kernels, latent, photo = random_problem((24, 25, 1), grid, 5, dtype=np.float32)

    def loss(kernels, latent):
        return jnp.sum((blur.blur_operator(grid)(kernels, latent) - photo) ** 2)

    compiled = jax.jit(jax.grad(loss, argnums=(0, 1))).lower(kernels, latent).compile()
    kinds = re.findall(r"fft_type=(\w+)", compiled.as_text())
    assert sorted(kinds) == ["IRFFT"] * 3 + ["RFFT"] * 3


def test_memory_grows_with_the_photo_and_not_with_the_patches():
    def memory(grid):
        kernels, latent, photo = random_problem((256, 256, 1), grid, 15, dtype=np.float32)
        loss = lambda k, f: jnp.sum((blur.blur_operator(grid)(k, f) - photo) ** 2)  # noqa: E731
        gradient = jax.jit(jax.grad(loss, argnums=(0, 1))).lower(kernels, latent).compile()
        return gradient.memory_analysis().temp_size_in_bytes / photo.nbytes

    few, many = memory((2, 2)), memory((6, 6))
    assert many < 3 * few  # nine times as many patches; their margins of k - 1 pixels overlap
    assert many < 60


def test_half_precision_is_computed_in_float32():
    kernels, latent, _ = random_problem((12, 13, 1), (1, 1), 5)
    kernels, latent = (jnp.asarray(x, jnp.bfloat16) for x in (kernels, latent))
    assert jax.eval_shape(blur.uniform, kernels, latent).dtype == jnp.float32


@pytest.mark.parametrize("n", [1, 2, 11, 13, 121, 542, 997])
def test_good_size_is_the_next_smooth_number(n):
    products = [
        2**a * 3**b * 5**c * 7**d
        for a in range(11)
        for b in range(7)
        for c in range(5)
        for d in range(4)
    ]
    assert blur.good_size(n) == min(m for m in products if m >= n)


def test_recentre_keeps_what_is_explained_and_the_motion_between_patches():
    rng = np.random.default_rng(3)
    kernels = np.zeros((2, 9, 9), np.float32)
    kernels[:, 0:4, 3:8] = rng.uniform(size=(2, 4, 5))
    kernels /= kernels.sum((1, 2), keepdims=True)
    moved, shift = map(np.asarray, jax.jit(blur.recentre)(kernels))
    before, after = map(jax.jit(blur.centre_of_mass), (kernels, moved))
    assert abs(after.mean(axis=0)).max() <= 0.5
    np.testing.assert_allclose(after - before, np.stack([shift, shift]), atol=1e-5)
    np.testing.assert_allclose(after[0] - after[1], before[0] - before[1], atol=1e-5)
    np.testing.assert_allclose(moved.sum((1, 2)), 1.0, atol=1e-6)
    latent = np.float32(rng.uniform(size=(40, 38, 2)))
    uniform, translated = jax.jit(blur.uniform), jax.jit(blur.translate)(latent, -shift)
    for k, m in zip(kernels, moved, strict=True):
        photo, again = uniform(k, latent), uniform(m, translated)
        np.testing.assert_allclose(again[4:-4, 4:-4], photo[4:-4, 4:-4], atol=1e-6)


def test_recentre_does_not_push_a_kernel_over_the_edge():
    kernels = np.zeros((3, 7, 7), np.float32)
    kernels[:2, 3, 0] = kernels[2, 3, 5] = 1.0
    moved, shift = jax.jit(blur.recentre)(kernels)  # the mean asks for two pixels to the right
    np.testing.assert_array_equal(shift, [0, 1])
    np.testing.assert_array_equal(moved, np.roll(kernels, 1, axis=2))


def test_translate_repeats_the_border():
    image = jnp.arange(12.0).reshape(3, 4, 1)
    moved = jax.jit(blur.translate)(image, jnp.array([1, -2]))[..., 0]
    np.testing.assert_array_equal(moved, [[2, 3, 3, 3], [2, 3, 3, 3], [6, 7, 7, 7]])


@pytest.mark.parametrize(
    ("kernels", "latent", "grid", "message"),
    [
        ((2, 5, 5), (20, 20, 1), (1, 1), "1x1 grid"),
        ((6, 5, 5), (20, 20, 1), (2, 2), r"give \[4, k, k\]"),
        ((1, 5, 4), (20, 20, 1), (1, 1), "do not fit"),
        ((1, 4, 4), (20, 20, 1), (1, 1), "odd"),
        ((1, 5, 5), (4, 20, 1), (1, 1), "too small"),
        ((1, 5, 5), (20, 20), (1, 1), "too small"),
        ((40, 5, 5), (20, 20, 1), (40, 1), "fewer"),
        ((0, 5, 5), (20, 20, 1), (0, 1), "at least 1"),
    ],
)
def test_bad_shapes_are_refused(kernels, latent, grid, message):
    with pytest.raises(ValueError, match=message):
        blur.filter_flow(np.zeros(kernels), np.zeros(latent), grid=grid)
