"""Which random keys a run's functions get: those of the start, and one for every EM iteration.

Whoever calls a `Solver`'s functions, all in one program, one by one, or after a checkpoint, takes
the keys from here, and so gets the same numbers.
"""

import jax


def of_start(key: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The keys of `prepare` and `init` in the run whose key this is.

    >>> of_start(jax.random.key(0))[1].shape
    ()
    """
    prepare_key, init_key = jax.random.split(jax.random.fold_in(key, 0))
    return prepare_key, init_key


def of_iteration(key: jax.Array, number: jax.Array | int) -> jax.Array:
    """The key of `step` in EM iteration `number`, from 1, of the run whose key this is.

    >>> of_iteration(jax.random.key(0), 1).shape
    ()
    """
    return jax.random.fold_in(key, number)
