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
# The largest leaves room for what is derived from it.
seed = click.option(
    "--seed",
    type=click.IntRange(0, 2**31 - 1),
    default=42,
    show_default=True,
)
# What the automatic mode finds, and nobody gives it.
CHOSEN = "weight_bits", "per_tensor", "observer", "rounding"


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
    "--rounding",
    type=click.Choice(
        ["nearest", "means", "gptq", "descent_own", "descent", "adaround"]
    ),
    help="How weights are rounded, on the grids of least error. Default: to "
    "nearest, on min-max grids.",
)
@click.option(
    "--auto",
    is_flag=True,
    help="At 8 bits, try ranges, matched means and layers in float in order "
    "until one excludes a loss of --margin; half of the images that would "
    "judge decide.",
)
@click.option(
    "--target-bytes",
    type=click.IntRange(1),
    help="As --auto, then fewer bits and better rounding, until network.ptq "
    "has at most so many bytes.",
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

    With --auto or --target-bytes, card and trials.json say what was tried
    and why one was chosen: the best, even where not all asked is met.

    \b
    python -m ptq quantize net.py:make --checkpoint w.pt \\
        --data images.npz --out small/ --margin 1 --target-bytes 2500

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
    _show(card, out)
    if fail_unless and card.failing(fail_unless):
        click.echo(f"not {fail_unless}: INT8", err=True)
        raise SystemExit(1)


def _show(card, out: str) -> None:
    """Card, its page, and what is missed."""
    click.echo(str(card), nl=False)
    click.echo(f"\n{Path(out) / 'card.html'} shows it")
    if card.choice and card.choice.missed:
        click.echo(f"the best found; {card.choice.missed}", err=True)


def _card(network: str, out: str, tell, given: dict):
    """The card, from what was given as options."""
    from ptq.deploy import deploying, exports, image_source, network_source
    from ptq.judge import reading

    pictures = [given["data"], given["calibration_data"]]
    files = [network, given["checkpoint"], given["classes"]]
    exports.refuse_overwriting(out, files, pictures)
    automatic = given["auto"] or given["target_bytes"] is not None
    recipe = {} if automatic else _recipe(given)
    if automatic:
        _check_free(given)
    source = network_source.read(network, given["checkpoint"])
    if classes := given["classes"]:
        classes = reading.class_names(classes)
    classes = classes or source.classes
    tell("reads images")
    images = image_source.read(given["data"], classes)
    calibration, test = _drawn(images, given)
    source.check(test.pixels)
    shared = {
        "out": out,
        "normalization": plain_normalization(given["normalization"], source),
        "margin": given["margin"] / 100,
        "notes": [*source.notes, *calibration.notes, *images.notes],
        "tell": tell,
    }
    if automatic:
        recipe, test = _chosen(source, calibration, test, given, shared)
    return deploying.deploy(
        source.network,
        calibration.pixels,
        test.pixels,
        test.labels,
        classes=classes or images.class_names,
        **{name: given[name] for name in ("rounds", "seed", "export")},
        **shared,
        **recipe,
    )


def _drawn(images, given: dict):
    """Images that calibrate, and images that do not."""
    from ptq.deploy import image_source

    draw = given["calibration"], given["seed"]
    if not given["calibration_data"]:
        return image_source.split(images, *draw)
    others = image_source.read(given["calibration_data"], labelled=False)
    return image_source.drawn(others, *draw), images


def _recipe(given: dict) -> dict:
    """How to quantize, from what was given as options."""
    found = {
        "per_channel": not given["per_tensor"],
        "weight_bits": given["weight_bits"],
        "observer": given["observer"],
        "keep_float": given["keep_float"],
    }
    rounding = given["rounding"]
    return found | ({"rounding": rounding} if rounding else {})


def _chosen(source, calibration, images, given: dict, shared: dict):
    """How to quantize, as found automatically, and the images that judge.

    Half of ``images`` decide. They and ``calibration`` are as
    ``image_source`` reads them, ``source`` as ``network_source`` does.
    """
    from ptq.deploy import automatic, image_source, trials

    half, labelled = len(images) // 2, images.labels is not None
    trials.check_number(half, labelled, shared["margin"])
    decide, judge = image_source.split(images, half, given["seed"])
    choice = automatic.choose(
        source.network,
        calibration.pixels,
        decide.pixels,
        decide.labels,
        target_bytes=given["target_bytes"],
        keep_float=given["keep_float"],
        told=f", drawn by seed {given['seed']}; they do not judge",
        **shared,
    )
    return choice.best.recipe | {"choice": choice}, judge


def _check_free(given: dict) -> None:
    """InputError where an option gives what the automatic mode finds."""
    from ptq.evidence.checks import InputError

    context = click.get_current_context()
    for name in CHOSEN:
        where = context.get_parameter_source(name)
        if where is not click.core.ParameterSource.DEFAULT:
            raise InputError(
                f"--{name.replace('_', '-')}: the automatic mode (--auto, "
                "--target-bytes) chooses it; give one or the other"
            )
    kinds = given["export"].split(",")
    if given["target_bytes"] is not None and "packed" not in kinds:
        raise InputError(
            f"--export {given['export']}: --target-bytes counts network.ptq: "
            "expected packed among them"
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
