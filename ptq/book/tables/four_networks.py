"""Tables of several networks: verdicts, trainings, sizes, times."""

import numpy as np

from ptq.evidence import intervals, paired_tests, replicates
from ptq.evidence.thresholds import MARGIN
from ptq.experiment import network_study
from ptq.experiment.comparison import Paired
from ptq.experiment.network_study import CHOICES, FLOAT
from ptq.experiment.results import Record, Timing
from ptq.networks import recipes

ONE = "one training"


def choice_rows(
    records: dict[str, dict[str, Record]],
    pairs: dict[tuple[str, str], Paired],
) -> list[dict[str, str]]:
    """Choices against the float network on the same images, a row each.

    ``records`` are by network and choice, ``pairs`` those that were
    compared, with Holm's correction over all of them.
    """
    return [
        {
            "network": recipes.get(network).label,
            "quantized": CHOICES[choice].label,
            "top-1 (%)": _percent(records[network][choice]),
            "FP32 (%)": _percent(records[network][FLOAT]),
            "change (points)": f"{100 * pair.change:+.2f}",
            "lost / gained": f"{pair.lost} / {pair.gained}",
            "disagree": f"{pair.disagreement:,}",
            "Holm p": f"{pair.holm:.2g}",
            "verdict": pair.verdict,
        }
        for (network, choice), pair in pairs.items()
    ]


def training_rows(
    changes: dict[tuple[str, str], np.ndarray],
) -> list[dict[str, str]]:
    """The mean change over trainings with its verdict, a row a choice.

    ``changes`` are ``network_sweep.changes``, (trainings,) each. Holm's
    correction is over all rows of two or more trainings; the others have no
    interval.
    """
    repeated = {n: v for n, v in changes.items() if len(v) > 1}
    adjusted = paired_tests.holm(
        [replicates.p_value(v) for v in repeated.values()]
    )
    holm = dict(zip(repeated, adjusted, strict=True))
    rows = []
    for name, shares in changes.items():
        row = {"network": recipes.get(name[0]).label}
        row |= {"quantized": CHOICES[name[1]].label}
        row |= {"trainings": len(shares)}
        worst = {"worst (points)": f"{100 * shares.min():+.2f}"}
        if name in holm:
            mean = intervals.mean(shares)
            row |= {"mean change (points)": f"{100 * mean:+.2f}"} | worst
            row |= {"Holm p": f"{holm[name]:.2g}"}
            row |= {"verdict": paired_tests.verdict(mean, holm[name])}
        else:
            row |= {"mean change (points)": f"{100 * shares[0]:+.2f}"} | worst
            row |= {"Holm p": "–", "verdict": ONE}
        rows.append(row)
    return rows


def safe_words(changes: dict[tuple[str, str], np.ndarray]) -> str:
    """How many rows exclude a mean loss of the margin, and which do not.

    ``changes`` are as for ``training_rows``, (trainings,) each; those of one
    training are left out.
    """
    means = {n: intervals.mean(v) for n, v in changes.items() if len(v) > 1}
    rest = [
        f"{recipes.get(network).label} {CHOICES[choice].label}"
        for (network, choice), mean in means.items()
        if mean.low <= -MARGIN
    ]
    text = (
        f"{len(means) - len(rest)} of {len(means)} rows exclude a mean loss "
        f"of {100 * MARGIN:.1f} points"
    )
    return f"{text}, all but {', '.join(rest)}" if rest else text


def time_rows(
    timings: list[Timing], networks: list[str]
) -> list[dict[str, str]]:
    """Each network at eight bits against its own float network.

    The networks of the ``timings`` are called as ``network_study.timed``
    calls them.
    """
    rows = []
    for network in networks:
        pair = network_study.timed(network)
        for timing in timings:
            slow, fast = (timing.milliseconds(name).value for name in pair)
            ratio = timing.judged(timing.speedup(*pair))
            rows.append(
                {
                    "network": recipes.get(network).label,
                    "measured at": timing.conditions,
                    "FP32 (ms)": f"{slow:.3f}",
                    "INT8 (ms)": f"{fast:.3f}",
                    "times as fast": f"{ratio:.2f}",
                    "verdict": timing.time_verdict(*pair),
                }
            )
    return rows


def _percent(record: Record) -> str:
    return f"{100 * record.correct / record.n:.2f}"
