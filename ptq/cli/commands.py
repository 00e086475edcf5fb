"""The commands: ``python -m ptq data | train | run | sweep | ...``."""

import errno
import os
import signal
import sys
import threading
from pathlib import Path

import click

from ptq.cli.book_command import BookCommand
from ptq.cli.quantize_command import quantize
from ptq.paths import RepositoryError

FULL = (errno.ENOSPC, errno.EDQUOT)
UNWRITABLE = (
    *FULL,
    errno.EROFS,
    errno.EACCES,
    errno.EPERM,
    errno.ENOTDIR,
    errno.EEXIST,
    errno.EISDIR,
    errno.ENAMETOOLONG,
    errno.EIO,
)


class _Commands(click.Group):
    """Commands whose errors end in a sentence, from the first import on."""

    def invoke(self, ctx):
        with _told():
            return super().invoke(ctx)


@click.group(
    cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]}
)
def main():
    """Post-training quantization of compact CNNs, measured."""


main.add_command(quantize)


@main.command("data")
@click.option("--folder", default="", help="Default: notebooks/data.")
def data_command(folder):
    """Fetch CIFAR-10 once and verify it."""
    from ptq import paths
    from ptq.data import cifar10

    with _told(cifar10.DataError):
        cifar = cifar10.load(folder)
    click.echo(
        f"CIFAR-10 verified: {len(cifar.train_labels):,} training and "
        f"{len(cifar.test_labels):,} test images in "
        f"{paths.data_folder(folder)}"
    )


@main.command()
@click.option("--seed", default=42, show_default=True)
@click.option("--epochs", type=int, help="Default: the recipe's.")
@click.option(
    "--network", default="compact_cnn", help="A name in ptq.networks.recipes."
)
@click.option("--run-dir", default="", help="Default: below runs/.")
@click.option("--data-dir", default="", help="Default: notebooks/data.")
def train(seed, epochs, network, run_dir, data_dir):
    """Train from scratch; an interrupted training continues."""
    from ptq.data import cifar10
    from ptq.experiment import laboratory, parameters
    from ptq.networks import recipes
    from ptq.running import locks

    with _told(
        parameters.ParameterError,
        cifar10.DataError,
        locks.LockedError,
        recipes.InputError,
    ) as told:
        recipe = recipes.of(network, seed, epochs)
        given = {"train_seed": seed, "epochs": recipe.epochs}
        parameters.check(given, laboratory.DEFAULTS)
        settings = laboratory.DEFAULTS | given | {"run_dir": run_dir}
        told.folder = laboratory.run_folder(settings)
        folder = told.folder / "models"
        with locks.folder(told.folder):
            cifar = cifar10.load(data_dir)
            _, card = laboratory.trained(recipe, cifar, folder, retrain=True)
    click.echo(
        f"{card['test_correct']:,} of {card['test_images']:,} test images "
        f"right; see {folder / recipe.name}.pt and .json"
    )


@main.command(cls=BookCommand)
@click.option("-p", "pairs", nargs=2, multiple=True, metavar="NAME VALUE")
@click.option("--preset", default="paper", show_default=True)
@click.option("--only", multiple=True, help="Chapter by number or name.")
@click.option("--run-dir", default="", help="Default: below runs/.")
@click.option("--force", is_flag=True, help="Run what is up to date, too.")
@click.option("--times", is_flag=True, help="Measure all times again.")
def run(pairs, preset, only, run_dir, force, times):
    """Execute the chapters, or those that changed."""
    from ptq import paths
    from ptq.book import frontpage, run_pages
    from ptq.experiment import (
        committed_sweeps,
        laboratory,
        parameters,
        results,
    )
    from ptq.running import execution, locks, pipeline

    with _told(
        parameters.ParameterError,
        execution.ChapterFailed,
        locks.LockedError,
        committed_sweeps.ReferenceError,
        results.RecordError,
    ) as told:
        values = pipeline.preset(preset) | _values(pairs, run_dir)
        given = {"run_dir": run_dir} if run_dir else {}
        told.folder = laboratory.run_folder(
            laboratory.DEFAULTS | values | given
        )
        folder = pipeline.run(run_dir, values, only, force, times)
        if folder == paths.run_folder():
            generated = paths.REPOSITORY / "book" / "_generated"
            run_pages.write(folder, generated)
            if (folder / "comparison.csv").exists():
                frontpage.write_headline(folder, generated)
    click.echo(f"records, models and executed chapters: {folder}")


@main.command(cls=BookCommand)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--run-dir", default="", help="Default: runs/NAME of FILE.")
@click.option(
    "--workers", type=click.IntRange(1), help="Default: one a core."
)
@click.option("--scheduler", default="", help="tcp://HOST:PORT of a cluster.")
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

    with _told(
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


@main.command(cls=BookCommand)
@click.option("--runs", default="", help="Default: runs/.")
def reference(runs):
    """Keep the tables of the finished sweeps as the book's reference."""
    from ptq import paths
    from ptq.experiment import committed_sweeps

    with _told(OSError, committed_sweeps.ReferenceError):
        folder = Path(runs or paths.REPOSITORY / "runs").absolute()
        for name in committed_sweeps.NAMES:
            click.echo(f"kept {committed_sweeps.keep(name, folder / name)}")


@main.command("judge")
@click.argument("reference")
@click.argument("candidates", nargs=-1, required=True)
@click.option("--labels", default="", help="True classes of the images.")
@click.option(
    "--margin",
    default=0.5,
    show_default=True,
    help="Loss in points of accuracy that you would accept. Choose it before "
    "you look. Half a point is stricter than the usual demand of benchmarks, "
    "99 % of the float accuracy, and ten thousand images can exclude it.",
)
@click.option("--classes", type=click.IntRange(2), help="If not in the data.")
@click.option("--class-names", default="", help="A file, or cat,dog,...")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
)
@click.option("--json", "json_file", default="", help="Write JSON there.")
@click.option("--page", default="", help="Write an HTML page there.")
@click.option(
    "--fail-unless",
    type=click.Choice(["non-inferior", "better"]),
    help="Exit with status 1 unless each candidate is. A loss of the margin "
    "or more must be excluded (non-inferior), which a better one does, too.",
)
def judge_command(
    reference,
    candidates,
    labels,
    margin,
    classes,
    class_names,
    form,
    json_file,
    page,
    fail_unless,
):
    """Judge what any tool made of a network, by its predictions.

    REFERENCE and CANDIDATES hold class numbers (N,), or logits or
    probabilities (N, C), for the same images: .npy, .npz (FILE.npz:ARRAY) or
    .csv (FILE.csv:COLUMN). Without labels, the report has only the prediction
    disagreement. Exit status: 0; 1 as by --fail-unless; 2 where an input is
    refused.

    \b
    python -m ptq judge fp32.npy int8.npy --labels labels.npy
    python -m ptq judge out.npz:fp32 out.npz:int8 --labels val.csv:class \\
        --margin 1 --page report.html --fail-unless non-inferior

    \f
    Raises SystemExit, with status 1, as by --fail-unless.
    """
    from ptq import paths
    from ptq.evidence import checks
    from ptq.judge import judgement, reading

    with _told(checks.InputError, OSError, status=2):
        files = [reference, *candidates]
        networks = dict(
            zip(
                reading.names(files),
                map(reading.read, files),
                strict=True,
            )
        )
        checks.between(margin, "--margin", 0, 100)
        found = judgement.judge(
            networks,
            reading.read(labels) if labels else None,
            margin / 100,
            classes or 0,
            reading.class_names(class_names) if class_names else None,
        )
        for file, make in ((json_file, found.json), (page, found.page)):
            if file:
                paths.write_whole(Path(file), make())
    click.echo(found.json() if form == "json" else found.text(), nl=False)
    if fail_unless and (failing := found.failing(fail_unless)):
        click.echo(f"not {fail_unless}: {', '.join(failing)}", err=True)
        raise SystemExit(1)


@main.command("sweep-overhead", cls=BookCommand)
@click.option("--points", default=1000, show_default=True)
@click.option("--workers", default=2, show_default=True)
@click.option("--keep", is_flag=True, help="For the book's machine page.")
def sweep_overhead(points, workers, keep):
    """Measure what a sweep costs in addition to its chapters."""
    from ptq.experiment import committed_sweeps
    from ptq.running import sweep, sweep_plan

    with _told(sweep_plan.SweepError):
        seconds = sweep.overhead(points, workers)
        if keep:
            committed_sweeps.keep_overhead(points, workers, seconds)
    click.echo(
        f"{points:,} trivial points, {workers} local workers: "
        f"{1000 * seconds:.2f} ms a point"
    )


@main.command(cls=BookCommand)
@click.option("--sessions", default=40, show_default=True)
def coverage(sessions):
    """Count how often intervals of times hold on this machine."""
    from ptq.experiment import coverage

    with _told():
        found = coverage.keep(sessions)
    for pair in ("equal", "twice"):
        counted = found["real"][pair]
        click.echo(
            f"{pair}: {counted['inside']} of {counted['trials']} next "
            f"sessions inside, {counted['judged']} called faster or slower"
        )
    click.echo(f"kept {coverage.FILE}")


@main.command(cls=BookCommand)
def assets():
    """Fetch MathJax and the widgets' script; without them pages use a CDN."""
    from ptq import npm
    from ptq.book import site_assets

    for asset in site_assets.ASSETS:
        try:
            click.echo(f"the site serves {site_assets.fetch_asset(asset)}")
        except npm.NpmError as error:
            click.echo(f"pages will load {asset.cdn}, for {error}")


@main.command(cls=BookCommand)
@click.option("--run-dir", default="", help="Default: runs/book.")
def headline(run_dir):
    """Put the table and figure of a run into the README."""
    from ptq import paths
    from ptq.book import frontpage
    from ptq.experiment import committed_sweeps

    with _told(OSError, committed_sweeps.ReferenceError):
        frontpage.update_readme(paths.run_folder(run_dir))
    click.echo("README.md and book/reference are those of this run")


@main.command(cls=BookCommand)
def style():
    """Print how the chapters are written, beside the guide values."""
    from ptq.book import chapter_style
    from ptq.running import pipeline

    click.echo(chapter_style.report(pipeline.chapters()))


def _values(pairs, run_dir):
    """Parameters given as NAME VALUE, each of them once."""
    import yaml

    from ptq.experiment import parameters
    from ptq.running import plain_yaml

    values, faults = {}, []
    for name, text in pairs:
        if name in values or (name == "run_dir" and run_dir):
            faults.append(f"{name}: given twice; expected once")
        try:
            values[name], unclear = plain_yaml.load(text)
            faults += [line.replace("line 1", name) for line in unclear]
        except yaml.YAMLError as error:
            faults.append(f"{name}={text!r}: not a value: {error}")
        values[name] = "" if text == "" else values.get(name)
    if faults:
        raise parameters.ParameterError("\n".join(faults))
    return values


class _told:
    """One place that ends commands with a sentence, not with a traceback.

    Shows the package's own ``errors`` as they are and an interruption as
    such. For a folder that cannot be written it names ``folder``, once known,
    or the folder of the file. ``status`` is the exit status of the package's
    own errors.
    """

    def __init__(self, *errors, status=1):
        self.errors = (RepositoryError, *errors)
        self.status, self.folder = status, None

    def __enter__(self):
        # A cluster that takes a machine back sends SIGTERM: same as Ctrl-C.
        self.before = _on_termination(signal.default_int_handler)
        return self

    def __exit__(self, kind, error, trace):
        _on_termination(self.before)
        if isinstance(error, KeyboardInterrupt):
            line = "\n" if sys.stderr.isatty() else ""
            text = f"{line}interrupted; the same command continues"
            click.echo(text, err=True)
            raise SystemExit(130) from error
        if isinstance(error, OSError) and error.errno in UNWRITABLE:
            raise self._ended(_unwritable(error, self.folder)) from error
        if isinstance(error, ModuleNotFoundError):
            raise self._ended(
                f"{error.name} is not installed: in the book's repository, "
                "`pip install -r requirements.txt` installs it"
            ) from error
        if isinstance(error, self.errors):
            told = str(error)
            if isinstance(error, OSError) and error.filename:
                told = f"{error.filename}: {error.strerror}"
            raise self._ended(told) from error

    def _ended(self, text):
        told = click.ClickException(text)
        told.exit_code = self.status
        return told


def _on_termination(handler):
    """Set what SIGTERM does; returns what it did before."""
    if threading.current_thread() is not threading.main_thread():
        return None
    return signal.signal(signal.SIGTERM, handler)


def _unwritable(error, folder):
    """The sentence about a folder that cannot be written, and what to do."""
    path = Path(error.filename2 or error.filename or folder or Path.cwd())
    if error.errno == errno.EISDIR:
        return f"{path} is a folder; expected the name of a file"
    if folder is None or folder not in (path, *path.parents):
        folder = path.parent
    # Something else is in the place of the folder.
    number = errno.ENOTDIR if error.errno == errno.EEXIST else error.errno
    known = [
        name
        for parameter in click.get_current_context().command.params
        for name in parameter.opts
        if name in ("--run-dir", "--folder", "--runs", "--out")
    ]
    ways = [f"give another {name}" for name in known] or ["make it writable"]
    if number in FULL:
        ways.insert(0, "free some")
    return f"cannot write to {folder}: {os.strerror(number)}; " + " or ".join(
        ways
    )
