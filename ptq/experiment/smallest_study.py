"""The reference "smallest": how small a network's file can get, and at what.

Decisions look at validation images only: which price of a bit to take, and
which bits a layer gets. The levels were set before the sweep was run.
"""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from torch import Tensor

from ptq import paths
from ptq.evidence.intervals import Interval
from ptq.evidence.thresholds import MARGIN, SIGNIFICANCE
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
# Of -1, 0 and 1, which packed codes of 2 bits have room for a fourth of.
TERNARY = "fc1_ternary"
# The file to reach, in bytes.
SMALLEST = 70_000


def price_name(price: float) -> str:
    """What the row of a price, in nats for a bit, is called."""
    return f"price_{price:g}"


def price_of(name: str) -> float:
    """The price, in nats for a bit, of a row that is called so."""
    return float(name.removeprefix("price_"))


def made(of: Subject, name: str) -> QuantizedNetwork:
    """The network of a row: of ``PLAIN``, or of a ``price_name``.

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
    """The reference's networks without ``FLOAT``, the largest file first.

    ``frame`` is as ``committed_sweeps.load`` gives it, and the rows are
    ``judged``, against FP32.
    """
    found = frame[frame.strategy != FLOAT].sort_values(
        ["network", "train_seed", "file_bytes"], ascending=[True, True, False]
    )
    return committed_sweeps.judged(found)


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
    """The levels of one trained network, from its ``rows``.

    A level whose rows the reference lacks is left out.
    """
    named = {row.strategy: row for _, row in found.iterrows()}
    told = []
    if (row := named.get(EVEN)) is not None:
        words = "conv2 and fc1 at 3 bits: non-inferior at 1.0 point"
        told.append(Level(words, row, level_word(row.change, 2 * MARGIN)))
    if (row := named.get("fc1_4")) is not None:
        words = "fc1 at 4 bits, the rest at 8: no difference shown"
        told.append(Level(words, row, _unshown(row)))
    if (row := named.get("fc1_2")) is not None:
        words = "fc1 at 2 bits in 160 kB: non-inferior at 0.5 points"
        fits = row.file_bytes <= 160_000
        word = level_word(row.change, MARGIN) if fits else MISSED
        told.append(Level(words, row, word))
    if len(few := small(found)):
        row = few.loc[few.validation_correct.idxmax()]
        words = "a file of 70 kB: non-inferior at 1.0 point"
        told.append(Level(words, row, level_word(row.change, 2 * MARGIN)))
    return told


def _unshown(row: pd.Series) -> str:
    """The word where no loss may be shown.

    Few images show nothing, so it takes more than that to reach the level:
    the interval must exclude a loss of the margin.
    """
    if row.p < SIGNIFICANCE and row.change.value < 0:
        return MISSED
    return REACHED if row.change.low > -MARGIN else OPEN


def small(found: pd.DataFrame) -> pd.DataFrame:
    """Those ``rows`` with a price whose files are small enough."""
    priced = found.strategy.str.startswith("price")
    return found[priced & (found.file_bytes <= SMALLEST)]


def about_price(frame: pd.DataFrame) -> dict[str, float | Interval]:
    """The published network's two prices about ``SMALLEST``, for a text.

    ``frame`` is the reference. ``near_`` is of the smallest file that is too
    large, ``under_`` of the largest one that is not: each has its ``price``
    (nats), ``kb``, ``change`` (points), Holm's ``p``, ``validation``
    (points) and ``smaller``, how often it fits into FP32's file.
    """
    mine = frame[frame.network == "compact_cnn"]
    exact = mine[mine.strategy == FLOAT].iloc[0]
    found = rows(frame)
    found = found[found.network == "compact_cnn"]
    found = found[found.strategy.str.startswith("price")]
    large = found[found.file_bytes > SMALLEST]
    told = {}
    for key, row in (
        ("near", large.iloc[-1]),
        ("under", small(found).iloc[0]),
    ):
        more = row.validation_correct - exact.validation_correct
        told |= {
            f"{key}_price": price_of(row.strategy),
            f"{key}_kb": row.file_bytes / 1000,
            f"{key}_change": 100 * row.change,
            f"{key}_p": row.p,
            f"{key}_validation": 100 * more / row.validation_images,
            f"{key}_smaller": exact.file_bytes / row.file_bytes,
        }
    return told


def about_even(found: pd.DataFrame) -> dict[str, Interval | str]:
    """What three bits in all inner layers cost without a price, for a text.

    ``found`` is ``rows`` of the reference. ``even`` is of the published
    network, ``even_tuned`` of its well-trained twin; ``even_few`` is the
    latter by chapter 21's descent, over trainings. All are in points.
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


def about_twin(found: pd.DataFrame) -> dict[str, Interval | float | str]:
    """What the files of the well-trained twin at a price cost, for a text.

    ``found`` is ``rows`` of the reference. The last of its ``tuned_asked``
    files has ``tuned`` kB and costs ``tuned_change`` points, the one before
    ``tuned_near`` kB; ``tuned_each`` lists all, and ``tuned_level`` is the
    last level's word.
    """
    twin = found[found.network == "compact_cnn_tuned"]
    priced = twin[twin.strategy.str.startswith("price")]
    last = priced.iloc[-1]
    return {
        "tuned_asked": len(priced),
        "tuned": last.file_bytes / 1000,
        "tuned_change": 100 * last.change,
        "tuned_near": priced.iloc[-2].file_bytes / 1000,
        "tuned_level": levels(twin)[-1].word,
        "tuned_each": "; ".join(
            f"{row.file_bytes / 1000:.0f} kB {100 * row.change:+.2f}"
            for row in priced.itertuples()
        ),
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
