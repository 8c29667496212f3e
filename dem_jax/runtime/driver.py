"""The outer loop over photos: what goes wrong with one does not stop the others.

Photos of one shape may be computed side by side (`batches`), on one device or several; large ones
are taken apart (`large`).
"""

import contextlib
import functools
import os
import traceback
from collections.abc import Sequence
from typing import Any

from jax.sharding import Mesh

from dem_jax.em import sharded
from dem_jax.runtime.desk import Options, Session
from dem_jax.runtime.files import checkpoints, given_kernels, names, run_folder
from dem_jax.runtime.files.inputs import Source
from dem_jax.runtime.interrupt import Interrupt, Preempted
from dem_jax.runtime.job import Outcome
from dem_jax.runtime.programs import LOOKS, Programs
from dem_jax.runtime.progress import Progress
from dem_jax.runtime.scale import batches, devices, large, memory, plan
from dem_jax.solver import Solver
from dem_jax.start import spread

__all__ = ["PREEMPTED", "Options", "run"]

PREEMPTED = os.EX_TEMPFAIL  # 75, exit status: saved; the same command goes on


def run(
    options: Options,
    sources: Sequence[Source],
    *,
    solver: Solver | None = None,
    progress: Progress | None = None,
) -> int:
    """Deblurs `sources` into the folders that `options` names; says on stdout where pictures are.

    Returns:
      0 when all are done, 1 when any failed, diverged or was interrupted; the others are finished.
      75 after SIGTERM, when a computation may still be under way in a thread: leave the process.
    """
    progress = progress or Progress()
    solver = solver or given_kernels.solver(options.kernels)
    index, count = options.process
    sources = sources[index::count]
    groups, mesh = _arrange(options, sources)
    single, batched = _programs(solver, mesh)
    bad = []
    with Interrupt(progress.say) as interrupt:
        session = Session(options, single, progress, interrupt)
        for group in groups:
            outcomes = _together(group, session, batched)
            for source, outcome in zip(group.sources, outcomes, strict=True):
                if outcome.status != run_folder.DONE:
                    bad.append(_told(source, outcome))
            if interrupt.requested or interrupt.preempted:
                break
            single.forget()
            batched.forget()
    if interrupt.preempted:
        return PREEMPTED
    if bad and len(sources) > 1:
        were = "was" if len(bad) == 1 else "were"
        progress.say(f"{len(bad)} of {len(sources)} photos {were} not finished:")
        for line in bad:
            progress.say(f"  {line}")
    if interrupt.requested and len(sources) > 1:
        progress.say("Interrupted; run the same command again for the photos that are left.")
    return 1 if bad or interrupt.requested else 0


def _arrange(options: Options, sources: Sequence[Source]) -> tuple[list[plan.Group], Mesh | None]:
    """The photos in groups, finished ones first, and the mesh that they lie on."""
    finished = [s for s in sources if not options.overwrite and _is_finished(options, s)]
    left = [source for source in sources if source not in finished]
    shard = devices.choose_shard(len(left), options.config.num_chains)
    mesh = None if shard == "none" else devices.local_mesh(shard)
    groups = plan.groups(
        left,
        options.config,
        options.sizes,
        options.batching,
        crop=options.crop,
        devices=mesh.size if mesh and shard == sharded.PHOTOS else None,
    )
    return [*[plan.Group([source], 0) for source in finished], *groups], mesh


def _is_finished(options: Options, source: Source) -> bool:
    return options.folder(source).read().get("status") == run_folder.DONE


def _programs(solver: Solver, mesh: Mesh | None) -> tuple[Programs, Programs]:
    """The programs for single photos, whose looks use all devices, and those for batches."""
    looking = devices.local_mesh(spread.CANDIDATES)
    looks = {name: look for name in LOOKS if (look := getattr(solver, name)) is not None}
    if looking.size > 1:
        looks = {name: spread.over_candidates(look, looking) for name, look in looks.items()}
    single = solver._replace(**looks)
    if mesh and sharded.CHAINS in mesh.shape:
        step = functools.partial(sharded.step_over_chains, mesh=mesh, step=solver.step)
        programs = Programs(single._replace(step=step), devices.chain_shardings(mesh))
        return programs, Programs(batches.batched_solver(solver))
    return Programs(single), Programs(batches.batched_solver(solver, mesh))


def _together(group: plan.Group, session: Session, batched: Programs) -> list[Outcome]:
    """Deblurs the photos of a group side by side."""
    if not group.width:
        return [_one_of_all(group.sources[0], session)]
    batch = batches.Batch(
        batched,
        group.width,
        len(group.sources),
        stopped=lambda: session.interrupt.preempted,
    )

    def job(source: Source, progress: Progress) -> Outcome:
        with batch.seat() as seat:
            return _one_of_all(source, session._replace(programs=seat, progress=progress))

    shown = [session.progress, *[session.progress.companion() for _ in group.sources[1:]]]
    return batches.run_side_by_side(
        [functools.partial(job, *pair) for pair in zip(group.sources, shown, strict=True)]
    )


def _one_of_all(source: Source, session: Session) -> Outcome:
    """`_one`, and the summary brought up to date."""
    output_dir = session.options.output_dir
    try:
        return _one(source, session)
    finally:
        if output_dir:
            with contextlib.suppress(OSError):  # a full disk, told as the photo's failure
                run_folder.write_summary(output_dir)


def _one(source: Source, session: Session) -> Outcome:
    """Deblurs one photo; whatever goes wrong becomes its outcome."""
    options, progress = session.options, session.progress
    folder = options.folder(source)
    earlier = folder.read()
    if earlier.get("status") == run_folder.DONE and not options.overwrite:
        if earlier.get("input") == source.label:
            checkpoints.remove(folder.checkpoint)  # of a run killed between finishing and this
            progress.say(
                f"{source.label}: finished before, skipped; --overwrite does it again, also with "
                "other settings"
            )
            progress.deliver(folder.picture)
            return Outcome(run_folder.DONE)
        why = (
            f"{folder.path} holds the result of {earlier.get('input')}; use --overwrite or another "
            "--output_dir."
        )
        progress.say(f"{source.label}: {why}")
        return Outcome(run_folder.FAILED, why)
    extra: dict[str, Any] = {}
    outcome = Outcome(run_folder.FAILED, "stopped at once by a second Ctrl-C; nothing was kept.")
    job = large.make_job(source, folder, session)
    try:
        outcome = job.run()
    except Preempted:
        outcome = Outcome(run_folder.FAILED, job.save_last())
    except Exception as error:
        outcome = Outcome(run_folder.FAILED, _sentence(error))
        # Before the start it is the photo or a flag, and the sentence says it all.
        if folder.started and not isinstance(error, checkpoints.CheckpointError):
            extra["traceback"] = traceback.format_exc()
        elif error.__cause__:
            extra["cause"] = "".join(traceback.format_exception_only(error.__cause__)).strip()
    finally:
        if outcome.status == run_folder.FAILED:
            with contextlib.suppress(OSError):  # a full disk is what may have failed
                folder.fail(outcome.why, input=source.label, **extra)
    if outcome.status == run_folder.DONE:
        report = names.printable(str(folder.path / "report.html"))
        progress.say(f"{source.label}: done, {report} tells how well")
        progress.deliver(folder.picture)
    else:
        progress.say(_told(source, outcome))
    return outcome


def _told(source: Source, outcome: Outcome) -> str:
    """One line on a photo that was not finished; it names the photo once."""
    named = f"{source.label} "
    why = f"it {outcome.why.removeprefix(named)}" if outcome.why.startswith(named) else outcome.why
    return f"{source.label}: {outcome.status}: {why}"


def _sentence(error: Exception) -> str:
    """One line that tells a user what went wrong."""
    text = " ".join(str(error).split())
    if memory.is_lacking(error):
        return (
            "the memory is too small for this photo, or limited for this process (ulimit -v); use "
            "a smaller photo, fewer chains (--num_chains) or --batch_size=1, or raise the limit."
        )
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename or 'a file'} could not be written: {error.strerror}."
    if isinstance(error, ValueError):
        return text
    return f"{type(error).__name__}: {text[:300]}"
