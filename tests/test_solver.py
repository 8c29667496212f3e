"""One photo from end to end, tiny."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import shaken
from shaken import CONFIG, SHAPE, SIZE, change
from tiny import jit

from dem_jax import run_keys, solver
from dem_jax.em import result as results
from dem_jax.evaluation import metrics

POINT = np.eye(SIZE**2)[SIZE**2 // 2].reshape(SIZE, SIZE)  # the kernel that does not blur
run = jit(solver.deblur, static_argnums=2)
finish = jit(results.finish, static_argnums=2)


@pytest.fixture(scope="module")
def case():
    return shaken.make_case()


@pytest.fixture(scope="module")
def result(case):
    """Of the photo's green channel."""
    return run(jax.random.key(0), case[2][..., 1:2], CONFIG)


def assert_plausible(result, shape, patches, iterations):
    assert result.latent.shape == result.std.shape == shape
    assert result.kernels.shape == (patches, SIZE, SIZE)
    assert (result.latent >= 0).all()
    assert (result.latent <= 1).all()
    assert (result.std >= 0).all()
    assert result.std.max() > 0
    assert (result.kernels >= 0).all()
    np.testing.assert_allclose(result.kernels.sum((1, 2)), 1, rtol=1e-5)
    assert all(field.shape == (iterations,) for field in result.info)
    assert all(np.isfinite(field).all() for field in result.info)
    assert result.info.finite.all()


def test_deblurring_gains_decibels(case, result):
    sharp, kernel, photo = (np.asarray(x) for x in case)

    def score(image):
        pair = metrics.register_shift(image[..., 0], sharp[..., 1], max_shift=3, crop=6)
        return metrics.psnr(pair.result, pair.truth)

    assert_plausible(result, (*SHAPE, 1), 1, CONFIG.em_iterations)
    before, after = score(photo[..., 1:2]), score(np.asarray(result.latent))
    assert after > before + 0.5  # the start finds 4-pixel blurs of so small a photo half
    found = metrics.kernel_correlation(result.kernels[0], kernel)
    assert found > metrics.kernel_correlation(POINT, kernel) + 0.1
    assert 0 < result.confidence <= 1


def test_same_key_same_result_other_key_another(case, result):
    photo = case[2][..., 1:2]
    again, other = (run(jax.random.key(seed), photo, CONFIG) for seed in (0, 1))
    for a, b in zip(jax.tree.leaves(again), jax.tree.leaves(result), strict=True):
        np.testing.assert_array_equal(a, b)
    assert (other.latent != result.latent).any()
    pair = np.asarray(other.latent), np.asarray(result.latent)
    assert metrics.psnr(*pair) > 25  # another draw, not another picture


@pytest.mark.slow
def test_deblur_is_what_the_driver_does_step_by_step(case, result):
    key, photo = jax.random.key(0), case[2][..., 1:2]
    parts = solver.make_solver()
    compiled = solver.Solver(
        jit(parts.prepare, static_argnums=2),
        jit(parts.init, static_argnums=2),
        jit(parts.step, static_argnums=3),
        finish,
    )
    prepare_key, init_key = run_keys.of_start(key)
    problem = compiled.prepare(prepare_key, photo, CONFIG)
    state = compiled.init(init_key, problem, CONFIG)
    infos = []
    for t in range(1, CONFIG.em_iterations + 1):
        state, info = compiled.step(run_keys.of_iteration(key, t), state, problem, CONFIG)
        infos.append(info)
    stepwise = finish(state, problem, CONFIG)
    np.testing.assert_allclose(stepwise.kernels, result.kernels, atol=5e-3)
    np.testing.assert_allclose(stepwise.latent, result.latent, atol=0.03)
    stds = [info.residual_std for info in infos]
    np.testing.assert_allclose(stds, result.info.residual_std, rtol=0.02)


def test_colour_in_regions_from_a_plain_start(case):
    """Heads of a grid, no classical estimate: the kernels begin flat and stay kernels."""
    config = change(warm_start=False, patch_grid=(1, 2), em_iterations=2, burn_in=4, m_steps=3)
    result = run(jax.random.key(0), case[2][:24, :28], config)
    assert_plausible(result, (24, 28, 3), 2, 2)
    assert result.confidence is None
    assert (result.kernels[0] != result.kernels[1]).any()


@pytest.mark.slow
def test_colour_in_regions_from_the_warm_start(case):
    config = change(patch_grid=(2, 2), em_iterations=1, burn_in=20)
    result = run(jax.random.key(0), case[2], config)
    assert_plausible(result, (*SHAPE, 3), 4, 1)
    no_blur = metrics.kernel_correlation(POINT, case[1])
    for kernel in result.kernels:
        assert metrics.kernel_correlation(kernel, case[1]) > no_blur + 0.1


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((24, 28), "give .H, W, C."),
        ((24, 28, 2), "C = 1 or 3"),
        ((1, 24, 28, 3), "give .H, W, C."),
        ((9, 28, 1), "28x9 pixels, too small for kernel_size=5; each side needs at least 10"),
        ((28, 9, 3), "9x28 pixels"),
        ((1, 1, 1), "too small"),
    ],
)
def test_photos_that_cannot_be_deblurred_are_refused(shape, message):
    with pytest.raises(ValueError, match=message):
        solver.deblur(jax.random.key(0), jnp.zeros(shape), CONFIG)


def test_kernels_that_do_not_fit_are_refused():
    photo, key = jnp.zeros((24, 28, 1)), jax.random.key(0)
    with pytest.raises(ValueError, match=r"kernels have shape .* give \[1, 5, 5\] or \[4, 5, 5\]"):
        solver.deblur(key, photo, change(patch_grid=(2, 2)), kernels=jnp.ones((2, 5, 5)))
    with pytest.raises(ValueError, match="warm_start=false"):
        solver.deblur(key, photo, change(warm_start=False), kernels=jnp.ones((1, 5, 5)))
    with pytest.raises(ValueError, match="needs warm_start=true"):
        change(warm_start=False, kernels="fixed")
