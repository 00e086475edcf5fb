"""Two networks on corrupted and on clean images: all that a pair tells."""

import numpy as np

from ptq.evidence import class_changes, confidence, intervals, replicates


def pair(
    exact: np.ndarray,
    made: np.ndarray,
    exact_clean: np.ndarray,
    made_clean: np.ndarray,
    labels: np.ndarray,
    margins: np.ndarray,
) -> dict[str, float | int | str]:
    """What two networks' predictions tell, all class numbers.

    ``exact`` and ``made`` (conditions N,) are of corrupted images, the other
    two (N,) of the same images clean; ``labels`` and ``margins`` are (N,).
    ``change`` is that of accuracy (a share), the mean over the conditions;
    ``excess`` what it is more than on clean images. Both have Student's
    interval over images, an image's conditions averaged first, as they are
    no independent images. ``changed_1`` to ``changed_5`` are shares of
    predictions that differ, by the margin of the clean image, least first.
    """
    exact, made = (p.reshape(-1, len(labels)) for p in (exact, made))
    right, right_too = exact == labels, made == labels
    moved = (right_too.astype(float) - right).mean(0)
    before = (made_clean == labels).astype(float) - (exact_clean == labels)
    told = {
        "lost": int((right & ~right_too).sum()),
        "gained": int((~right & right_too).sum()),
        "disagreement": float((exact != made).mean()),
        "excess_p": replicates.p_value(moved - before),
    }
    for name, values in (("change", moved), ("excess", moved - before)):
        found = intervals.mean(values)
        told |= {name: found.value}
        told |= {f"{name}_low": found.low, f"{name}_high": found.high}
    differ = confidence.shares_by_margin(margins, (exact != made).mean(0))
    told |= {f"changed_{i}": float(v) for i, v in enumerate(differ, 1)}
    if len(exact) == 1:
        told |= _classes(exact[0], made[0], labels)
    return told


def _classes(exact, made, labels) -> dict[str, float | int]:
    """How many classes are shown to lose, and the one that loses most."""
    of = {"exact": exact, "made": made}
    rows = class_changes.by_class(of, labels.astype(int))["made"]
    worst = min(rows, key=lambda row: row.change)
    hurt = sum(row.word == "worse" for row in rows)
    return {
        "classes_hurt": hurt,
        "worst_class": worst.number,
        "worst_change": worst.change,
    }
