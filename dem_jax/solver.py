"""Start -> EM -> result: one photo, a few pure functions, and one loop.

`Solver` holds the functions; `deblur` looks for one photo's kernel and calls them in the paper's
outer loop, with the random keys of `run_keys`.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from dem_jax import run_keys
from dem_jax.config import DeblurConfig
from dem_jax.em import langevin, mcem, result
from dem_jax.model import arrays, promotion
from dem_jax.model.paper_model import paper_model
from dem_jax.start import comparison, find, overview, turning
from dem_jax.start.problem import prepare
from dem_jax.start.warm_start import Start
from dem_jax.types import EMInfo, Model, Problem, Result


class Solver(NamedTuple):
    """The pure functions that deblur; another method may give its own.

    Who calls them one by one takes the random keys from `run_keys`.
    """

    prepare: Callable[..., Any]  # (key, photo [H, W, C] or Given, config) -> problem
    init: Callable[..., Any]  # (key, problem, config) -> state
    step: Callable[..., Any]  # (key, state, problem, config) -> (state, EMInfo)
    finish: Callable[..., Any]  # (state, problem, config) -> Result
    # (photo [H, W, C], kernels, weight, config) -> image [H, W, C]: tiles of large photos
    restore: Callable[..., Any] = result.restore
    # Looks before `prepare`, which finds kernels itself where it is given none; None: no such look.
    # All take `axis_name`, too: of devices that share their candidates, see `start.spread`. Those
    # that are a `start.look.Look` share their programs with photos of other sizes.
    overview: Callable[..., Any] | None = None  # (photo, config) -> Choice
    closer_look: Callable[..., Any] | None = None  # the same, where that one is doubtful
    refine: Callable[..., Any] | None = None  # (photo, kernels [N, w, w], config) -> kernel [k, k]
    # Likewise for cameras that turned.
    compare: Callable[..., Any] | None = None  # (photo, kernel [h, h], config) -> gain []
    survey: Callable[..., Any] | None = None  # (photo, config) -> kernels [9, w, w]
    turn: Callable[..., Any] | None = None  # (photo, kernel [h, h], config) -> Turned


def make_solver(
    *,
    kernels: Callable[[DeblurConfig], jax.Array] | None = None,
    model: Callable[[DeblurConfig], Model] = paper_model,
    sampler: Callable[[DeblurConfig], langevin.Sampler] = mcem.named_sampler,
    starts: Callable[[DeblurConfig], Sequence[Start]] | None = None,
) -> Solver:
    """Monte Carlo EM as a `Solver`; whatever is exchanged here reaches every stage.

    Args:
      kernels: of a photo's configuration: [P, k, k] or [1, k, k] to start from; None: found.
      model: priors on image and kernels, and the blur. Kernels are looked for as those of a
        convolution, whatever the blur; where it is something else, give `kernels` or `starts`.
      sampler: of the Langevin chains.
      starts: ways to first kernels, among which the photo chooses; None: `named_starts`.

    >>> make_solver()._fields  # doctest: +NORMALIZE_WHITESPACE
    ('prepare', 'init', 'step', 'finish', 'restore', 'overview', 'closer_look', 'refine', 'compare',
     'survey', 'turn')
    """

    def ready(key: jax.Array, photo: Any, config: DeblurConfig) -> Problem:
        return prepare(
            key,
            photo,
            config,
            kernels=None if kernels is None else kernels(config),
            model=model(config),
            starts=None if starts is None else starts(config),
        )

    def init(key: jax.Array, problem: Problem, config: DeblurConfig) -> mcem.MCEMState:
        return mcem.init(key, problem, config, model=model(config), sampler=sampler(config))

    def step(
        key: jax.Array,
        state: mcem.MCEMState,
        problem: Problem,
        config: DeblurConfig,
        *,
        axis_name: str | None = None,
    ) -> tuple[mcem.MCEMState, EMInfo]:
        return mcem.step(
            key,
            state,
            problem,
            config,
            model=model(config),
            sampler=sampler(config),
            axis_name=axis_name,
        )

    def done(state: mcem.MCEMState, problem: Problem, config: DeblurConfig) -> Result:
        return result.finish(state, problem, config, model=model(config))

    def tile(photo: Any, kernels: Any, weight: Any, config: DeblurConfig) -> jax.Array:
        return result.restore(photo, kernels, weight, config, model=model(config))

    one = (overview.OVERVIEW, overview.CLOSER_LOOK, find.REFINE)
    several = (comparison.COMPARE, turning.survey, turning.turned)
    first = (*one, *several) if kernels is None and starts is None else ()
    return Solver(ready, init, step, done, tile, *first)


@promotion.standard
def deblur(
    key: jax.Array,
    photo: Any,
    config: DeblurConfig,
    *,
    kernels: jax.Array | None = None,
    model: Model | None = None,
    sampler: langevin.Sampler | None = None,
    starts: Sequence[Start] | None = None,
) -> Result:
    """Deblurs one photo.

    Args:
      key: random key, consumed.
      photo: g, [H, W, C], C = 1 or 3, floats in [0, 1], or uint8 or uint16, which are scaled; at
        least twice the kernel's size.
      config: kernel size, patch grid and everything else; static under jit.
      kernels: [P, k, k] or [1, k, k] to start from, or to keep where `config.kernels` is "fixed";
        None: they are found from the photo.
      model: priors on image and kernels, and the blur; None: `paper_model(config)`.
      sampler: of the Langevin chains; None: the one that `config` names.
      starts: ways to first kernels; None: those of `start.warm_start`.

    Returns:
      `Result`: latent [H, W, C], kernels [P, k, k], std [H, W, C], info, [T] per field, and the
      confidence [] in the kernel, where one is found for the whole photo.

    Raises:
      ValueError: if the photo's shape does not allow this.

    Source: Li et al., CVPR 2023; what is added to it is named in the modules that add it.

    >>> config = DeblurConfig(kernel_size=5, patch_grid=(2, 3))
    >>> photo = jnp.full((32, 40, 3), 0.5)
    >>> run = jax.jit(deblur, static_argnums=2)
    >>> result = jax.eval_shape(lambda k, g: run(k, g, config), jax.random.key(0), photo)
    >>> result.latent.shape, result.kernels.shape, result.std.shape
    ((32, 40, 3), (6, 5, 5), (32, 40, 3))
    """
    solver = make_solver(
        kernels=None if kernels is None else lambda config: kernels,
        model=(lambda config: model) if model else paper_model,
        sampler=(lambda config: sampler) if sampler else mcem.named_sampler,
        starts=(lambda config: starts) if starts else None,
    )
    confidence, given = None, photo
    looked_for = kernels is None and starts is None and config.warm_start
    if looked_for and config.patch_grid == (1, 1):
        given = arrays.as_given(photo)
        arrays.require_room(given.pixels, config, None)
        kernel, confidence = find.find(given, config)
        given = given._replace(kernel=kernel)
    prepare_key, init_key = run_keys.of_start(key)
    problem = solver.prepare(prepare_key, given, config)
    state, info = lax.scan(
        lambda state, t: solver.step(run_keys.of_iteration(key, t), state, problem, config),
        solver.init(init_key, problem, config),
        jnp.arange(1, config.em_iterations + 1),
    )
    found = solver.finish(state, problem, config)
    return arrays.like(photo, found._replace(info=info, confidence=confidence))
