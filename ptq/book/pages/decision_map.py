"""The front page's decision map: which method at which bits, of references.

The method is decided on validation images: the simplest that is neither
shown worse than the best one there nor more than the margin below it. Its
change and gain are those on test images, means over trainings.
"""

from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd

from ptq import paths
from ptq.book.show import captioned
from ptq.evidence import intervals, paired_tests, replicates
from ptq.evidence.intervals import Interval
from ptq.evidence.thresholds import MARGIN, SIGNIFICANCE
from ptq.experiment import committed_sweeps
from ptq.experiment.network_study import CHOICES, FLOAT
from ptq.methods.rounding_methods import ROUNDINGS
from ptq.networks import recipes

EIGHT, FEWER = "networks", "rounding"
# At eight bits, from the simpler grids to the finer ones.
GRANULARITIES = "per_tensor", "per_channel"
ONE = "one training"
LOSS = "a loss, not shown over all rows"
CELL = ["network", "weight_bits", "activation_bits"]
COLUMNS = (
    *(*CELL, "train_seed", "rank", "method", "change", "seen"),
    *("file_bytes", "cpu_seconds", "disagreement", "n"),
)


def tried(eight: pd.DataFrame, fewer: pd.DataFrame | None) -> pd.DataFrame:
    """All that the references tried, in one form, a row a quantized network.

    ``eight`` and ``fewer`` are the references "networks" and "rounding", the
    second None where there is none. ``rank`` and ``method`` begin with
    the simplest; ``change`` is that of the accuracy against floats on test
    images, ``seen`` the accuracy on validation images, both shares.
    """
    told = eight.assign(weight_bits=8, activation_bits=8, cpu_seconds=np.nan)
    grids = {name: CHOICES[name].label for name in GRANULARITIES}
    frames = [_plain(told, told.strategy, grids)]
    if fewer is not None:
        labels = {name: row.label for name, row in ROUNDINGS.items()}
        frames.append(_plain(fewer, fewer.rounding, labels))
    return pd.concat(frames, ignore_index=True)


def _plain(
    frame: pd.DataFrame, names: pd.Series, labels: dict[str, str]
) -> pd.DataFrame:
    """Rows whose method is one of ``labels``, the simplest first."""
    keys = ["network", "train_seed"]
    bare = frame[frame.strategy == FLOAT].set_index(keys).accuracy
    ranks = {name: rank for rank, name in enumerate(labels)}
    made = frame.assign(rank=names.map(ranks), method=names.map(labels))
    made = made.dropna(subset="rank").join(bare.rename("bare"), on=keys)
    made["change"] = made.accuracy - made.bare
    made["seen"] = made.validation_correct / made.validation_images
    return made[list(COLUMNS)].astype({name: int for name in CELL[1:]})


def simplest(seen: pd.DataFrame) -> int:
    """The column to take: the first that is as good as the best one.

    ``seen`` has a row a training and a column a method, the simplest first:
    accuracies (shares) on validation images. As good is what is not shown
    worse, by Student's test over several trainings, and on average less
    than ``MARGIN`` below.
    """
    best = seen.mean().idxmax()
    for name in seen:
        below = (seen[best] - seen[name]).to_numpy()
        many = len(below) > 1
        shown = many and replicates.p_value(below) < SIGNIFICANCE
        if below.mean() < MARGIN and not (shown and below.mean() > 0):
            return name
    return best


def at_eight_bits(eight: pd.DataFrame) -> dict[str, str]:
    """The choice of ``GRANULARITIES`` that the map takes, by network.

    ``eight`` is the reference "networks". KeyError where it lacks one of
    them. A network of which no training has both is left out.
    """
    share = eight.validation_correct / eight.validation_images
    seen = eight.assign(seen=share).pivot(
        index=["network", "train_seed"], columns="strategy", values="seen"
    )
    seen = dict([*seen[[*GRANULARITIES]].dropna().groupby("network")])
    return {n: simplest(seen[n]) for n in recipes.NETWORKS if n in seen}


def rows(found: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """The map, numbers only, a row a network and bits; and what it lacks.

    ``found`` is that of ``tried``. ``change`` and ``gain`` over the simplest
    method are intervals of shares (gain None where it is the simplest),
    ``tried`` is how many methods there were, ``best`` the one with the most
    right validation images, ``more`` what it gains over the method (None
    where it is that), ``verdict`` is on the change, with Holm's correction
    over all rows. Of one training there is no verdict, and the interval is
    that of the images. Where no training has all methods, there is no row,
    and it is named.
    """
    kept, lacking = [], []
    for cell, of in found.groupby(CELL, sort=False):
        seen, changes = (
            of.pivot(index="train_seed", columns="rank", values=values)
            for values in ("seen", "change")
        )
        seen = seen.dropna()
        if seen.empty:
            lacking.append(
                f"{recipes.get(cell[0]).label} at {_bits(cell[1:])}"
            )
            continue
        rank, best = simplest(seen), seen.mean().idxmax()
        changes = changes.loc[seen.index]
        kept.append(
            dict(zip(CELL, cell, strict=True))
            | {"tried": len(seen.columns), "trainings": len(seen)}
            | {"best": of.method[of["rank"] == best].iloc[0]}
            | {"more": _over(changes, best, rank)}
            | _of(of[of["rank"] == rank], changes, rank)
        )
    return _judged(pd.DataFrame(kept)), lacking


def _of(chosen: pd.DataFrame, changes: pd.DataFrame, rank) -> dict:
    """What is found of the chosen method; ``changes`` are of all."""
    change = changes[rank].to_numpy()
    many = len(change) > 1
    return {
        "method": chosen.method.iloc[0],
        "change": intervals.mean(change)
        if many
        else _of_images(chosen.iloc[0]),
        "p": replicates.p_value(change) if many else np.nan,
        "gain": _over(changes, rank, changes.columns[0]),
        "file_bytes": chosen.file_bytes.median(),
        "cpu_seconds": chosen.cpu_seconds.median(),
    }


def _over(changes: pd.DataFrame, rank: int, other: int) -> Interval | None:
    """What a method gains over another one; None where it is the same.

    Of one training without bounds.
    """
    if rank == other:
        return None
    found = (changes[rank] - changes[other]).to_numpy()
    if len(found) == 1:
        return Interval(found[0], np.nan, np.nan)
    return intervals.mean(found)


def _of_images(row: pd.Series) -> Interval:
    """The change of one training, with the widest interval over images."""
    shares = row.change, row.disagreement
    net, changed = (round(share * row.n) for share in shares)
    return paired_tests.widest(net, changed, int(row.n))


def _judged(frame: pd.DataFrame) -> pd.DataFrame:
    known = frame.p.notna()
    adjusted = frame.p.copy()
    adjusted[known] = paired_tests.holm(frame.p[known].tolist())
    words = list(map(_word, frame.change, adjusted))
    order = {name: place for place, name in enumerate(recipes.NETWORKS)}
    frame = frame.assign(verdict=words, place=frame.network.map(order))
    by = ["place", "weight_bits", "activation_bits"]
    return frame.sort_values(by, ascending=[True, False, False])


def _word(change: Interval, p: float) -> str:
    """The verdict on a change (shares), ``p`` by Holm, NaN of one training.

    Below zero as a whole, and not shown: more than no difference.
    """
    if np.isnan(p):
        return ONE
    if p >= SIGNIFICANCE and change.low <= -MARGIN and change.high < 0:
        return LOSS
    return paired_tests.verdict(change, p)


def sentence(frame: pd.DataFrame) -> str:
    """Which method is taken how often, bits by bits, of several tried."""
    told = []
    cells = frame[frame.tried > 1].groupby(CELL[1:], sort=False)
    for bits in sorted(cells.groups, reverse=True):
        of = cells.get_group(bits)
        each = Counter(of.method).most_common()
        words = ", ".join(f"{name} ({count})" for name, count in each)
        told.append(f"{_bits(bits)}: {words}")
    return (
        "**Which method at which bits?** On validation images we take the "
        "simplest method that is not shown worse than the best one and less "
        f"than {100 * MARGIN:.1f} points below it. In brackets: for how many "
        f"networks. {'; '.join(told)}. Where only one method was tried, "
        "there is nothing to choose."
    )


def write(target: Path, folder: Path = paths.REFERENCE) -> None:
    """Write the map to ``target``, of the references in ``folder``."""
    there = (folder / f"{FEWER}.csv").exists()
    eight, _ = committed_sweeps.load(EIGHT, folder)
    fewer = committed_sweeps.load(FEWER, folder)[0] if there else None
    frame, lacking = rows(tried(eight, fewer))
    table = captioned(
        _readable(frame), "decision-map", _caption(frame, lacking)
    )
    text = f"{sentence(frame)}\n\n{table}"
    paths.write_whole(target / "decision_map.md", text)


def _bits(bits: tuple[int, int]) -> str:
    return f"W{bits[0]}A{bits[1]}"


def _readable(frame: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "network": recipes.get(row.network).label,
            "bits": _bits((row.weight_bits, row.activation_bits)),
            "take": row.method,
            "change (points)": f"{100 * row.change:+.2f}",
            "accuracy is": row.verdict,
            "gain over the simplest": f"{100 * row.gain:+.2f}"
            if row.gain
            else "–",
            "best on validation, its gain": _best(row),
            "file (kB)": f"{row.file_bytes / 1000:.1f}",
            "CPU (s)": "–"
            if np.isnan(row.cpu_seconds)
            else f"{row.cpu_seconds:.1f}",
        }
        for row in frame.itertuples()
    )


def _best(row) -> str:
    """The most accurate method on validation images, and its gain."""
    if row.tried == 1:
        return "only one tried"
    return f"{row.best} {100 * row.more:+.2f}" if row.more else "–"


def _caption(frame: pd.DataFrame, lacking: list[str]) -> str:
    several = frame.trainings[frame.trainings > 1]
    few = sorted({str(n) for n in (several.min(), several.max())})
    text = (
        "The method to take, by network and bits of weights (W) and "
        "activations (A): the simplest that is, on validation images, not "
        "shown worse than the best one tried, and less than "
        f"{100 * MARGIN:.1f} points below it. Change of accuracy against "
        "floats, and gain over the simplest method, in points, on test "
        "images: means over trainings with 95 % intervals; Holm's correction "
        f"over all rows. They are {len(several)} tests of "
        f"{' to '.join(few)} trainings each, so few losses can be shown. "
        "Gains are not corrected for their number. *Best on validation*: "
        "where another method is the most accurate on validation images, "
        "its name, and its gain on test images over the one to take. Where "
        "chapter 21 asks for a level of loss, it takes that one, simple or "
        "not. Of one training nothing "
        "is tested: the difference on its validation images decides alone, "
        "and the interval is that of its test images. Below eight bits the "
        "first and the last layer keep eight. The file is ONNX at eight "
        "bits, and packed below; CPU seconds are the method's, on one thread."
    )
    if lacking:
        text += (
            f" Left out, for no training has all methods: "
            f"{', '.join(lacking)}."
        )
    return text
