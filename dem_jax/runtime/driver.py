"""The outer loop: photos one after the other; what goes wrong with one does not stop the others."""

import contextlib
import os
import traceback
from collections.abc import Sequence
from typing import Any

from dem_jax.runtime import checkpoints, run_folder
from dem_jax.runtime.inputs import Source
from dem_jax.runtime.interrupt import Interrupt, Preempted
from dem_jax.runtime.job import Job, Options, Outcome, Session
from dem_jax.runtime.profiler import Profiler
from dem_jax.runtime.programs import Programs, Solver, default_solver
from dem_jax.runtime.progress import Progress

__all__ = ["PREEMPTED", "Options", "run"]

PREEMPTED = os.EX_TEMPFAIL  # 75, exit status: saved; the same command goes on


def run(
    options: Options,
    sources: Sequence[Source],
    *,
    solver: Solver | None = None,
    progress: Progress | None = None,
) -> int:
    """Deblurs `sources` into `options.output_dir`.

    Returns:
      0 when all are done, 1 when any failed, diverged or was interrupted; the others are finished.
      75 after SIGTERM, when a computation may still be under way in a thread: leave the process.
    """
    progress = progress or Progress()
    programs = Programs(solver or default_solver(options.kernels))
    profiler = Profiler(options.profile_dir)
    bad = []
    with Interrupt(progress.say) as interrupt:
        for source in sources:
            try:
                outcome = _one(source, Session(options, programs, progress, interrupt, profiler))
            finally:
                with contextlib.suppress(OSError):  # a full disk, told as the photo's failure
                    run_folder.write_summary(options.output_dir)
            if outcome.status != run_folder.DONE:
                bad.append(f"{source.label}: {outcome.status}: {outcome.why}")
            if interrupt.requested or interrupt.preempted:
                break
    if interrupt.preempted:
        return PREEMPTED
    if bad and len(sources) > 1:
        progress.say(f"{len(bad)} of {len(sources)} photos were not finished:")
        for line in bad:
            progress.say(f"  {line}")
    if interrupt.requested and len(sources) > 1:
        progress.say("Interrupted; run the same command again for the photos that are left.")
    return 1 if bad or interrupt.requested else 0


def _one(source: Source, session: Session) -> Outcome:
    """Deblurs one photo; whatever goes wrong becomes its outcome."""
    options, progress = session.options, session.progress
    folder = run_folder.RunFolder(options.output_dir / source.name)
    earlier = folder.read()
    if earlier.get("status") == run_folder.DONE and not options.overwrite:
        if earlier.get("input") == source.label:
            checkpoints.remove(folder.checkpoint)  # of a run killed between finishing and this
            progress.say(f"{source.label}: finished before, skipped (--overwrite does it again)")
            return Outcome(run_folder.DONE)
        why = (
            f"{folder.path} holds the result of {earlier.get('input')}; use --overwrite or another "
            "--output_dir."
        )
        progress.say(f"{source.label}: {why}")
        return Outcome(run_folder.FAILED, why)
    extra: dict[str, Any] = {}
    outcome = Outcome(run_folder.FAILED, "stopped at once by a second Ctrl-C; nothing was kept.")
    job = Job(source, folder, session)
    try:
        outcome = job.run()
    except Preempted:
        outcome = Outcome(run_folder.FAILED, job.save_last())
    except Exception as error:
        outcome = Outcome(run_folder.FAILED, _sentence(error))
        if folder.started:  # before, it is the photo or a flag, and the sentence says it all
            extra["traceback"] = traceback.format_exc()
    finally:
        if outcome.status == run_folder.FAILED:
            with contextlib.suppress(OSError):  # a full disk is what may have failed
                folder.fail(outcome.why, input=source.label, **extra)
    done = outcome.status == run_folder.DONE
    progress.say(
        f"{source.label}: {outcome.status}"
        + (f", see {folder.path}" if done else f": {outcome.why}")
    )
    return outcome


def _sentence(error: Exception) -> str:
    """One line that tells a user what went wrong."""
    text = " ".join(str(error).split())
    if isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in text:
        return (
            "the memory is too small for this photo; use a smaller photo, fewer chains "
            "(--num_chains) or --chain_axis=map."
        )
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename or 'a file'} could not be written: {error.strerror}."
    if isinstance(error, ValueError):
        return text
    return f"{type(error).__name__}: {text[:300]}"
