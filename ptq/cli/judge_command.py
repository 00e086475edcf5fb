"""The command that judges predictions of any tool."""

import os
from pathlib import Path

import click

from ptq.cli import error_messages


@click.command()
@click.argument("reference")
@click.argument("candidates", nargs=-1, required=True)
@click.option("--labels", default="", help="True classes of the images.")
@click.option(
    "--margin",
    default=0.5,
    show_default=True,
    help="Loss in points of accuracy that you would accept. Choose it before "
    "you look. Half a point is stricter than the usual demand of benchmarks, "
    "99 % of the float accuracy, wherever the network is right on more than "
    "half. Ten thousand images can exclude it if few predictions change.",
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
    help="Exit with status 1 unless each candidate is. non-inferior asks "
    "that a loss of the margin or more is excluded: a better one passes, "
    "too, and one that is worse by less than the margin.",
)
def judge(reference, candidates, form, json_file, page, fail_unless, **given):
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

    files = [reference, *candidates, given["labels"], given["class_names"]]
    with error_messages.told(checks.InputError, OSError, status=2):
        _refuse_overwriting(files, json_file, page)
        found = _judged([reference, *candidates], **given)
        for file, make in ((json_file, found.json), (page, found.page)):
            if file:
                paths.write_whole(Path(file), make())
    click.echo(found.json() if form == "json" else found.text(), nl=False)
    if fail_unless and (failing := found.failing(fail_unless)):
        click.echo(f"not {fail_unless}: {', '.join(failing)}", err=True)
        raise SystemExit(1)


def _refuse_overwriting(files, json_file, page):
    """Refuse a report in the place of an input, or of the other report."""
    from ptq.evidence.checks import InputError
    from ptq.judge import reading

    taken = {reading.place(file) for file in filter(None, files)}
    for option, file in (("--json", json_file), ("--page", page)):
        if file and (place := os.path.realpath(file)) in taken:
            raise InputError(
                f"{option} {file}: would overwrite an input or the other "
                "report; give another name"
            )
        taken |= {place} if file else set()


def _judged(files, labels, margin, classes, class_names):
    """The judgement of files, the first of which is the reference."""
    from ptq.evidence import checks
    from ptq.judge import judgement, reading

    names = reading.names(files)
    arrays = reading.read_all([*files, labels] if labels else files)
    checks.between(margin, "--margin", 0, 100)
    return judgement.judge(
        dict(zip(names, arrays, strict=False)),
        arrays[-1] if labels else None,
        margin / 100,
        classes or 0,
        reading.class_names(class_names) if class_names else None,
    )
