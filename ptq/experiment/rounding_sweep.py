"""The reference "rounding": methods and bits over trainings of networks."""

from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
from torch import Tensor

from ptq import paths
from ptq.evidence import intervals, paired_tests
from ptq.evidence.intervals import Interval
from ptq.experiment import (
    committed_sweeps,
    low_bits,
    network_study,
    results,
)
from ptq.experiment.network_study import FLOAT, Subject
from ptq.measure import timer
from ptq.methods import rounding_methods

CALIBRATION = 256
# Validation images that a record asks: enough to choose, and cheap.
VALIDATION = 1000
# What is tried at bits of weights and activations, from cheap to dear.
METHODS = {
    (4, 8): ("nearest", "descent"),
    (3, 8): ("descent",),
    (4, 4): ("nearest", "gptq", "descent"),
    (3, 3): ("descent",),
    (2, 4): ("nearest", "gptq", "descent_own", "descent"),
}
# The dearest method is tried at these, with these networks.
DEAR, DEAR_BITS = "adaround", ((4, 4), (2, 4))
DEAR_NETWORKS = "resnet8", "depthwise"
# Losses (points) that a network may have, set before the sweep was run.
LEVELS = (
    ("resnet8", (4, 8), 0.5),
    ("resnet8", (4, 4), 1.5),
    ("resnet8", (3, 3), 4.0),
    ("resnet8", (2, 4), 7.0),
    ("depthwise", (4, 8), 1.0),
    ("depthwise", (4, 4), 4.0),
    ("compact_cnn", (3, 8), 1.0),
    ("compact_cnn_tuned", (3, 8), 1.0),
)
# What an interval says of a level.
REACHED, MISSED, OPEN = "reached", "missed", "open"
# A chapter measures some of these again, with the shipped networks.
REPEATED = (
    ("resnet8", "w2a4_descent"),
    ("resnet8", FLOAT),
    ("depthwise", "w4a4_descent"),
    ("compact_cnn", "w2a4_descent"),
    ("compact_cnn_tuned", "w3a3_descent"),
)


@dataclass(frozen=True)
class Case:
    """Bits of inner weights and activations, and how weights are rounded.

    ``rounding`` is a name of ``rounding_methods.ALL``.
    """

    weights: int
    activations: int
    rounding: str

    @property
    def bits(self) -> str:
        """Both in short, as "W4A8"."""
        return f"W{self.weights}A{self.activations}"

    @property
    def label(self) -> str:
        """The method, as tables call it."""
        return rounding_methods.ALL.row(self.rounding).label

    @property
    def name(self) -> str:
        """What a record is called."""
        return f"{self.bits.lower()}_{self.rounding}"


def cases(network: str) -> dict[str, Case]:
    """All that is tried with a network, by the record's name."""
    found = []
    for bits, methods in METHODS.items():
        dear = network in DEAR_NETWORKS and bits in DEAR_BITS
        for method in (*methods, *[DEAR] * dear):
            found.append(Case(*bits, method))
    return {case.name: case for case in found}


def records(
    of: Subject,
    names: list[str],
    images: Tensor,
    labels: Tensor,
    folder: Path,
    known: dict[str, Case] | None = None,
    validation: int = VALIDATION,
) -> list[results.Record]:
    """Records of ``FLOAT`` or ``cases`` by name: kept, or measured.

    ``images`` and ``labels`` are the test's, uint8 (N, 3, 32, 32) and int64
    (N,). ``cpu_seconds`` of a record are what the rounding took. ``known``
    are other cases by name, ``validation`` how many images are asked.
    """
    few = replace(
        of,
        validation=of.validation[:validation],
        labels=of.labels[:validation],
    )
    start = cache(partial(low_bits.quantized, few, observer="mse"))
    asked, known = (images, labels, folder), known or cases(of.name)
    with timer.pinned_threads(1):
        return [_record(few, name, known, start, asked) for name in names]


def _record(few: Subject, name: str, known, start, asked) -> results.Record:
    """``FLOAT`` or the case of this name, from what ``start`` gives."""
    if name == FLOAT:
        return network_study.record(few, name, *asked)
    case = known[name]
    network = start(case.weights, case.activations)
    run = rounding_methods.ALL.row(case.rounding).run
    return low_bits.record(
        *(few, name, partial(run, network, few.calibration), *asked),
        weight_bits=case.weights,
        activation_bits=case.activations,
        rounding=case.rounding,
    )


def changes(frame: pd.DataFrame) -> dict[tuple[str, Case], np.ndarray]:
    """Changes of accuracy (shares), (trainings,), by network and case.

    ``frame`` is the reference: its rows are networks, trainings, and cases
    with ``FLOAT`` among these. Networks stand in the registry's order.
    """
    found = {}
    for network in committed_sweeps.networks(frame):
        known = cases(network)
        moved = committed_sweeps.changes(frame, network, known, FLOAT)
        for name, change in moved.items():
            found[network, known[name]] = change
    return found


def change(
    frame: pd.DataFrame, network: str, name: str, base: str = FLOAT
) -> Interval:
    """Change of accuracy (a share) of a record against ``base``, by name.

    ``frame`` is the reference. The interval is that of the mean over
    trainings; of one training, the paired one over images, as if each
    prediction that differs from FP32's were lost or gained: it is too wide,
    never too narrow. ReferenceError where ``frame`` lacks one of the two.
    """
    of = frame[frame.network == network].set_index("train_seed")
    if lacking := {name, base} - {*of.strategy}:
        raise committed_sweeps.ReferenceError(
            f"the reference has no {', '.join(sorted(lacking))} of "
            f"{network}; `make sweeps` makes it"
        )
    made, before = (of[of.strategy == n] for n in (name, base))
    if len(made) > 1:
        return intervals.mean((made.accuracy - before.accuracy).to_numpy())
    (made,), (before,) = made.itertuples(), before.itertuples()
    count, net = int(made.n), int(made.correct - before.correct)
    differ = round(count * (made.disagreement + before.disagreement))
    return paired_tests.widest(net, differ, count)


def level_word(found: Interval, allowed: float) -> str:
    """Whether a change stays within the loss that is allowed, in a word.

    Both in the same unit, ``allowed`` above zero. "reached" where the whole
    interval excludes such a loss, "missed" where the whole interval lies
    beyond it, else "open": so, too, where there are no bounds.
    """
    if found.low > -allowed:
        return REACHED
    return MISSED if found.high < -allowed else OPEN


def steps(network: str) -> list[tuple[Case, Case]]:
    """(dearer, cheaper): each of ``cases`` with the next cheaper method."""
    pairs = pairwise(cases(network).values())
    return [(two, one) for one, two in pairs if one.bits == two.bits]


def chosen(frame: pd.DataFrame, network: str, bits: tuple[int, int]) -> Case:
    """The method that most validation images ask for, of equals the cheapest.

    Over all trainings of ``network`` in ``frame``, the reference.
    """
    of = frame[frame.network == network]
    right = of.groupby("strategy").validation_correct.sum()
    tried = [
        case
        for case in cases(network).values()
        if (case.weights, case.activations) == bits
    ]
    return max(tried, key=lambda case: right[case.name])


def measured_again(lab, frame: pd.DataFrame, manifest: dict) -> pd.DataFrame:
    """Measure a part of the reference again, with shipped networks.

    How many of ``REPEATED`` that ``frame`` has depends on the run's test
    images. Returns
    ``committed_sweeps.agreement``.
    """
    there = lab.shipped()
    count = lab.settings["test_images"]
    known = frame[frame.train_seed == 42].set_index(["network", "strategy"])
    there_too = [pair for pair in REPEATED if pair in known.index]
    asked = committed_sweeps.repeated(there_too, count, fewest=1)
    found = []
    for network, name in asked:
        found += again(there, network, [name], "rounding")
    return committed_sweeps.agreement(known.loc[asked], found, manifest)


def again(there, network: str, names: list[str], place: str, *more) -> list:
    """``records`` of a shipped network, kept below ``place`` in a run.

    ``there`` is the laboratory of shipped networks; ``more`` goes to
    ``records``, too.
    """
    of = network_study.subject(
        there.cifar,
        network,
        there.run_folder / paths.MODELS,
        calibration_images=CALIBRATION,
    )
    folder = there.run_folder / place / network
    asked = names, there.test_images, there.test_labels, folder
    return records(of, *asked, *more)
