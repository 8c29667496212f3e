"""The samplers against the exact stationary laws of their own recursions, and by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from dem_jax.em import langevin

PRECISION = np.array([[2.0, 0.6, 0.0], [0.6, 1.0, -0.3], [0.0, -0.3, 0.5]], np.float32)
MEAN = np.array([1.0, -2.0, 0.5], np.float32)
CHAINS = 20_000  # independent, so their last positions have this effective sample size


def gaussian(theta):
    return -0.5 * (theta - MEAN) @ PRECISION @ (theta - MEAN)


def flat(position):
    """A log density without a slope: all that moves the position is noise."""
    return 0.0 * sum(jnp.sum(leaf) for leaf in jax.tree.leaves(position))


def last_positions(sampler, state, log_density, steps, chains=CHAINS, seed=0):
    """[chains, ...] positions of independent chains that all start from `state`."""

    def chain(key):
        def body(state, step):
            return sampler.step(jax.random.fold_in(key, step), state, log_density)[0], None

        return jax.lax.scan(body, state, jnp.arange(steps))[0].position

    keys = jax.random.split(jax.random.key(seed), chains)
    return np.asarray(jax.jit(jax.vmap(chain))(keys), np.float64)


def assert_moments(samples, mean, covariance):
    """Within five standard errors of independent draws from a Gaussian."""
    variance = np.diag(covariance)
    count = len(samples)
    np.testing.assert_array_less(abs(samples.mean(0) - mean), 5 * np.sqrt(variance / count))
    error = 5 * np.sqrt((np.outer(variance, variance) + covariance**2) / count)
    np.testing.assert_array_less(abs(np.cov(samples.T) - covariance), error)


def stationary(precision, alpha, temperature=1.0):
    """Covariance of the unadjusted step on a Gaussian."""
    identity = np.eye(len(precision))
    return temperature * np.linalg.inv(precision @ (identity - alpha * precision / 2))


@pytest.mark.parametrize("temperature", [1.0, 0.3])
def test_sgld_has_its_exact_stationary_law(temperature):
    alpha = 0.5
    sampler = langevin.sgld(alpha, temperature=temperature)
    samples = last_positions(sampler, sampler.init(jnp.zeros(3)), gaussian, steps=80)
    expected = stationary(PRECISION.astype(np.float64), alpha, temperature)
    assert_moments(samples, MEAN, expected)
    with pytest.raises(AssertionError):  # the target's own covariance can be told apart
        assert_moments(samples, MEAN, temperature * np.linalg.inv(PRECISION))


def test_psgld_has_its_exact_stationary_law_when_frozen():
    """With y = G^(-1/2) theta the step is sgld's on the precision G^(1/2) L G^(1/2)."""
    alpha, temperature, epsilon = 0.4, 0.7, 0.1
    sampler = langevin.psgld(alpha, temperature=temperature, decay=1.0, epsilon=epsilon)
    moment = np.array([4.0, 1.0, 0.25], np.float32)
    frozen = sampler.init(jnp.zeros(3))._replace(
        second_moment=jnp.asarray(moment), steps=jnp.int32(10**9)
    )
    samples = last_positions(sampler, frozen, gaussian, steps=80)
    root = np.diag(np.sqrt(1 / (np.sqrt(moment.astype(np.float64)) + epsilon)))
    expected = root @ stationary(root @ PRECISION @ root, alpha, temperature) @ root
    assert_moments(samples, MEAN, expected)


@pytest.mark.parametrize("name", ["sgld", "psgld"])
def test_asymmetric_target(name):
    """Gumbel's law leans to the right: mean 0.577, variance 1.645, skewness 1.14."""

    def gumbel(x):
        return -x - jnp.exp(-x)

    if name == "sgld":
        sampler = langevin.sgld(0.02)
    else:  # the wide epsilon and the long average keep what Gamma would correct small
        sampler = langevin.psgld(0.04, decay=0.999, epsilon=1.0)
    chains = 8000
    x = last_positions(sampler, sampler.init(jnp.zeros(())), gumbel, steps=400, chains=chains)
    assert abs(x.mean() - 0.5772) < 5 * np.sqrt(1.645 / chains) + 0.02  # and the step's own bias
    assert abs(x.var() / 1.645 - 1) < 5 * np.sqrt(4.4 / chains) + 0.02  # kurtosis 5.4
    assert 0.8 < ((x - x.mean()) ** 3).mean() / x.std() ** 3 < 1.5


def test_zero_temperature_is_gradient_ascent():
    sampler = langevin.sgld(0.3, temperature=0.0)
    samples = last_positions(sampler, sampler.init(jnp.ones(3)), gaussian, steps=12, chains=2)
    theta = np.ones(3)
    for _ in range(12):
        theta = theta - 0.3 * PRECISION @ (theta - MEAN)
    np.testing.assert_allclose(samples, [theta, theta], rtol=1e-5)


def test_psgld_at_zero_temperature_is_rmsprop_with_a_plain_mean_at_first():
    alpha, decay, epsilon = 0.1, 0.75, 1e-3
    sampler = langevin.psgld(alpha, temperature=0.0, decay=decay, epsilon=epsilon)
    samples = last_positions(sampler, sampler.init(jnp.ones(3)), gaussian, steps=12, chains=1)
    theta, squares, moment = np.ones(3), [], None
    for t in range(12):
        gradient = -PRECISION @ (theta - MEAN)
        squares.append(gradient**2)
        if t < 4:  # 1 / (1 - decay)
            moment = np.mean(squares, axis=0)
        else:
            moment = decay * moment + (1 - decay) * gradient**2
        theta = theta + alpha * gradient / (np.sqrt(moment) + epsilon)
    np.testing.assert_allclose(samples[0], theta, rtol=1e-4)


def test_noise_of_psgld_is_preconditioned_noise_of_sgld():
    """One step from one key: theta + a G g + sqrt(2 a T G) w with the same w."""
    key, alpha, temperature, epsilon = jax.random.key(5), 0.1, 2.0, 0.5
    plain = langevin.sgld(0.5)
    w = plain.step(key, plain.init(jnp.zeros(3)), flat)[0].position
    sampler = langevin.psgld(alpha, temperature=temperature, epsilon=epsilon)
    theta = jnp.array([0.3, 0.1, -0.4])
    state, _ = sampler.step(key, sampler.init(theta), gaussian)
    g = jax.grad(gaussian)(theta)
    precondition = 1 / (abs(g) + epsilon)
    expected = (
        theta + alpha * precondition * g + jnp.sqrt(2 * alpha * temperature * precondition) * w
    )
    np.testing.assert_allclose(state.position, expected, rtol=1e-5)
    np.testing.assert_allclose(state.second_moment, g**2, rtol=1e-6)


def test_learning_rate_of_a_mean_loss_maps_as_documented():
    """sgld(a c) on log p is sgld(a, temperature=c) on c log p; unscaled, a diverges."""
    c, alpha = 1e-4, 0.01
    theta = jnp.array([0.3, 0.1, -0.4])

    def stiff(theta):
        return gaussian(theta) / c

    def run(sampler, log_density):
        return last_positions(sampler, sampler.init(theta), log_density, steps=20, chains=3)

    on_posterior = run(langevin.sgld(alpha * c), stiff)
    np.testing.assert_allclose(
        on_posterior, run(langevin.sgld(alpha, temperature=c), gaussian), rtol=1e-4
    )
    assert not np.isfinite(run(langevin.sgld(alpha), stiff)).any()


def test_noise_is_independent_between_leaves_steps_and_chains():
    sampler = langevin.sgld(0.5)  # sqrt(2 a) = 1
    position = {"a": jnp.zeros((64, 64)), "b": (jnp.zeros((64, 64)), jnp.zeros(()))}

    def two_steps(key):
        first, second = jax.random.split(key)
        state, _ = sampler.step(first, sampler.init(position), flat)
        after, _ = sampler.step(second, state, flat)
        return state.position, jax.tree.map(jnp.subtract, after.position, state.position)

    keys = jax.random.split(jax.random.key(1), 2)
    noise = jax.jit(jax.vmap(two_steps))(keys)  # [chain, ...] per step and leaf
    draws = [n.reshape(2, -1) for step in noise for n in (step["a"], step["b"][0])]
    correlation = np.corrcoef(np.concatenate(draws))  # of 2 steps x 2 leaves x 2 chains
    assert correlation.shape == (8, 8)
    np.testing.assert_array_less(abs(correlation - np.eye(8)), 5 / 64)
    for draw in draws:
        assert abs(draw.std() - 1) < 5 / np.sqrt(2 * draw.size)
    alone = jax.jit(two_steps)(keys[1])  # a chain does not depend on its company
    np.testing.assert_allclose(alone[0]["a"], noise[0]["a"][1], rtol=1e-6)
    mapped = jax.lax.map(two_steps, keys)
    np.testing.assert_allclose(mapped[1]["b"][0], noise[1]["b"][0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["sgld", "psgld", "noisy_adam"])
def test_no_key_is_used_twice(name):
    sampler = getattr(langevin, name)(0.1)
    state = sampler.init({"w": jnp.ones((3, 3, 1, 2)), "b": jnp.ones(2)})

    def body(state, key):
        state, info = sampler.step(key, state, flat)
        return state, info.log_density

    with jax.debug_key_reuse(True):
        keys = jax.random.split(jax.random.key(0), 3)
        state, _ = jax.jit(lambda state, keys: jax.lax.scan(body, state, keys))(state, keys)
    assert state.steps == 3


def test_noisy_adam_without_noise_is_adam():
    sampler = langevin.noisy_adam(0.05, noise_scale=0.0)
    samples = last_positions(sampler, sampler.init(jnp.ones(3)), gaussian, steps=10, chains=1)
    adam, theta = optax.adam(0.05), jnp.ones(3)
    state = adam.init(theta)
    for _ in range(10):
        updates, state = adam.update(-jax.grad(gaussian)(theta), state)
        theta = optax.apply_updates(theta, updates)
    np.testing.assert_allclose(samples[0], theta, rtol=1e-5)


def test_noisy_adam_shakes_convolution_weights_only():
    position = {
        "kernel": jnp.zeros((3, 3, 20, 40)),
        "other": jnp.zeros((1, 3, 20, 40)),
        "bias": jnp.ones(40),
        "dense": jnp.ones((4, 5)),
    }
    sampler = langevin.noisy_adam(0.02, noise_scale=0.5)
    state, _ = jax.jit(lambda key, state: sampler.step(key, state, flat))(
        jax.random.key(2), sampler.init(position)
    )
    for name in ("bias", "dense"):
        np.testing.assert_array_equal(state.position[name], position[name])
    for name in ("kernel", "other"):
        noise = np.asarray(state.position[name])
        assert abs(noise.std() / 0.01 - 1) < 5 / np.sqrt(2 * noise.size)
        assert abs(noise.mean()) < 5 * 0.01 / np.sqrt(noise.size)
    pair = state.position["kernel"][0].ravel(), state.position["other"][0, 0].ravel()
    assert abs(np.corrcoef(pair[0][:800], pair[1])[0, 1]) < 5 / np.sqrt(800)


@pytest.mark.parametrize("name", ["sgld", "psgld", "noisy_adam"])
def test_schedules_see_the_number_of_steps_taken(name):
    """On a slope of one each step moves by its own step size."""
    options = {"sgld": {"temperature": 0.0}, "noisy_adam": {"noise_scale": lambda t: 0.0 * t}}
    options["psgld"] = {"temperature": lambda t: 0.0 * t, "epsilon": 1e-7}
    sampler = getattr(langevin, name)(lambda t: 1.0 / (1 + t), **options[name])
    last = last_positions(sampler, sampler.init(jnp.zeros(())), lambda x: x, steps=4, chains=1)
    np.testing.assert_allclose(last, [1 + 1 / 2 + 1 / 3 + 1 / 4], rtol=1e-5)


@pytest.mark.parametrize("name", ["sgld", "psgld", "noisy_adam"])
def test_info_describes_the_position_before_the_step(name):
    def log_density(theta):
        return gaussian(theta["x"]), {"twice": 2 * theta["x"]}

    sampler = getattr(langevin, name)(0.1)
    state = sampler.init({"x": jnp.ones(3)})
    after, info = sampler.step(jax.random.key(0), state, log_density)
    assert after.steps == 1
    np.testing.assert_allclose(info.log_density, gaussian(jnp.ones(3)), rtol=1e-6)
    np.testing.assert_allclose(info.aux["twice"], 2.0)
    gradient = -PRECISION @ (1 - MEAN)
    np.testing.assert_allclose(info.gradient_norm, np.linalg.norm(gradient), rtol=1e-6)


@pytest.mark.parametrize("name", ["sgld", "psgld", "noisy_adam"])
def test_state_keeps_its_types_and_moments_are_float32(name):
    sampler = getattr(langevin, name)(0.1)
    position = {"w": jnp.ones((1, 1, 2, 2), jnp.bfloat16), "b": (jnp.ones(2), None)}
    state = jax.eval_shape(sampler.init, position)
    step = lambda key, state: sampler.step(key, state, flat)[0]  # noqa: E731
    after = jax.eval_shape(step, jax.random.key(0), state)
    assert jax.tree.structure(after) == jax.tree.structure(state)
    assert [(x.shape, x.dtype) for x in jax.tree.leaves(after)] == [
        (x.shape, x.dtype) for x in jax.tree.leaves(state)
    ]
    moments = [x.dtype for x in jax.tree.leaves(state[2:]) if x.shape]
    assert set(moments) <= {jnp.dtype(jnp.float32)}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: langevin.sgld(0.0), "step_size=0.0"),
        (lambda: langevin.sgld(0.1, temperature=-1), "temperature=-1"),
        (lambda: langevin.psgld(-0.1), "step_size=-0.1"),
        (lambda: langevin.psgld(0.1, decay=1.5), "decay=1.5"),
        (lambda: langevin.psgld(0.1, epsilon=0), "epsilon=0"),
        (lambda: langevin.noisy_adam(0), "learning_rate=0"),
        (lambda: langevin.noisy_adam(0.1, noise_scale=-0.2), "noise_scale=-0.2"),
    ],
)
def test_bad_arguments_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
