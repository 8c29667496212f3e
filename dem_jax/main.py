"""Deblurs photos: `dem-jax photo.jpg`, or `python -m dem_jax.main photo.jpg`."""

import dataclasses
import os
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

from absl import flags

from dem_jax.runtime import app, driver, programs, progress, streams
from dem_jax.runtime.command.flagfiles import find_flagfiles
from dem_jax.runtime.command.flags import define_flags
from dem_jax.runtime.command.help import help_text
from dem_jax.runtime.command.options import make_options
from dem_jax.runtime.files import inputs, places, run_folder
from dem_jax.runtime.report import truth
from dem_jax.runtime.scale import devices, hosts, memory


def run(argv: Sequence[str] | None = None, *, solver: programs.Solver | None = None) -> int:
    """The command line; returns the exit status."""
    values = define_flags()
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        if words[:1] == ["serve"]:
            app.serve(words[1:])
            return 0
        photos = values(["dem_jax", *find_flagfiles(words)])[1:]
        if values["help"].value or values["helpfull"].value:
            streams.put(sys.stdout, help_text(values, full=bool(values["helpfull"].value)) + "\n")
            return 0
        asked = _ask(values, photos)
    except (flags.Error, ValueError) as error:
        streams.put(sys.stderr, f"dem_jax: {' '.join(str(error).split())}\n")
        return 2
    except Exception as error:
        return _without_memory(error)
    options, selection, wanted = asked.options, asked.selection, asked.hosts
    shown = progress.make(str(values["progress"].value))
    for remark in [*asked.remarks, *selection.remarks]:
        shown.say(remark)
    if options.output_dir:
        skipped = dict([*selection.left_out, *selection.unsearched])
        run_folder.write_summary(options.output_dir, skipped=skipped)
    try:
        status = driver.run(options, selection.sources, solver=solver, progress=shown)
        if status == driver.PREEMPTED:
            sys.stderr.flush()
            os._exit(status)  # as below; Python's own exit would wait
        hosts.leave(wanted)
        return status
    except KeyboardInterrupt:
        streams.put(sys.stderr, "dem_jax: stopped at once; finished photos are kept.\n")
        os._exit(1)  # a computation under way cannot be stopped in any other way
    except Exception as error:
        return _without_memory(error)


def _without_memory(error: Exception) -> int:
    """The exit status where too little memory is what went wrong; raises anything else."""
    if not memory.is_lacking(error):
        raise error
    streams.put(
        sys.stderr,
        "dem_jax: no memory or no thread is left for this process; end other programs, or raise "
        "its limits (ulimit -v, ulimit -u).\n",
    )
    return 1


class _Asked(NamedTuple):
    """What a command comes to, once all of it has been checked."""

    options: driver.Options
    selection: inputs.Selection
    hosts: hosts.Hosts
    remarks: list[str]


def _ask(values: flags.FlagValues, photos: Sequence[str]) -> _Asked:
    """Checks a command, joins other processes and sets JAX up.

    Raises:
      ValueError: for anything that cannot be done as it was asked for.
    """
    photos = [*(values["input"].value or ()), *photos]
    if not photos:
        raise ValueError("No photo is given; try 'dem-jax photo.jpg', or 'dem-jax --help'.")
    options = make_options(values)
    memory.require_addresses()
    wanted = hosts.parse(str(values["distributed"].value), values["process"].value)
    selection = inputs.select(photos)
    changes: dict[str, Any] = {}
    if not options.output_dir:
        changes["folders"] = places.beside(selection.sources)
    if text := values["ground_truth"].value:
        changes["truths"] = truth.find_truths(text, selection.sources)
    changes["process"] = hosts.join(wanted)  # before anything touches a device
    options = dataclasses.replace(options, **changes)
    cache_dir = values["compilation_cache_dir"].value
    remarks = devices.configure(precision=options.precision, cache_dir=cache_dir or "")
    if options.output_dir:
        places.require_writable(options.output_dir, f"--output_dir={options.output_dir}")
    else:
        places.require_writable_beside(list(options.folders.values()))
    return _Asked(options, selection, wanted, list(remarks))


def main() -> None:
    """The command line as a process of its own."""
    streams.ensure()
    streams.leave(run(), at_once=programs.is_busy())


if __name__ == "__main__":
    main()
