"""The command ``quantize``: a reader's network, from checkpoint to card."""

from pathlib import Path

import click

from ptq.cli import error_messages

# Options of ``bench``, too.
checkpoint = click.option(
    "--checkpoint", default="", help="What torch.save wrote."
)
rounds = click.option(
    "--rounds",
    type=click.IntRange(1),
    default=15,
    show_default=True,
    help="Of the timer; below 10 there is no verdict.",
)
seed = click.option(
    "--seed", type=click.IntRange(0), default=42, show_default=True
)


@click.command("quantize")
@click.argument("network")
@checkpoint
@click.option(
    "--data",
    required=True,
    help="A folder of images, or of a folder for each class; an .npz file "
    "with images (and labels); or file.py:function that returns them.",
)
@click.option(
    "--calibration-data",
    default="",
    help="The same, of other images that calibrate. Default: some of --data, "
    "which then do not judge.",
)
@click.option("--out", required=True, help="Folder for files and card.")
@click.option(
    "--calibration",
    type=click.IntRange(1),
    help="How many images calibrate, drawn by --seed. Default: 256, and of "
    "--data not more than half.",
)
@click.option(
    "--keep-float",
    multiple=True,
    help="A layer, operation or module that stays in float.",
)
@click.option(
    "--normalization",
    default="",
    help="mean,std of pixels from 0 to 1, as 0.5,0.5; of three channels all "
    "means, then all stds. Default: what stands in the network's file.",
)
@click.option("--classes", default="", help="A file, or cat,dog,...")
@click.option("--weight-bits", type=click.IntRange(2, 8), default=8)
@click.option("--per-tensor", is_flag=True, help="One grid for each layer.")
@click.option(
    "--observer",
    type=click.Choice(
        [
            *("minmax", "moving_average", "percentile", "mse"),
            *("entropy", "laplace", "gauss"),
        ]
    ),
    default="minmax",
    show_default=True,
    help="How ranges are chosen.",
)
@click.option(
    "--margin",
    default=0.5,
    show_default=True,
    help="Loss in points of accuracy that you would accept.",
)
@rounds
@click.option(
    "--export",
    default="onnx,packed",
    show_default=True,
    help="Files to write: network.onnx, network.ptq, or both. Each is loaded "
    "and asked again.",
)
@seed
@click.option(
    "--fail-unless",
    type=click.Choice(["non-inferior", "better"]),
    help="Exit with status 1 unless INT8 is, as of the command judge.",
)
def quantize(network, out, fail_unless, **given):
    """Take a network from its checkpoint to an INT8 file with a deploy card.

    NETWORK is package.module:factory or file.py:factory: a function or class
    that makes the float network, called without arguments. OUT receives
    network.onnx, which ONNX Runtime executes in integers, network.ptq, the
    same with weights at their real bits, what both networks put out for the
    images, and the card: card.html and card.json. The same command continues
    what was interrupted. Exit status: 0; 1 as by --fail-unless; 2 where an
    input is refused.

    \b
    python -m ptq quantize net.py:make --checkpoint w.pt \\
        --data images.npz --normalization 0.5,0.5 --out deploy/ \\
        --fail-unless non-inferior

    \f
    Raises SystemExit, with status 1, as by --fail-unless.
    """
    from ptq.evidence import checks
    from ptq.graph import UnsupportedError
    from ptq.running import locks
    from ptq.running.progress import Line

    errors = checks.InputError, UnsupportedError, locks.LockedError, OSError
    with error_messages.told(*errors, status=2) as told, Line() as line:
        told.folder = Path(out)
        checks.between(given["margin"], "--margin", 0, 100)
        card = _card(network, out, line.tell, given)
    click.echo(str(card), nl=False)
    click.echo(f"\n{Path(out) / 'card.html'} shows it")
    if fail_unless and card.failing(fail_unless):
        click.echo(f"not {fail_unless}: INT8", err=True)
        raise SystemExit(1)


def _card(network: str, out: str, tell, given: dict):
    """The card, from what was given as options."""
    from ptq.deploy import deploying, image_source, network_source
    from ptq.judge import reading

    source = network_source.read(network, given["checkpoint"])
    classes = source.classes
    if given["classes"]:
        classes = reading.class_names(given["classes"])
    tell("reads images")
    images = image_source.read(given["data"], classes)
    draw = given["calibration"], given["seed"]
    if given["calibration_data"]:
        others = image_source.read(given["calibration_data"], labelled=False)
        calibration, test = image_source.drawn(others, *draw), images
    else:
        calibration, test = image_source.split(images, *draw)
    source.check(test.pixels)
    return deploying.deploy(
        source.network,
        calibration.pixels,
        test.pixels,
        test.labels,
        out=out,
        normalization=plain_normalization(given["normalization"], source),
        classes=classes or images.class_names,
        margin=given["margin"] / 100,
        rounds=given["rounds"],
        seed=given["seed"],
        export=given["export"],
        notes=[*source.notes, *calibration.notes, *images.notes],
        tell=tell,
        per_channel=not given["per_tensor"],
        weight_bits=given["weight_bits"],
        observer=given["observer"],
        keep_float=given["keep_float"],
    )


def plain_normalization(text: str, source):
    """(mean, std) of the option, else of the network's code, else None.

    ``source`` is a ``network_source.Source``. InputError where ``text`` is
    neither empty nor such numbers.
    """
    from ptq.evidence.checks import InputError

    if not text:
        return source.normalization
    try:
        numbers = [float(part) for part in text.replace(",", " ").split()]
    except ValueError:
        numbers = []
    half = len(numbers) // 2
    if half not in (1, 3) or len(numbers) % 2:
        raise InputError(
            f"--normalization {text}: expected mean,std, or three means and "
            "then three stds"
        )
    return tuple(numbers[:half]), tuple(numbers[half:])
