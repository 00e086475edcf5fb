"""Tables that hold ours to another tool below eight bits."""

import time
from importlib import metadata

from engines_table import rows_written

from ptq import paths
from ptq.data import cifar10
from ptq.engines import onnx_file, onnx_module
from ptq.evidence import number_text, paired_tests
from ptq.experiment import network_study, rounding_sweep
from ptq.measure import inference, timer
from ptq.networks import recipes

KEYS = ("network", "bits", "method", "versions")
COLUMNS = (
    *("network", "bits", "method", "correct", "n"),
    *("change (points)", "ours beside it (points)", "p", "CPU seconds"),
    "versions",
)


def timed(make, *asked):
    """What ``make`` gives, and its CPU seconds."""
    start = time.process_time()
    made = make(*asked)
    return made, round(time.process_time() - start, 1)


def in_integers(network):
    """A quantized network of ours, run by ONNX Runtime on one thread."""
    file = onnx_file.model(network).SerializeToString()
    return onnx_module.OnnxModule(file, threads=1)


def predicted(network, of, images):
    """Predictions (N,) by batches that stay in the processor's caches."""
    return inference.logits(
        network, images, of.normalization, network_study.BATCH
    ).argmax(1)


def told(before, after, labels):
    """Change in points with its interval, and McNemar's exact p."""
    flips = paired_tests.flips(*(x.numpy() for x in (before, after, labels)))
    return f"{100 * paired_tests.difference(flips):+.2f}", flips.p


def rows(of, bits, found, images, labels, packages):
    """A row for each method in ``found``: predictions (N,) and CPU seconds.

    The first is ours. ``p`` and the column before are of ours against the
    row's.
    """
    before = predicted(of.network, of, images)
    versions = [f"{name} {metadata.version(name)}" for name in packages]
    mine, _ = next(iter(found.values()))
    for name, (after, seconds) in found.items():
        beside, p = told(after, mine, labels)
        against = beside, number_text.probability(p, ".1e")
        values = (
            *(recipes.get(of.name).label, bits, name),
            *(int((after == labels).sum()), len(labels)),
            told(before, after, labels)[0],
            *(("–", "–") if after is mine else against),
            *(seconds, ", ".join(versions)),
        )
        yield dict(zip(COLUMNS, values, strict=True))


def write(file, networks, cases, compared, count):
    """Add rows to a table, or replace those of the same versions.

    ``compared`` gives those of a subject and a case, one of ``cases``, on the
    first ``count`` test images and their labels.
    """
    cifar = cifar10.load()
    test = cifar.test_images[:count], cifar.test_labels[:count]
    for asked in networks:
        subject = network_study.subject(
            cifar,
            asked,
            paths.run_folder() / "models",
            calibration_images=rounding_sweep.CALIBRATION,
        )
        for case in cases:
            with timer.pinned_threads(1):
                made = list(compared(subject, case, *test))
            rows_written(file, COLUMNS, KEYS, made)
