"""Commands that run chapters and make the book's pages."""

import click

from ptq.cli import error_messages
from ptq.cli.book_command import BookCommand


@click.command(cls=BookCommand)
@click.option("-p", "pairs", nargs=2, multiple=True, metavar="NAME VALUE")
@click.option("--preset", default="paper", show_default=True)
@click.option("--only", multiple=True, help="Chapter by number or name.")
@click.option("--run-dir", default="", help="Default: below runs/.")
@click.option("--force", is_flag=True, help="Run what is up to date, too.")
@click.option("--times", is_flag=True, help="Measure all times again.")
def run(pairs, preset, only, run_dir, force, times):
    """Execute the chapters, or those that changed."""
    from ptq import paths
    from ptq.book.pages import frontpage, run_pages
    from ptq.experiment import committed_sweeps, parameters
    from ptq.experiment.results import RecordError
    from ptq.running import execution, locks, pipeline

    with error_messages.told(
        parameters.ParameterError,
        execution.ChapterFailed,
        locks.LockedError,
        committed_sweeps.ReferenceError,
        RecordError,
    ) as told:
        values = pipeline.preset(preset) | _values(pairs, run_dir)
        given = {"run_dir": run_dir} if run_dir else {}
        told.folder = parameters.run_folder(
            parameters.DEFAULTS | values | given
        )
        missing = parameters.missing(parameters.NEEDS)
        results = frontpage.committed_rows() if missing else ""
        folder = pipeline.run(run_dir, values, only, force, times, results)
        chapters = pipeline.earlier(folder)["chapters"]
        if folder == paths.run_folder() and chapters:
            generated = paths.REPOSITORY / "book" / "_generated"
            run_pages.write(folder, generated)
            if frontpage.COMPARISON in chapters or missing:
                frontpage.write_headline(folder, generated)
    click.echo(f"records, models and executed chapters: {folder}")


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
            told = " ".join(str(error).split())
            faults.append(f"{name}={text!r}: not a value: {told}")
        values[name] = "" if text == "" else values.get(name)
    if faults:
        raise parameters.ParameterError("\n".join(faults))
    return values


@click.command(cls=BookCommand)
def assets():
    """Fetch MathJax and the widgets' script; without them pages use a CDN."""
    from ptq import npm_packages
    from ptq.book.pages import site_assets

    for asset in site_assets.ASSETS:
        try:
            click.echo(f"the site serves {site_assets.fetch_asset(asset)}")
        except npm_packages.NpmError as error:
            click.echo(f"pages will load {asset.cdn}, for {error}")


@click.command(cls=BookCommand)
@click.option("--run-dir", default="", help="Default: runs/book.")
def headline(run_dir):
    """Put the table and figure of a run into the README."""
    from ptq import paths
    from ptq.book.pages import frontpage
    from ptq.experiment import committed_sweeps

    with error_messages.told(OSError, committed_sweeps.ReferenceError):
        frontpage.update_readme(paths.run_folder(run_dir))
    click.echo("README.md and book/reference are those of this run")


@click.command(cls=BookCommand)
def style():
    """Print how the chapters are written, beside the guide values."""
    from ptq.book.pages import chapter_style
    from ptq.running import pipeline

    click.echo(chapter_style.report(pipeline.chapters()))
