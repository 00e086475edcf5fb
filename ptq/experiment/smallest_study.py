"""The reference "smallest": how small a network's file can get, and at what.

Decisions look at validation images only: which price of a bit to take, and
which bits a layer gets. The levels were set before the sweep was run.
"""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from torch import Tensor

from ptq import paths
from ptq.evidence import intervals
from ptq.evidence.intervals import Interval
from ptq.evidence.thresholds import MARGIN
from ptq.experiment import (
    committed_sweeps,
    low_bits,
    network_study,
    results,
    rounding_sweep,
)
from ptq.experiment.network_study import FLOAT, Subject
from ptq.experiment.rounding_sweep import MISSED, OPEN, REACHED, level_word
from ptq.methods.least_error_grids import least_error_grids
from ptq.methods.rate_distortion import fisher_information, rate_distortion
from ptq.quantizer import quantizing
from ptq.quantizer.network import QuantizedNetwork

NAME = "smallest"
# The first of the calibration images: so many give the activations' grids,
# and so many tell which outputs matter. Rounding sees all.
GRIDS, TELLING = 500, 1000
# Bits of the grids that a price starts from, by network; other layers keep 8.
START = dict.fromkeys(
    ("compact_cnn", "compact_cnn_tuned"), {"conv2": 4, "fc1": 3}
)
# Three bits in all layers but the first and the last.
EVEN = "inner_3"
# Bits of layers without a price: the rest has 8.
PLAIN = {
    EVEN: {"conv2": 3, "fc1": 3},
    "fc1_4": {"fc1": 4},
    "fc1_2": {"fc1": 2},
    "fc1_ternary": {"fc1": 2},
    "fc1_binary": {"fc1": 1},
}
# And at prices of a bit, which the files' sizes chose.
PRICED = {
    "compact_cnn": ("price_3.6e-07", "price_5.5e-07"),
    "compact_cnn_tuned": ("price_3e-07", "price_4e-07"),
}
# Of -1, 0 and 1, which packed codes of 2 bits have room for a fourth of.
TERNARY = "fc1_ternary"
# The file to reach, in bytes.
SMALLEST = 70_000


def names(network: str) -> list[str]:
    """``FLOAT``, and what is made of a network, as records are called."""
    return [FLOAT, *PLAIN, *PRICED[network]]


def price_of(name: str) -> float:
    """The price, in nats for a bit, of a row that is called so."""
    return float(name.removeprefix("price_"))


def made(of: Subject, name: str) -> QuantizedNetwork:
    """The network of a row: of ``PLAIN``, or of a price: "price_1e-07".

    Rounded toward the float network on the calibration images.
    """
    if name in PLAIN:
        start = started(of, PLAIN[name], name != TERNARY)
        return rate_distortion(start, of.calibration, {}, {})
    bits = START[of.name]
    start = started(of, bits)
    few = start.normalized(of.calibration[:TELLING])
    matters = fisher_information(start.graph, few)
    prices = dict.fromkeys(bits, price_of(name))
    return rate_distortion(start, of.calibration, prices, matters)


def started(
    of: Subject, bits: dict[str, int], full_range: bool = True
) -> QuantizedNetwork:
    """The network with these bits of weights by layer, else 8.

    Weights lie on the grids that move them least, of all codes that the
    bits have room for, or of as many on each side of zero.
    """
    network = quantizing.quantize(
        of.network,
        of.calibration[:GRIDS],
        observer="mse",
        normalization=of.normalization,
        weight_bits=bits,
    )
    return least_error_grids(network, full_range)


def record(
    of: Subject, name: str, images: Tensor, labels: Tensor, folder: Path
) -> results.Record:
    """The record of a row or of ``FLOAT``, from ``folder`` or measured.

    Its parameters have ``lost`` and ``gained``: test images on which only
    the float network is right, and only this one.
    ``images`` and ``labels`` are the test's, uint8 (N, 3, 32, 32) and int64
    (N,).
    """
    exact = network_study.record(of, FLOAT, images, labels, folder)
    if name == FLOAT:
        return exact
    found = low_bits.record(
        of,
        name,
        lambda: made(of, name),
        images,
        labels,
        folder,
        coded=name not in PLAIN or name == TERNARY,
        code=Path(__file__).read_text(),
    )
    return low_bits.with_flips(found, exact, labels, folder)


def rows(frame: pd.DataFrame) -> pd.DataFrame:
    """A row for each network and way to make its file, the largest first.

    ``frame`` is as ``committed_sweeps.load`` gives it. ``change`` against
    FP32 is a share, the mean over ``trainings`` with its interval, or of one
    training the paired one; ``accuracy`` and ``validation`` (the change on
    validation images, a share) are means, too. ``file_bytes`` and
    ``cpu_seconds`` are the largest.
    """
    keys = ["network", "train_seed"]
    exact = frame[frame.strategy == FLOAT].drop_duplicates(keys)
    before = exact.set_index(keys).validation_correct
    found = committed_sweeps.judged(frame[frame.strategy != FLOAT])
    more = (
        found.validation_correct
        - before.loc[pd.MultiIndex.from_frame(found[keys])].to_numpy()
    )
    found["validation"] = more / found.validation_images
    told = pd.DataFrame(
        {
            "network": network,
            "strategy": name,
            "trainings": len(each),
            "change": _mean_change(each.change),
            **each[["accuracy", "validation"]].mean(),
            **each[["file_bytes", "cpu_seconds"]].max(),
        }
        for (network, name), each in found.groupby(["network", "strategy"])
    )
    return told.sort_values(
        ["network", "file_bytes"], ascending=[True, False]
    ).reset_index(drop=True)


def _mean_change(changes: pd.Series) -> Interval:
    if len(changes) == 1:
        return changes.iloc[0]
    return intervals.mean([change.value for change in changes])


@dataclass(frozen=True)
class Level:
    """What was to be reached, in words, and the word on it.

    ``row`` of ``rows`` is the network in question: for the smallest file,
    the one that is best on validation images. ``word`` is one of
    ``rounding_sweep.level_word``.
    """

    words: str
    row: pd.Series
    word: str


def levels(found: pd.DataFrame) -> list[Level]:
    """The levels of one network, from its ``rows``.

    A level whose rows the reference lacks is left out.
    """
    named = {row.strategy: row for _, row in found.iterrows()}
    told = []
    if (row := named.get(EVEN)) is not None:
        words = "conv2 and fc1 at 3 bits: non-inferior at 1.0 point"
        told.append(Level(words, row, level_word(row.change, 2 * MARGIN)))
    if (row := named.get("fc1_4")) is not None:
        words = "fc1 at 4 bits, the rest at 8: no difference shown"
        told.append(Level(words, row, _unshown(row.change)))
    if (row := named.get("fc1_2")) is not None:
        words = "fc1 at 2 bits in 160 kB: non-inferior at 0.5 points"
        fits = row.file_bytes <= 160_000
        word = level_word(row.change, MARGIN) if fits else MISSED
        told.append(Level(words, row, word))
    if len(few := small(found)):
        row = few.loc[few.validation.idxmax()]
        words = "a file of 70 kB: non-inferior at 1.0 point"
        told.append(Level(words, row, level_word(row.change, 2 * MARGIN)))
    return told


def _unshown(change: Interval) -> str:
    """The word where no loss may be shown.

    Little evidence shows nothing, so it takes more than that to reach the
    level: the interval must exclude a loss of the margin.
    """
    if change.high < 0:
        return MISSED
    return REACHED if change.low > -MARGIN else OPEN


def small(found: pd.DataFrame) -> pd.DataFrame:
    """Those ``rows`` with a price whose files are small enough."""
    priced = found.strategy.str.startswith("price")
    return found[priced & (found.file_bytes <= SMALLEST)]


def about_prices(frame: pd.DataFrame) -> dict[str, float | str]:
    """The files at a price, for a text.

    ``frame`` is the reference. For the published network the keys begin with
    ``published``, for its well-trained twin with ``tuned``: the number of
    prices (``_asked``); of the smallest file ``_kb``, ``_change`` (points, an
    Interval), ``_validation`` (points), how many times smaller it is than
    FP32's (``_smaller``), and the word on the last level (``_level``); and
    all files in words (``_each``).
    """
    exact = frame[frame.strategy == FLOAT].groupby("network").file_bytes.max()
    found, told = rows(frame), {}
    for key, network in zip(("published", "tuned"), START, strict=True):
        of = found[found.network == network]
        priced = of[of.strategy.str.startswith("price")]
        last = priced.iloc[-1]
        told |= {
            f"{key}_asked": len(priced),
            f"{key}_kb": last.file_bytes / 1000,
            f"{key}_change": 100 * last.change,
            f"{key}_validation": 100 * last.validation,
            f"{key}_smaller": exact[network] / last.file_bytes,
            f"{key}_level": levels(of)[-1].word,
            f"{key}_each": "; ".join(
                f"{row.file_bytes / 1000:.0f} kB {100 * row.change:+.2f}"
                for row in priced.itertuples()
            ),
        }
    return told


def about_even(found: pd.DataFrame) -> dict[str, Interval | str]:
    """What three bits in all inner layers cost without a price, for a text.

    ``found`` is ``rows`` of the reference. ``even`` is of the published
    network, ``even_tuned`` of its well-trained twin; ``even_few`` is the
    latter by chapter 21's descent. All are in points.
    """
    even = found[found.strategy == EVEN].set_index("network").change
    rounded, _ = committed_sweeps.load("rounding")
    twin = "compact_cnn_tuned"
    few = rounding_sweep.change(rounded, twin, "w3a8_descent")
    return {
        "even": 100 * even["compact_cnn"],
        "even_tuned": 100 * even[twin],
        "even_few": 100 * few,
        "even_few_images": rounding_sweep.CALIBRATION,
    }


def measured_again(lab, frame: pd.DataFrame, manifest: dict) -> pd.DataFrame:
    """Measure a part of the reference again: the published network.

    Its FP32, and in a run with all test images also the smallest file that
    the reference has of it. Returns ``committed_sweeps.agreement``.
    """
    there = lab.shipped()
    mine = frame[(frame.network == "compact_cnn") & (frame.train_seed == 42)]
    known = mine.sort_values("file_bytes").drop_duplicates("strategy")
    known = known.set_index("strategy")
    smallest = known.index[0]
    asked = committed_sweeps.repeated(
        [FLOAT, smallest], lab.settings["test_images"], fewest=1
    )
    of = network_study.subject(
        there.cifar,
        "compact_cnn",
        there.run_folder / paths.MODELS,
        calibration_images=int(known.calibration_images.iloc[0]),
    )
    folder = there.run_folder / NAME
    images, labels = there.test_images, there.test_labels
    records = [record(of, name, images, labels, folder) for name in asked]
    return committed_sweeps.agreement(known.loc[asked], records, manifest)
