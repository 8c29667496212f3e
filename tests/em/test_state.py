"""The state before the first iteration."""

import jax
import jax.numpy as jnp
import numpy as np
from em_problem import SIZE


def test_init_begins_at_the_start(problem, state):
    raised = 0.99 * problem.start_kernels + 0.01 / SIZE**2  # T_K may raise what the start lacks
    np.testing.assert_allclose(state.kernels, raised, atol=1e-6)
    np.testing.assert_array_equal(state.mean, problem.start_latent)
    assert state.noise_std == problem.noise_std
    first, second = (jax.tree.map(lambda x, i=i: x[i], state.chains.position) for i in (0, 1))
    weights = [jnp.concatenate([jnp.ravel(x) for x in jax.tree.leaves(t)]) for t in (first, second)]
    assert abs(np.corrcoef(weights)[0, 1]) < 0.9  # scales and biases are alike, the rest is not
