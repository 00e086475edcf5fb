"""Tables of ranges: observers, and what repairs few bits of weights."""

from ptq.experiment.comparison import Paired
from ptq.experiment.image_sources import SOURCES
from ptq.experiment.range_study import OBSERVED, OBSERVER_WORDS, REPAIRED


def observer_rows(found: dict[str, Paired]) -> list[dict[str, str]]:
    """Changes in points by observer, with their intervals and verdicts.

    ``found`` are ``range_study.changes``; two columns for each of the bits.
    """
    rows = []
    for observer, words in OBSERVER_WORDS.items():
        row = {"observer": words}
        for bits, choices in OBSERVED.items():
            one = found[choices[observer].name]
            row[f"{bits} bits (points)"] = f"{100 * one.change:+.1f}"
            row[f"{bits} bits, verdict"] = one.verdict
        rows.append(row)
    return rows


def repair_rows(found: dict[str, Paired]) -> list[dict[str, str]]:
    """Changes in points of 4-bit weights by repair, with their intervals.

    ``found`` are ``range_study.changes``.
    """
    titles = {False: "per tensor (points)", True: "per channel (points)"}
    return [
        {"what is done": words}
        | {
            titles[per_channel]: f"{100 * found[one[words].name].change:+.1f}"
            for per_channel, one in REPAIRED.items()
        }
        for words in REPAIRED[False]
    ]


def source_rows(
    found: dict[tuple[int, str], Paired],
) -> list[dict[str, str]]:
    """Changes in points by source of images, with intervals and verdicts.

    ``found`` are against training images, by bits of the activations and a
    name of ``image_sources.SOURCES``.
    """
    rows = {}
    for (bits, source), one in found.items():
        row = rows.setdefault(source, {"images": SOURCES.row(source).label})
        row[f"{bits} bits (points)"] = f"{100 * one.change:+.1f}"
        row[f"{bits} bits, verdict"] = one.verdict
    return list(rows.values())
