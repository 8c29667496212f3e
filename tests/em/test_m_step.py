"""The M-step: T_K and free kernels against least-squares problems written out by hand."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from em_problem import CONFIG, LATENT, SIZE, change, make_problem
from scipy import optimize
from tiny import jit

from dem_jax.em import mcem
from dem_jax.model import blur, kernel_priors

m_step = jit(mcem.m_step, static_argnums=3)
T_K = kernel_priors.network(CONFIG.kernel_network)


def least_squares(latents, problem):
    """The kernel of sum one with the least mean energy, from dense normal equations."""
    points = jnp.eye(SIZE**2).reshape(-1, 1, SIZE, SIZE)
    columns = jit(jax.vmap(blur.uniform, (0, None)))
    root = np.sqrt(np.asarray(problem.weight, np.float64).ravel())
    matrix = np.concatenate(
        [
            root[:, None] * np.asarray(columns(points, f), np.float64).reshape(25, -1).T
            for f in latents
        ]
    )
    right = np.tile(root * np.ravel(problem.photo).astype(np.float64), len(latents))
    # sum one by elimination of the last entry
    reduced, *_ = np.linalg.lstsq(
        matrix[:, :-1] - matrix[:, -1:], right - matrix[:, -1], rcond=None
    )
    kernel = np.append(reduced, 1 - reduced.sum())

    def energy(kernel):
        return np.sum((matrix @ np.ravel(kernel) - right) ** 2)

    return kernel.reshape(SIZE, SIZE), energy


def test_m_step_finds_the_least_squares_kernel(state):
    """Two noisy latents: the optimum is not the truth."""
    rng = np.random.default_rng(5)
    sharp = rng.normal(size=LATENT)
    truth = (rng.dirichlet(np.ones(SIZE**2)) + 0.02).reshape(1, SIZE, SIZE) / 1.5
    photo = blur.uniform(jnp.asarray(truth, jnp.float32), jnp.asarray(sharp, jnp.float32))
    latents = jnp.asarray(sharp + 0.2 * rng.normal(size=(2, *LATENT)), jnp.float32)
    problem = make_problem()._replace(photo=photo)
    optimum, energy = least_squares(latents, problem)
    assert optimum.min() > 0  # so that the constraint of positivity plays no role
    config = change(m_steps=300, m_learning_rate=3e-3)
    theta_k, energies = state.theta_k, []
    for _ in range(5):
        kernels = T_K.kernels(theta_k, problem)
        energies.append(energy(kernels) / energy(optimum))
        theta_k = m_step(theta_k, latents, problem, config)
    kernel = T_K.kernels(theta_k, problem)[0]
    np.testing.assert_allclose(kernel, optimum, atol=2e-3)
    assert energies[0] > 2
    assert energies[-1] < 1.02
    assert (np.diff(energies) < 1e-3).all()
    assert np.abs(optimum - truth).max() > 4e-3  # the truth itself would not pass


def test_m_step_stays_at_the_truth(problem, state):
    """Latents that explain the photo exactly: the gradient is zero, so theta_K stays."""
    latents = jnp.stack([problem.start_latent, problem.start_latent])
    exact = problem._replace(photo=blur.uniform(state.kernels, latents[0]))

    def energy(theta_k):
        kernels = T_K.kernels(theta_k, exact)
        residual = exact.photo - blur.uniform(kernels, latents[0])
        return jnp.sum(residual**2)

    slopes = jax.tree.leaves(jit(jax.grad(energy))(state.theta_k))
    assert max(jnp.abs(slope).max() for slope in slopes) < 1e-4
    away = jax.tree.leaves(
        jit(jax.grad(lambda t: energy(jax.tree.map(lambda x: x + 0.3, t))))(state.theta_k)
    )
    assert max(jnp.abs(slope).max() for slope in away) > 1e-2


def test_m_step_needs_nothing_of_the_image_network(problem, state):
    """Its input z may be absent, and no theta_f is handed over."""
    latents = jnp.stack([problem.start_latent] * 2)
    without = problem._replace(image_input=None, start_latent=None)
    theta_k = jax.eval_shape(lambda p: mcem.m_step(state.theta_k, latents, p, CONFIG), without)
    assert jax.tree.structure(theta_k) == jax.tree.structure(state.theta_k)


# --- free kernels ---------------------------------------------------------------------------------


def whole_step(before, after):
    """The kernels that an M-step goes half way to."""
    return 2 * after - before


@pytest.mark.parametrize("grid", [(1, 1), (2, 2)])
def test_free_kernels_come_back_from_the_true_image(grid):
    """Without noise the true non-negative kernels, some entries zero, explain the photo alone."""
    rng = np.random.default_rng(3)
    sharp = jnp.asarray(rng.normal(size=(44, 48, 1)), jnp.float32)
    truth = rng.dirichlet(np.ones(SIZE**2), grid[0] * grid[1])
    truth = np.where(truth < 0.03, 0, truth)
    truth = (truth / truth.sum(1, keepdims=True)).reshape(-1, SIZE, SIZE)
    operator = blur.blur_operator(grid)
    photo = operator(jnp.asarray(truth, jnp.float32), sharp)
    start = jnp.full(truth.shape, 1 / SIZE**2)
    problem = make_problem()._replace(
        photo=photo, weight=jnp.ones(photo.shape[:2]), start_kernels=start
    )
    config = change(kernels="free", patch_grid=grid, m_steps=400)
    found = whole_step(start, m_step(start, sharp[None], problem, config))
    np.testing.assert_allclose(found, truth, atol=2e-3)


def test_free_kernels_are_the_non_negative_least_squares(problem):
    """Two images of which one does not explain the photo, against scipy's active-set method."""
    rng = np.random.default_rng(8)
    images = jnp.asarray(rng.normal(size=(2, *LATENT)), jnp.float32)
    few = rng.dirichlet(np.full(SIZE**2, 0.3)).reshape(SIZE, SIZE)
    photo = blur.uniform(jnp.asarray(few, jnp.float32), images[0])
    problem = problem._replace(photo=photo)
    config = change(kernels="free", m_steps=1000)
    found = m_step(problem.start_kernels, images, problem, config)
    found = whole_step(problem.start_kernels, found)[0]
    root = np.sqrt(np.ravel(problem.weight))
    points = jnp.eye(SIZE**2).reshape(-1, 1, SIZE, SIZE)
    columns = jax.vmap(blur.uniform, (0, None))
    matrix = np.concatenate(
        [root[:, None] * np.asarray(columns(points, f)).reshape(SIZE**2, -1).T for f in images]
    )
    right = np.tile(root * np.ravel(problem.photo), 2)
    expected, _ = optimize.nnls(matrix.astype(np.float64), right.astype(np.float64))
    assert (expected == 0).any()  # so that the constraint matters
    np.testing.assert_allclose(found, (expected / expected.sum()).reshape(SIZE, SIZE), atol=2e-3)


def test_members_of_an_axis_find_the_same_free_kernels(problem):
    """Each with half of the images, exchanging means only, as one with all of them."""
    rng = np.random.default_rng(9)
    images = jnp.asarray(rng.normal(size=(4, *LATENT)), jnp.float32)
    config = change(kernels="free", m_steps=30)
    whole = jit(functools.partial(mcem.m_step, config=config))(
        problem.start_kernels, images, problem
    )

    def average(x):
        return jax.lax.pmean(x, "devices")

    def member(images):
        return mcem.m_step(problem.start_kernels, images, problem, config, average=average)

    parts = jit(jax.vmap(member, axis_name="devices"))(images.reshape(2, 2, *LATENT))
    np.testing.assert_allclose(parts, jnp.stack([whole] * 2), atol=1e-5)
