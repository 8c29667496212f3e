"""Programs beside `dem-jax` that take flags alone, such as `python -m dem_jax.shake`."""

import sys
from collections.abc import Sequence
from typing import Any

from absl import flags


def read(
    values: flags.FlagValues,
    program: str,
    argv: Sequence[str] | None,
    *,
    usage: str,
    required: Sequence[str],
) -> dict[str, Any] | None:
    """What is given to such a program; None where --help was, which is printed.

    Raises:
      ValueError: for words beside the flags, and for what is missing.
      absl.flags.Error: for unknown flags and values that are not allowed.
    """
    extra = values([program, *(sys.argv[1:] if argv is None else argv)])[1:]
    given: dict[str, Any] = values.flag_values_dict()
    if given["help"]:
        print(usage + "\n" + values.get_help())
        return None
    if extra:
        raise ValueError(f"Unexpected argument {extra[0]}; see --help.")
    for name in required:
        if not given[name]:
            raise ValueError(f"--{name} is missing; see --help.")
    return given
