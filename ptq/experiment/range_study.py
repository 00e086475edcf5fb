"""Which range a grid covers: choices on one network, as measured records."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from torch import Tensor

from ptq import graph as graphs
from ptq import paths
from ptq.evidence import network_pairs, paired_tests
from ptq.evidence.network_pairs import Paired
from ptq.evidence.thresholds import SIGNIFICANCE
from ptq.experiment import low_bits, network_study, results
from ptq.experiment.image_sources import SOURCES
from ptq.experiment.network_study import FLOAT, Subject
from ptq.methods.analytic_bias import correct_biases
from ptq.methods.bias_matching import match_means
from ptq.methods.equalization import equalize
from ptq.methods.least_error_grids import least_error_grids
from ptq.methods.normal_moments import Moments, divided, normal_moments
from ptq.networks import recipes
from ptq.quantizer.network import QuantizedNetwork

VALIDATION_IMAGES = 100
WORDS = {8: "eight", 4: "four"}


@dataclass(frozen=True)
class Choice:
    """Bits and ranges of a network, and what is done about its errors.

    Bits are those of inner layers, and of what these read. ``least`` puts
    weights on grids of least error instead of min-max ones; ``equalized``
    changes the float network first; ``biases`` is "",
    "means" (on the calibration images) or "analytic".
    """

    weights: int = 8
    activations: int = 8
    observer: str = "minmax"
    per_channel: bool = True
    least: bool = False
    equalized: bool = False
    biases: str = ""

    @property
    def name(self) -> str:
        """What a record and a row of the reference is called."""
        parts = (
            f"w{self.weights}a{self.activations}",
            "channel" if self.per_channel else "tensor",
            self.observer,
            "least" * self.least,
            "equalized" * self.equalized,
            self.biases,
        )
        return "-".join(filter(None, parts))


# What tables call the observers that are studied.
OBSERVER_WORDS = {
    "minmax": "min-max",
    "moving_average": "moving average",
    "percentile": "percentile",
    "mse": "squared error",
    "entropy": "entropy",
    "laplace": "analytic, Laplace",
    "gauss": "analytic, Gauss",
}
OBSERVED = {
    bits: {name: Choice(8, bits, name) for name in OBSERVER_WORDS}
    for bits in (8, 4)
}
REPAIRS = {
    "min-max": {},
    "least error": {"least": True},
    "equalized": {"equalized": True},
    "means matched": {"biases": "means"},
    "analytic biases": {"biases": "analytic"},
    "equalized, means matched": {"equalized": True, "biases": "means"},
    "equalized, analytic biases": {"equalized": True, "biases": "analytic"},
}
REPAIRED = {
    per_channel: {
        words: Choice(4, per_channel=per_channel, **repair)
        for words, repair in REPAIRS.items()
    }
    for per_channel in (False, True)
}


def made(of: Subject, choice: Choice) -> QuantizedNetwork:
    """The network by a choice, its additions and pools in integers."""
    graph, moments = of.folded(), {}
    if choice.biases == "analytic":
        moments = moments_of(of)
    if choice.equalized:
        graph, by = equalize(graph)
        moments = divided(moments, by)
    network = low_bits.quantized(
        *(of, choice.weights, choice.activations, graph),
        observer=choice.observer,
        per_channel=choice.per_channel,
    )
    if choice.least:
        network = least_error_grids(network)
    if choice.biases == "means":
        network = match_means(network, of.calibration)
    if choice.biases == "analytic":
        network = correct_biases(network, moments)
    return network


def moments_of(of: Subject) -> Moments:
    """What the network's BN remembers, (C,) by the folded graph's nodes."""
    shown = recipes.get(of.name).normalize(of.calibration[:2])
    return normal_moments(graphs.trace(of.network, shown))


def records(
    lab, of: Subject, choices: Iterable[Choice], images: int
) -> dict[str, results.Record]:
    """Records by the name of a choice, and ``FLOAT``, of some test images.

    They are kept in the run folder of ``lab``. Nothing is chosen here, so
    few validation images are run.
    """
    folder = lab.run_folder / paths.RECORDS / "ranges" / of.name
    given = lab.test_images[:images], lab.test_labels[:images], folder
    few = slice(VALIDATION_IMAGES)
    asked = replace(of, validation=of.validation[few], labels=of.labels[few])
    found = {FLOAT: network_study.record(asked, FLOAT, *given)}
    for one in choices:
        found[one.name] = low_bits.record(
            asked,
            one.name,
            lambda one=one: made(of, one),
            *given,
            code=Path(__file__).read_text(),
        )
    return found


def changes(
    found: dict[str, results.Record], labels: Tensor
) -> dict[str, Paired]:
    """Each choice against the float network, by name; Holm's over all.

    ``found`` are ``records``, ``labels`` int64 (N,) the test's first.
    """
    float_one = found[FLOAT].predictions
    pairs = {
        name: (float_one, one.predictions)
        for name, one in found.items()
        if name != FLOAT
    }
    return network_pairs.compared(pairs, labels.numpy())


def about_observers(
    found: dict[str, results.Record], labels: Tensor
) -> dict[str, float | str]:
    """Whether observers differ at eight and at four bits, for a text.

    ``found`` are ``records``, ``labels`` int64 (N,) the test's first.
    ``p_`` are Cochran's, ``apart_`` the points between best and ``worst_``.
    ``shape`` says whether the first half of MQBench's table, no difference
    at eight bits, is contradicted; a test cannot confirm it.
    """
    told = {}
    for bits, word in WORDS.items():
        choices = OBSERVED[bits]
        of = [found[one.name] for one in choices.values()]
        right = np.stack([one.predictions == labels.numpy() for one in of])
        told[f"p_{word}"] = paired_tests.cochran(right)
        told[f"apart_{word}"] = 100 * float(np.ptp(right.mean(1)))
        worst = list(choices)[right.mean(1).argmin()]
        told[f"worst_{word}"] = OBSERVER_WORDS[worst]
    differ = {
        word: told[f"p_{word}"] < SIGNIFICANCE for word in WORDS.values()
    }
    told["shape"] = "contradicted" if differ["eight"] else "not contradicted"
    told["at_four"] = "shown" if differ["four"] else "not shown"
    return told


def about_sources(found: dict[tuple[int, str], Paired]) -> dict[str, str]:
    """A sentence for each number of bits: what other images change.

    ``found`` are against training images, by bits of the activations and a
    name of ``SOURCES``. Keys are ``sources_eight`` and ``sources_four``.
    """
    told = {}
    for bits, word in WORDS.items():
        each = [
            f"{SOURCES.row(name).label} {100 * one.change:+.1f} points, "
            f"{one.verdict}"
            for (many, name), one in found.items()
            if many == bits
        ]
        said = f"At {word} bits, against training images: {'; '.join(each)}."
        told[f"sources_{word}"] = said
    return told
