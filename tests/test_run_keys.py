"""Keys of a run: every function's is its own, and the same whenever it is asked for."""

import jax

from dem_jax import run_keys


def test_every_function_of_a_run_has_a_key_of_its_own():
    key = jax.random.key(3)
    found = [*run_keys.of_start(key), *(run_keys.of_iteration(key, t) for t in range(1, 5))]
    again = [*run_keys.of_start(key), *(run_keys.of_iteration(key, t) for t in range(1, 5))]
    data = [tuple(jax.random.key_data(each).tolist()) for each in found]
    assert len(set(data)) == len(data)
    assert data == [tuple(jax.random.key_data(each).tolist()) for each in again]
