"""The command ``bench``: a network's times in every runtime here."""

import os
from pathlib import Path

import click

from ptq.cli import error_messages, quantize_command

RANDOM_IMAGES = 64


@click.command("bench")
@click.argument("network")
@quantize_command.checkpoint
@click.option(
    "--data",
    default="",
    help="Images as the command quantize takes them. Default: random pixels, "
    "which time alike, but say nothing about predictions.",
)
@click.option(
    "--calibration",
    type=click.IntRange(1),
    help="How many images calibrate, drawn by --seed.",
)
@click.option(
    "--images",
    type=click.IntRange(1),
    default=1000,
    show_default=True,
    help="How many images are asked for predictions, at most.",
)
@click.option(
    "--input-shape",
    default="",
    help="C,H,W, where there is no --data. Default: what stands in the "
    "network's file.",
)
@click.option(
    "--normalization",
    default="",
    help="mean,std of pixels from 0 to 1, as of quantize.",
)
@click.option(
    "--threads",
    default="1,all",
    show_default=True,
    help="Numbers of threads that are tried.",
)
@quantize_command.rounds
@quantize_command.seed
@click.option(
    "--bar",
    "only_bar",
    is_flag=True,
    help="Time only what ptq recommends, other tools' flows, and FP32.",
)
@click.option(
    "--again",
    is_flag=True,
    help="Choose engine and threads anew. Else by what was kept of this "
    "machine and network.",
)
@click.option("--why", is_flag=True, help="Ask what makes INT8 slow here.")
@click.option("--json", "json_file", default="", help="Write all there.")
@click.option("--page", default="", help="Write an HTML page there.")
@click.option("--against", default="", help="A saved --json to compare with.")
def bench(network, why, json_file, page, against, **options):
    """Time a network in every runtime of this machine, at batch 1 and 64.

    NETWORK is file.py:factory or package.module:factory, as of quantize; or
    the name of a network of the book; or the FILE.json of an earlier run,
    which is then only shown, or compared. Rows take the same uint8 images:
    float and bfloat16 in each runtime, INT8 by ptq in each engine and by the
    fastest of them here, and other tools' own flows to INT8. Exit status: 0;
    2 where an input is refused.

    \b
    python -m ptq bench net.py:make --input-shape 3,32,32 --json now.json
    python -m ptq bench now.json --against before.json
    python -m ptq bench resnet8 --why

    \f
    Errors are those of the reader's network, images and files.
    """
    from ptq import paths, registry
    from ptq.data import cifar10
    from ptq.evidence import checks
    from ptq.graph import UnsupportedError

    errors = checks.InputError, UnsupportedError, registry.UnknownNameError
    known = *errors, cifar10.DataError, OSError
    then = "nothing was written: times of two runs do not mix"
    with error_messages.told(*known, status=2, then=then):
        for file in filter(None, (json_file, page)):
            paths.check_writable(Path(file))
        found, *reports = _reported(network, why, against, options)
        try:
            if json_file:
                paths.write_whole(Path(json_file), found.json())
            if page:
                paths.write_whole(Path(page), reports[-1].page())
        finally:
            # A disk may be full by now, and what was measured is not lost.
            told = "\n".join(one.text() for one in reports)
            click.echo(told, nl=False)


def _reported(network: str, why: bool, against: str, options: dict) -> list:
    """A bench or checklist, its report, and how it differs from another."""
    from ptq.bench import measuring
    from ptq.bench import two_runs as comparing
    from ptq.running.progress import Line

    before = measuring.load(Path(against)) if against else None
    if network.endswith(".json"):
        found = measuring.load(Path(network))
    else:
        with Line() as line:
            found = _measured(network, why, line.tell, options)
    if before is None or why:
        return [found, found.report()]
    return [found, found.report(), comparing.report(before, found)]


def _measured(network: str, why: bool, tell, options: dict):
    """A bench, or a checklist, of what was given as options."""
    from ptq.bench import knobs, measuring
    from ptq.running import locks

    threads = _threads(options["threads"])
    given, real = _given(network, tell, options)
    with locks.timer(locks.myself(), tell):
        asked = given, network, options["rounds"], options["seed"]
        if why:
            return knobs.measured(*asked, threads[-1], tell)
        more = {name: options[name] for name in ("only_bar", "again")}
        return measuring.measured(*asked, threads, real, tell, **more)


def _threads(text: str) -> list[int]:
    from ptq.evidence.checks import InputError

    found, cores = [], os.cpu_count() or 1
    for part in text.replace(",", " ").split():
        count = cores if part == "all" else part
        if not str(count).isdecimal() or int(count) < 1:
            raise InputError(
                f"--threads {text}: expected numbers from 1 on, or all, as "
                "in 1,all"
            )
        if int(count) > cores:
            raise InputError(
                f"--threads {text}: expected at most {cores}, the logical "
                "cores of this machine"
            )
        found.append(int(count))
    return list(dict.fromkeys(found)) or [1]


def _given(network: str, tell, options: dict):
    """The network and its images, and whether these are real ones."""
    if ":" not in network:
        return _of_the_book(network, options), True
    return _of_a_reader(network, tell, options)


def _of_the_book(name: str, options: dict):
    from ptq import paths
    from ptq.data import cifar10
    from ptq.deploy import inputs
    from ptq.experiment import network_study
    from ptq.networks import recipes

    row = recipes.get(name)
    cifar, folder = cifar10.load(), paths.run_folder() / "models"
    of = network_study.subject(
        cifar,
        name,
        folder,
        seed=options["seed"],
        calibration_images=options["calibration"] or 100,
    )
    test, labels = (
        one[: options["images"]]
        for one in (cifar.test_images, cifar.test_labels)
    )
    return inputs.checked(
        *(of.network, of.calibration, test, labels),
        *(row.normalization, row.classes),
    )


def _of_a_reader(spec: str, tell, options: dict):
    from ptq.deploy import image_source, inputs, network_source
    from ptq.evidence.checks import InputError

    source = network_source.read(spec, options["checkpoint"])
    for note in source.notes:
        tell(note)
    given = options["normalization"]
    norm = quantize_command.plain_normalization(given, source)
    if options["data"]:
        tell("reads images")
        images = image_source.read(options["data"], labelled=False)
        if images.pixels.is_floating_point():
            raise InputError(
                f"{options['data']}: images are float32: expected uint8 "
                "pixels, as times are from pixels to logits"
            )
        parts = image_source.split(
            images, options["calibration"], options["seed"]
        )
        calibration, test = (part.pixels for part in parts)
        test = test[: options["images"]]
    else:
        calibration = test = _random(source, spec, options)
        norm = norm or (0.5, 0.5)
    source.check(test)
    parts = source.network, calibration, test, None, norm, source.classes
    return inputs.checked(*parts), bool(options["data"])


def _random(source, spec: str, options: dict):
    """Random pixels, uint8 (N, C, H, W)."""
    import torch

    from ptq.evidence.checks import InputError

    text = options["input_shape"]
    numbers = text.replace(",", " ").split()
    shape = source.input_shape
    if all(part.isdecimal() for part in numbers) and len(numbers) == 3:
        shape = tuple(map(int, numbers))
    elif text or not shape:
        raise InputError(
            f"{spec}: without --data, expected --input-shape C,H,W, as in "
            f"3,32,32{f', not {text}' if text else ''}"
        )
    generator = torch.Generator().manual_seed(options["seed"])
    shape, kind = (RANDOM_IMAGES, *shape), torch.uint8
    return torch.randint(0, 256, shape, dtype=kind, generator=generator)
