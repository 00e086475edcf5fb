"""The answer to the book's question, as the front page and README give it."""

import numpy as np
import pandas as pd

from ptq.book.claims.paper import published_orderings
from ptq.book.pages import kept_runs
from ptq.book.tables import cells
from ptq.evidence import intervals, replicates, thresholds, time_ratios
from ptq.evidence.number_text import threads
from ptq.experiment.strategies import STRATEGIES

# Below this ratio, predicting one image at a time gains little.
LITTLE = 2.0
# Beyond this ratio of quartiles, a median is told with them.
WIDE = 1.25
# The fastest float row: only what integers add to it is theirs.
LAYOUT = "fp32_channels_last"
HOT_AND_COLD = (
    "*Hot* is a loop over one network, *cold* lets others run in between; "
    "*not judged*: the machine was busy then.\n"
)
# What was timed: the prefix of its columns, and what it is.
TIMED = (
    ("", "{batch} images at a time"),
    ("single_", "one image at a time, hot"),
    ("cold_", "one image at a time, cold"),
)


def answer(
    frame: pd.DataFrame,
    table: pd.DataFrame,
    sweep: dict,
    origin: dict,
    runs: pd.DataFrame,
) -> str:
    """The answer to the book's question in three paragraphs and a note.

    ``frame`` is the comparison of a run, ``origin`` says where its times
    are from; ``table`` and ``sweep`` are the replication and its manifest;
    ``runs`` has what earlier runs measured, a row each.
    """
    changes = replicates.paired_differences(table)
    best = recommended(frame, table)
    row = frame.loc[best]
    size = frame.file_bytes.iloc[0] / row.file_bytes
    other = table[table.strategy == best].disagreement.mean()
    orders = replicates.orderings(changes, published_orderings()).values()
    shown = sum(order.verdict == "better" for order in orders)
    return (
        f"{_advised(best)} (row *{row.label}* of the table){_little(row)}. "
        "Measured for one small CNN in PyTorch's own kernels of integers: "
        f"times of one training, on {origin['machine']['processor']}; "
        f"accuracy of {len(changes)} trainings, on "
        f"{sweep['machine']['processor']}. Against the float network as "
        f"published its file is {size:.1f} times smaller, and it runs\n\n"
        f"{_speeds(frame, best)}{kept_runs.earlier(runs, origin)}\n"
        f"{HOT_AND_COLD}\n"
        f"{_stand_in(origin)}"
        f"**You lose** {_lost(changes[best].to_numpy())}; "
        f"{100 * other:.1f} of 100 predictions change.\n\n"
        "**Believe** the intervals, not a ranking of the quantized networks. "
        f"The paper ranks {len(orders)} pairs of them; {len(changes)} "
        f"trainings support {shown} of these rankings.\n\n"
        f"*Times are of {origin['finished'][:10]}; accuracy over trainings "
        "and the share of changed predictions are of a sweep of "
        f"{sweep['measured']}.*\n"
    )


def _little(row: pd.Series) -> str:
    """What the first sentence says of single images, if they gain little."""
    if row.single_speedup >= LITTLE:
        return ""
    return (
        ", and expect little of it where images come one at a time "
        f"({row.single_speedup:.1f} times as fast)"
    )


def _speeds(frame: pd.DataFrame, best: str) -> str:
    """A list: how many times as fast, by batch, mode and threads."""
    row = frame.loc[best]
    lines = []
    for prefix, what in TIMED:
        found = [_speed(row, p) for p in (prefix, f"cores_{prefix}")]
        lines.append(
            f"- {what.format(batch=int(row.batch))}: "
            + "; ".join(filter(None, found))
        )
    lines.append(
        "- without integers, PyTorch's floats in the better of two layouts "
        "that were tried (row "
        f"*{STRATEGIES[LAYOUT].label}*), {int(row.batch)} images at a time: "
        f"{_speed(frame.loc[LAYOUT], '')}"
    )
    return "\n".join(lines) + "\n"


def _speed(row: pd.Series, prefix: str) -> str:
    if f"{prefix}speedup" not in row:
        return ""
    told = cells.time(row, prefix)
    with_threads = threads(int(row[f"{prefix}threads"]))
    word = "" if told["time"] == time_ratios.FASTER else f", {told['time']}"
    return (
        f"{told['speed-up']} times as fast with {with_threads}, "
        f"{told['ms per image']} ms an image{_spread(row, prefix)}{word}"
    )


def _spread(row: pd.Series, prefix: str) -> str:
    """Quartiles of the milliseconds, where their median tells too little."""
    low, high = (row[f"{prefix}milliseconds_{q}"] for q in ("q1", "q3"))
    if high <= WIDE * low:
        return ""
    return f" (half of its times lie from {low:.3f} to {high:.3f})"


def _stand_in(origin: dict) -> str:
    """Whose times these are, where they are not of a quiet run of this."""
    when = f"{origin['machine']['processor']}, {origin['finished'][:10]}"
    if missing := origin.get("missing"):
        return (
            f"\n**This machine could not measure it** ({missing}): all of "
            f"this is the committed record, of {when}.\n\n"
        )
    if "busy" not in origin:
        return ""
    text = (
        "\n**The machine of this run was busy** "
        f"({origin['busy']}), so that its times are not judged."
    )
    if origin["stand_in"]:
        text += f" These are the last quiet ones, of {when}."
    return f"{text}\n\n"


def _advised(best: str) -> str:
    if advice := STRATEGIES[best].advice:
        return (
            "**Use** integers, 8 bits for weights and 7 for activations: "
            f"{advice}"
        )
    return "**Stay** with floats: no integer network is both safe and faster"


def _lost(changes: np.ndarray) -> str:
    """The loss over trainings, in words; ``changes`` are shares, one each."""
    mean = intervals.mean(changes)
    value, low, high, worst = (
        f"{100 * share:+.2f}".replace("-", "\u2212")
        for share in (mean.value, mean.low, mean.high, changes.min())
    )
    interval = f"95 % interval {low} to {high}, worst training {worst}"
    over = f"over {len(changes)} trainings ({interval})"
    if mean.high < 0:
        return f"{-100 * mean.value:.2f} points of accuracy on average {over}"
    shown = f"no accuracy that can be shown: {value} points on average {over}"
    if not (deviation := float(changes.std(ddof=1))):
        return shown
    least = replicates.smallest_shown(deviation, len(changes))
    return (
        f"{shown}. "
        f"Tested alone, a mean loss of {100 * least:.2f} points or more "
        "would have been shown in four cases of five"
    )


def recommended(frame: pd.DataFrame, table: pd.DataFrame) -> str:
    """Of the fast strategies that lose little, the one most like FP32.

    Fast: the interval of its speed-up at batch 64 reaches that of the
    fastest. Loses little: over the trainings of ``table``, a loss of the
    margin is excluded at 95 %. Like FP32: the fewest changed predictions.
    This needs no labels, so the choice does not use the accuracy that is then
    reported.
    """
    changes = replicates.paired_differences(table)
    means = {n: intervals.mean(changes[n].to_numpy()) for n in changes}
    safe = frame.loc[[n for n in means if means[n].low > -thresholds.MARGIN]]
    fastest = safe.loc[safe.milliseconds.idxmin()]
    slower = safe.speedup_high < fastest.speedup_low
    other = table.groupby("strategy").disagreement.mean()
    return min(safe.index[~slower], key=other.get)
