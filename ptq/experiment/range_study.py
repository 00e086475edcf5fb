"""Which range a grid covers: choices on one network, as measured records."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path

from torch import Tensor

from ptq import graph as graphs
from ptq.experiment import low_bits, network_study, results
from ptq.experiment.image_sources import SOURCES, shown
from ptq.experiment.network_study import FLOAT, Subject
from ptq.measure import timer
from ptq.methods.analytic_bias import correct_biases
from ptq.methods.bias_matching import match_means
from ptq.methods.equalization import equalize
from ptq.methods.least_error_grids import least_error_grids
from ptq.methods.normal_moments import Moments, divided, normal_moments
from ptq.networks import recipes
from ptq.quantizer.network import QuantizedNetwork

VALIDATION_IMAGES = 100
MINMAX, REAL = "minmax", "real"
WIDER = 4


@dataclass(frozen=True)
class Choice:
    """Bits and ranges of a network, and what is done about its errors.

    Bits are those of inner layers, and of what these read. ``least`` puts
    weights on grids of least error instead of min-max ones; ``equalized``
    changes the float network first; ``biases`` is "",
    "means" (on the calibration images) or "analytic". A ``source``, one of
    ``image_sources.SOURCES``, gives a few calibration images instead.
    ``wide_logits`` makes the range of the logits ``WIDER`` times as wide.
    """

    weights: int = 8
    activations: int = 8
    observer: str = MINMAX
    per_channel: bool = True
    least: bool = False
    equalized: bool = False
    biases: str = ""
    source: str = ""
    wide_logits: bool = False

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
            self.source,
            "wide_logits" * self.wide_logits,
        )
        return "-".join(filter(None, parts))

    @property
    def base(self) -> str:
        """The record that this one is compared with, by its name.

        Of an observer, min-max; of a source, training images; else the
        float network.
        """
        if self.source not in ("", REAL):
            return replace(self, source=REAL, wide_logits=False).name
        if self.source or self.observer == MINMAX:
            return FLOAT
        return replace(self, observer=MINMAX).name


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

# A source; or distilled images, and more room for what BN, which they are
# distilled from, tells nothing of.
WIDE = "wide logits"
IMAGES = {key: {"source": key} for key in SOURCES} | {
    WIDE: {"source": "distilled", "wide_logits": True}
}
IMAGE_WORDS = {key: row.label for key, row in SOURCES.items()} | {
    WIDE: f"distilled, logits' range times {WIDER}"
}
# Bits of activations, and the observer that is usual there.
CALIBRATED = {
    bits: {
        key: Choice(8, bits, observer, **given)
        for key, given in IMAGES.items()
    }
    for bits, observer in ((8, MINMAX), (4, "mse"))
}
CHOICES = {
    choice.name: choice
    for studied in (OBSERVED, REPAIRED, CALIBRATED)
    for of in studied.values()
    for choice in of.values()
}


def made(of: Subject, choice: Choice) -> QuantizedNetwork:
    """The network by a choice, its additions and pools in integers.

    Where the choice has a source, ``of`` has its images already: ``shown``.
    """
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
    if choice.wide_logits:
        network = _with_room(network)
    if choice.least:
        network = least_error_grids(network)
    if choice.biases == "means":
        network = match_means(network, of.calibration)
    if choice.biases == "analytic":
        network = correct_biases(network, moments)
    return network


def _with_room(network: QuantizedNetwork) -> QuantizedNetwork:
    """The network with ``WIDER`` steps of its logits' grid."""
    name = network.owners[network.graph.output]
    grid = network.grids[name]
    wide = replace(grid, scale=WIDER * grid.scale)
    return replace(network, grids=network.grids | {name: wide})


def moments_of(of: Subject) -> Moments:
    """What the network's BN remembers, (C,) by the folded graph's nodes."""
    shown = recipes.get(of.name).normalize(of.calibration[:2])
    return normal_moments(graphs.trace(of.network, shown))


def records(
    of: Subject,
    names: Iterable[str],
    images: Tensor,
    labels: Tensor,
    folder: Path,
) -> list[results.Record]:
    """Records of ``FLOAT`` or ``CHOICES`` by name: kept, or measured.

    ``images`` and ``labels`` are the test's, uint8 (N, 3, 32, 32) and int64
    (N,). Nothing is chosen here, so few validation images are run. Images
    of a source are made once, in the ``cpu_seconds`` of its first record.
    """
    few = slice(VALIDATION_IMAGES)
    asked = replace(of, validation=of.validation[few], labels=of.labels[few])
    seeing = cache(partial(shown, asked))
    given = images, labels, folder

    def measured(name: str) -> results.Record:
        if name == FLOAT:
            return network_study.record(asked, FLOAT, *given)
        choice = CHOICES[name]
        return low_bits.record(
            asked,
            name,
            lambda: made(
                seeing(choice.source) if choice.source else asked, choice
            ),
            *given,
            code=Path(__file__).read_text(),
        )

    with timer.pinned_threads(1):
        return [measured(name) for name in names]


def with_flips(
    made: list[results.Record], labels: Tensor, folder: Path
) -> list[results.Record]:
    """All ``records`` of ``CHOICES`` that tell flips against their base.

    ``made`` are ``records`` with every base; ``labels`` are int64 (N,).
    """
    found = {one.strategy: one for one in made}
    return [
        low_bits.with_flips(found[name], found[choice.base], labels, folder)
        for name, choice in CHOICES.items()
        if name in found
    ]
