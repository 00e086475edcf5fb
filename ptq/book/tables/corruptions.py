"""Tables of the sweep of corruptions: what quantization costs there."""

from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from ptq.data import cifar10
from ptq.evidence import paired_tests
from ptq.evidence.intervals import Interval
from ptq.experiment.corruption_study import ALL, CLEAN, label, methods
from ptq.experiment.network_study import FLOAT
from ptq.measure.corruptions import CORRUPTIONS
from ptq.networks import recipes

MORE = "costs more"
GROUPS = [f"changed_{i}" for i in range(1, 6)]


@dataclass(frozen=True)
class Cost:
    """A network and method of the reference, clean and corrupted.

    ``clean`` and ``worse`` (all corruptions) are its rows of the reference,
    ``exact_clean`` and ``exact_worse`` those of FP32; ``by_corruption`` has
    a row each. ``p`` is that of the excess over all corruptions, by Holm's
    correction over all networks and methods.
    """

    network: str
    method: str
    clean: pd.Series
    worse: pd.Series
    exact_clean: pd.Series
    exact_worse: pd.Series
    by_corruption: dict[str, pd.Series]
    p: float

    @property
    def title(self) -> str:
        """Network and bits in words."""
        return f"{recipes.get(self.network).label} {label(self.method)}"

    @property
    def verdict(self) -> str:
        """What is shown of the excess, in words."""
        found = interval(self.worse, "excess")
        word = paired_tests.verdict(0.01 * found, self.p)
        return {"worse": MORE, "better": "costs less"}.get(word, word)


def interval(row: pd.Series, name: str) -> Interval:
    """``change`` or ``excess`` of a row of the reference, in points."""
    ends = (row[name + end] for end in ("", "_low", "_high"))
    return 100 * Interval(*map(float, ends))


def costs(frame: pd.DataFrame) -> list[Cost]:
    """The reference by network and method, in the registry's order.

    ``frame`` is as ``committed_sweeps.load`` gives it.
    """
    of = frame.set_index(["network", "strategy"])
    pairs = list(_pairs(frame))
    raw = [float(of.loc[(n, f"{m}_{ALL.name}")].excess_p) for n, m in pairs]
    adjusted = paired_tests.holm(raw)
    return [
        Cost(
            network,
            method,
            *(
                of.loc[(network, f"{one}_{condition.name}")]
                for one in (method, FLOAT)
                for condition in (CLEAN, ALL)
            ),
            {c: of.loc[(network, f"{method}_{c}")] for c in CORRUPTIONS},
            p,
        )
        for (network, method), p in zip(pairs, adjusted, strict=True)
    ]


def _pairs(frame: pd.DataFrame) -> Iterator[tuple[str, str]]:
    measured = set(zip(frame.network, frame.method, strict=True))
    for network in recipes.NETWORKS:
        for method in methods(network)[1:]:
            if (network, method) in measured:
                yield network, method


def cost_rows(found: list[Cost]) -> list[dict[str, str]]:
    """Changes and excess in points, predictions that differ, and ECE.

    Two numbers in a cell are of clean and of corrupted images.
    """
    return [
        {
            "network": recipes.get(cost.network).label,
            "bits": label(cost.method),
            "clean": f"{interval(cost.clean, 'change').value:+.2f}",
            "corrupted": f"{interval(cost.worse, 'change').value:+.2f}",
            "excess": f"{interval(cost.worse, 'excess'):+.2f}",
            "verdict": cost.verdict,
            "differ (%)": _both(
                cost.clean, cost.worse, "disagreement", ".1f"
            ),
            "ECE FP32 (%)": _both(cost.exact_clean, cost.exact_worse, "ece"),
            "ECE (%)": _both(cost.clean, cost.worse, "ece"),
        }
        for cost in found
    ]


def _both(clean, worse, column: str, form: str = ".1f") -> str:
    """A share in percent, of clean and of corrupted images."""
    return " / ".join(f"{100 * row[column]:{form}}" for row in (clean, worse))


def told(found: list[Cost]) -> dict[str, float | int | str | Interval]:
    """Numbers and words that a text quotes, by name; changes in points.

    ``hurt_answer`` says where quantization costs more. ``hurt_most`` is the
    largest excess of one corruption, ``hurt_where`` whose. Of the network
    and method that change most predictions on clean images, ``hurt_title``:
    shares (%) of these by margin, and the class that loses most.
    """
    kinds = [
        (interval(row, "excess"), cost, name)
        for cost in found
        for name, row in cost.by_corruption.items()
    ]
    most, whose, name = min(kinds, key=lambda kind: kind[0].value)
    shown = max(found, key=lambda cost: cost.clean.disagreement)
    changed = shown.clean[GROUPS].astype(float)
    losing = min(found, key=lambda cost: cost.clean.worst_change)
    classes = len(cifar10.CLASSES)
    return {
        "hurt_answer": answer(found),
        "hurt_most": most,
        "hurt_where": f"{whose.title}, {CORRUPTIONS.row(name).label}",
        "hurt_title": shown.title,
        "hurt_least_margin": 100 * changed.iloc[0] / changed.sum(),
        "hurt_most_margin": 100 * changed.iloc[-1] / changed.sum(),
        "hurt_classes": int(sum(c.clean.classes_hurt for c in found)),
        "hurt_all_classes": classes * len(found),
        "hurt_class": cifar10.CLASSES[int(losing.clean.worst_class)],
        "hurt_class_of": losing.title,
        "hurt_class_change": 100 * losing.clean.worst_change,
        "hurt_exact_clean": _mean_accuracy(c.exact_clean for c in found),
        "hurt_exact_worse": _mean_accuracy(c.exact_worse for c in found),
        "hurt_less_sure": sum(c.worse.ece < c.exact_worse.ece for c in found),
        "hurt_rows": len(found),
    }


def _mean_accuracy(rows) -> float:
    """The mean over networks, each once, in percent."""
    accuracies = {row.name[0]: row.accuracy for row in rows}
    return 100 * sum(accuracies.values()) / len(accuracies)


def answer(found: list[Cost]) -> str:
    """Where quantization costs more on corrupted images, in words."""
    words = {}
    for cost in found:
        points = f"{interval(cost.worse, 'excess').value:+.2f}"
        said = words.setdefault(cost.verdict, [])
        said.append(f"{cost.title} ({points})")
    more = words.pop(MORE, [])
    parts = [f"That is shown in none of {len(found)} rows"]
    if more:
        counted = f"They do in {len(more)} of {len(found)} rows"
        parts = [f"{counted}: {', '.join(more)}"]
    parts += [f"{word}: {', '.join(names)}" for word, names in words.items()]
    return "; ".join(parts)
