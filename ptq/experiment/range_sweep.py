"""The reference "ranges": which range a grid covers, as measured records."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import scipy
from torch import Tensor

from ptq import graph as graphs
from ptq import paths
from ptq.evidence import replicates
from ptq.evidence.intervals import LEVEL, Interval
from ptq.evidence.thresholds import SIGNIFICANCE
from ptq.experiment import committed_sweeps, low_bits, network_study, results
from ptq.experiment.network_study import FLOAT, Subject
from ptq.methods.analytic_bias import correct_biases
from ptq.methods.bias_matching import match_means
from ptq.methods.equalization import absorb, equalize
from ptq.methods.least_error_grids import least_error_grids
from ptq.methods.normal_moments import Moments, divided, normal_moments
from ptq.networks import recipes
from ptq.quantizer import making
from ptq.quantizer.network import QuantizedNetwork
from ptq.quantizer.observers import OBSERVERS

VALIDATION_IMAGES = 100
NETWORKS = ("resnet8", "depthwise", "compact_cnn_tuned")


@dataclass(frozen=True)
class Choice:
    """Bits and ranges of a network, and what is done about its errors.

    Bits are those of inner layers, and of what these read. ``least`` puts
    weights on grids of least error instead of min-max ones. ``equalized``
    and ``absorbed`` change the float network first; ``biases`` is "",
    "means" (on the calibration images) or "analytic".
    """

    weights: int = 8
    activations: int = 8
    observer: str = "minmax"
    per_channel: bool = True
    least: bool = False
    equalized: bool = False
    absorbed: bool = False
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
            "absorbed" * self.absorbed,
            self.biases,
        )
        return "-".join(filter(None, parts))


# What tables call an observer.
OBSERVER_WORDS = {
    "minmax": "min-max",
    "moving_average": "moving average",
    "percentile": "percentile",
    "mse": "squared error",
    "entropy": "entropy",
    "laplace": "analytic, Laplace",
    "gauss": "analytic, Gauss",
}
OBSERVED = [
    Choice(8, bits, observer) for bits in (8, 4) for observer in OBSERVERS
]
REPAIRS = {
    "min-max": {},
    "least error": {"least": True},
    "equalized": {"equalized": True},
    "equalized, biases absorbed": {"equalized": True, "absorbed": True},
    "means matched": {"biases": "means"},
    "analytic biases": {"biases": "analytic"},
    "equalized, means matched": {"equalized": True, "biases": "means"},
    "equalized, analytic biases": {"equalized": True, "biases": "analytic"},
    "least error, means matched": {"least": True, "biases": "means"},
}
REPAIRED = [Choice(4, per_channel=False, **r) for r in REPAIRS.values()]
PER_CHANNEL = [
    Choice(4, **repair) for repair in REPAIRS.values() if len(repair) < 2
]
EIGHT = [
    Choice(8, per_channel=False, **REPAIRS[name])
    for name in ("min-max", "equalized")
]
CHOICES = {
    choice.name: choice
    for choice in (*OBSERVED, *EIGHT, *REPAIRED, *PER_CHANNEL)
}


def made(of: Subject, choice: Choice) -> QuantizedNetwork:
    """The network by a choice, its additions and pools in integers."""
    graph, moments = of.folded(), {}
    if choice.absorbed or choice.biases == "analytic":
        moments = moments_of(of)
    if choice.absorbed:
        graph, _ = absorb(graph, moments)
    if choice.equalized:
        graph, by = equalize(graph)
        moments = divided(moments, by)
    whole = of.quantize("per_channel")
    network = making.quantize(
        graph,
        of.calibration,
        observer=choice.observer,
        per_channel=choice.per_channel,
        normalization=of.normalization,
        **making.inner_bits(whole, choice.weights, choice.activations),
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


def record(
    of: Subject, name: str, images: Tensor, labels: Tensor, folder: Path
) -> results.Record:
    """The record of one of ``CHOICES`` or of ``FLOAT``, kept or measured.

    ``images`` and ``labels`` are the test's, uint8 (N, 3, 32, 32) and int64
    (N,). Nothing is chosen here, so few validation images are run.
    """
    few = slice(VALIDATION_IMAGES)
    asked = replace(of, validation=of.validation[few], labels=of.labels[few])
    if name == FLOAT:
        return network_study.record(asked, name, images, labels, folder)
    choice = CHOICES[name]
    return low_bits.record(
        asked, name, lambda: made(of, choice), images, labels, folder
    )


def changes(frame: pd.DataFrame) -> dict[tuple[str, str], Interval]:
    """Mean change of accuracy, a share, by network and choice.

    ``frame`` is the reference; the mean is over its trainings. The interval
    is of the test images, for these trainings: the variance of a change is
    at most the share of predictions that differ, over the images.
    """
    found, sigmas = {}, scipy.stats.norm.ppf((1 + LEVEL) / 2)
    for network in NETWORKS:
        rows = frame[frame.network == network].set_index("train_seed")
        base = rows[rows.strategy == FLOAT].accuracy
        for name in CHOICES:
            of = rows[rows.strategy == name]
            mean = float((of.accuracy - base).mean())
            reach = sigmas * np.sqrt((of.disagreement / of.n).sum()) / len(of)
            found[network, name] = Interval(mean, mean - reach, mean + reach)
    return found


def observers_differ(frame: pd.DataFrame, bits: int) -> float:
    """Friedman's p-value that all observers are alike at so many bits.

    ``frame`` is the reference; each trained network ranks the observers.
    """
    names = [c.name for c in OBSERVED if c.activations == bits]
    rows = frame[frame.strategy.isin(names)]
    index = ["network", "train_seed"]
    return replicates.friedman(
        rows.pivot(index=index, columns="strategy", values="accuracy")
    )


def spread(found: dict[tuple[str, str], Interval], bits: int) -> float:
    """The best observer's mean over networks above the worst one's, a share.

    ``found`` are the ``changes``.
    """
    means = [
        np.mean([found[network, choice.name].value for network in NETWORKS])
        for choice in OBSERVED
        if choice.activations == bits
    ]
    return float(max(means) - min(means))


def about_observers(
    frame: pd.DataFrame, found: dict[tuple[str, str], Interval]
) -> dict[str, float | str]:
    """Whether observers differ at eight and at four bits, for a text.

    ``frame`` is the reference, ``found`` its ``changes``. ``p_`` are
    Friedman's, ``apart_`` the ``spread`` in points, ``reach`` the largest
    half of an interval, in points. ``shape`` says whether the first half of
    MQBench's table, no difference at eight bits, is confirmed.
    """
    p = {bits: observers_differ(frame, bits) for bits in (8, 4)}
    reach = max(change.high - change.low for change in found.values()) / 2
    return {
        "p_eight": p[8],
        "p_four": p[4],
        "apart_eight": 100 * spread(found, 8),
        "apart_four": 100 * spread(found, 4),
        "shape": "contradicted" if p[8] < SIGNIFICANCE else "confirmed",
        "at_four": "shown" if p[4] < SIGNIFICANCE else "not shown",
        "reach": 100 * reach,
        "trained": len(frame.groupby(["network", "train_seed"])),
    }


def measured_again(lab, frame: pd.DataFrame, manifest: dict) -> pd.DataFrame:
    """Measure a part of the reference again: ``committed_sweeps.agreement``.

    The shipped networks of training 42 are asked, a tenth of the choices or
    fewer, as the run's test images are.
    """
    pairs = [(name, choice) for choice in CHOICES for name in NETWORKS]
    asked = committed_sweeps.repeated(
        pairs, lab.settings["test_images"] // 10
    )
    models = lab.run_folder / paths.MODELS
    subjects = {
        name: network_study.subject(lab.cifar, name, models)
        for name, _ in asked
    }
    n = manifest["constant"]["test_images"]
    images, labels = lab.cifar.test_images[:n], lab.cifar.test_labels[:n]
    folder = lab.run_folder / paths.RECORDS / "ranges"
    records = [
        record(subjects[name], choice, images, labels, folder / name)
        for name, choice in asked
    ]
    known = frame[frame.train_seed == 42].set_index(["network", "strategy"])
    return committed_sweeps.agreement(known.loc[asked], records, manifest)
