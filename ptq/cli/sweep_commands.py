"""Commands for hours of measuring: sweeps and references."""

from pathlib import Path

import click

from ptq.cli import error_messages
from ptq.cli.book_command import BookCommand


@click.command(cls=BookCommand)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--run-dir", default="", help="Default: runs/NAME of FILE.")
@click.option(
    "--workers", type=click.IntRange(1), help="Default: one a core."
)
@click.option(
    "--scheduler", default="", help="A cluster's: HOST:PORT after tcp://."
)
@click.option("--retry", is_flag=True, help="Run failed points again.")
@click.option("--timeout", type=click.IntRange(1), help="Seconds of a cell.")
@click.option("--allow-shared-timing", is_flag=True, help="Time in parallel.")
def sweep(
    file, run_dir, workers, scheduler, retry, timeout, allow_shared_timing
):
    """Run a chapter at the points of FILE; the same command resumes.

    \f
    Raises SystemExit, with status 1 where a point failed, else 0.
    """
    from ptq import paths
    from ptq.experiment import results
    from ptq.running import cluster, locks, sweep, sweep_plan

    with error_messages.told(
        sweep_plan.SweepError,
        cluster.ClusterError,
        locks.LockedError,
        results.RecordError,
    ) as told:
        plan = sweep_plan.read(file, elsewhere=bool(scheduler))
        default = paths.REPOSITORY / "runs" / plan.name
        told.folder = paths.run_folder(run_dir or default)
        outcome = sweep.run(
            plan,
            told.folder,
            workers or 0,
            scheduler,
            retry,
            timeout,
            allow_shared_timing,
        )
    click.echo(sweep.report(outcome))
    raise SystemExit(bool(outcome.failed))


@click.command(cls=BookCommand)
@click.option("--runs", default="", help="Default: runs/.")
def reference(runs):
    """Keep the tables of the finished sweeps as the book's reference."""
    from ptq import paths
    from ptq.experiment import committed_sweeps

    with error_messages.told(OSError, committed_sweeps.ReferenceError):
        folder = Path(runs or paths.REPOSITORY / "runs").absolute()
        for name in committed_sweeps.NAMES:
            click.echo(f"kept {committed_sweeps.keep(name, folder / name)}")


@click.command(cls=BookCommand)
@click.option("--points", default=1000, show_default=True)
@click.option("--workers", default=2, show_default=True)
@click.option("--keep", is_flag=True, help="For the book's machine page.")
def overhead(points, workers, keep):
    """Measure what a sweep costs in addition to its chapters."""
    from ptq.experiment import committed_sweeps
    from ptq.running import sweep, sweep_plan

    with error_messages.told(sweep_plan.SweepError):
        seconds = sweep.overhead(points, workers)
        if keep:
            committed_sweeps.keep_overhead(points, workers, seconds)
    click.echo(
        f"{points:,} trivial points, {workers} local workers: "
        f"{1000 * seconds:.2f} ms a point"
    )


@click.command(cls=BookCommand)
@click.option("--sessions", default=40, show_default=True)
def coverage(sessions):
    """Count how often intervals of times hold on this machine."""
    from ptq.experiment import interval_coverage

    with error_messages.told():
        found = interval_coverage.keep(sessions)
    for pair in ("equal", "twice"):
        counted = found["real"][pair]
        click.echo(
            f"{pair}: {counted['inside']} of {counted['trials']} next "
            f"sessions inside, {counted['judged']} called faster or slower"
        )
    click.echo(f"kept {interval_coverage.FILE}")
