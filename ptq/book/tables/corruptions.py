"""Tables of the sweep of corruptions: what quantization costs there."""

from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from ptq.data import cifar10
from ptq.data.corruptions import CORRUPTIONS
from ptq.evidence import paired_tests
from ptq.evidence.intervals import Interval
from ptq.evidence.thresholds import SIGNIFICANCE
from ptq.experiment.corruption_study import ALL, CLEAN, label, methods
from ptq.experiment.network_study import FLOAT
from ptq.networks import recipes

MORE, LESS, NOT_SHOWN = "more", "less", "not shown"
GROUPS = [f"changed_{i}" for i in range(1, 6)]


@dataclass(frozen=True)
class Cost:
    """A network and method of the reference, clean and corrupted.

    ``clean`` and ``worse`` (all corruptions) are its rows of the reference,
    ``exact_clean`` and ``exact_worse`` those of FP32; ``kinds`` has a row
    for each corruption at all strengths. ``p`` is that of its excess, by
    Holm's correction over all networks, methods and corruptions.
    """

    network: str
    method: str
    clean: pd.Series
    worse: pd.Series
    exact_clean: pd.Series
    exact_worse: pd.Series
    kinds: dict[str, pd.Series]
    p: dict[str, float]

    @property
    def title(self) -> str:
        """Network and bits in words."""
        return f"{recipes.get(self.network).label} {label(self.method)}"

    def verdict(self, corruption: str) -> str:
        """Whether more or less than on clean images is shown to be lost."""
        if self.p[corruption] >= SIGNIFICANCE:
            return NOT_SHOWN
        return MORE if self.kinds[corruption].excess < 0 else LESS


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
    kinds = [
        {c: of.loc[(network, f"{method}_{c}")] for c in CORRUPTIONS}
        for network, method in pairs
    ]
    raw = [float(row.excess_p) for rows in kinds for row in rows.values()]
    adjusted = iter(paired_tests.holm(raw))
    return [
        Cost(
            network,
            method,
            *(
                of.loc[(network, f"{one}_{condition.name}")]
                for one in (method, FLOAT)
                for condition in (CLEAN, ALL)
            ),
            rows,
            {name: next(adjusted) for name in rows},
        )
        for (network, method), rows in zip(pairs, kinds, strict=True)
    ]


def _pairs(frame: pd.DataFrame) -> Iterator[tuple[str, str]]:
    measured = set(zip(frame.network, frame.method, strict=True))
    for network in recipes.NETWORKS:
        for method in methods(network)[1:]:
            if (network, method) in measured:
                yield network, method


def cost_rows(found: list[Cost]) -> list[dict[str, str]]:
    """Change and excess in points, predictions that differ, and ECE.

    An excess has half the width of its interval, and a dagger where it is
    shown. Two numbers in a cell are of clean and of corrupted images.
    """
    return [
        {
            "network": recipes.get(cost.network).label,
            "bits": label(cost.method),
            "clean": f"{interval(cost.clean, 'change').value:+.1f}",
            **{
                CORRUPTIONS.row(n).label: _excess(cost, n) for n in cost.kinds
            },
            "differ (%)": _both(cost.clean, cost.worse, "disagreement"),
            "ECE FP32 (%)": _both(cost.exact_clean, cost.exact_worse, "ece"),
            "ECE (%)": _both(cost.clean, cost.worse, "ece"),
        }
        for cost in found
    ]


def _excess(cost: Cost, name: str) -> str:
    found = interval(cost.kinds[name], "excess")
    half = (found.high - found.low) / 2
    mark = "" if cost.verdict(name) == NOT_SHOWN else " †"
    return f"{found.value:+.1f} ± {half:.1f}{mark}"


def _both(clean: pd.Series, worse: pd.Series, column: str) -> str:
    """A share in percent, of clean and of corrupted images."""
    return " / ".join(f"{100 * row[column]:.1f}" for row in (clean, worse))


def told(found: list[Cost]) -> dict[str, float | int | str | Interval]:
    """Numbers and words that a text quotes, by name; changes in points.

    ``hurt_more`` and ``hurt_less`` name corruptions on which quantization
    costs more and less, ``hurt_open`` the networks without either.
    ``hurt_most`` and ``hurt_gain`` are the largest excess of either sign,
    with whose it is. ``hurt_class`` loses most of all, ``hurt_class_loss``
    points. ``margins`` adds who changes.
    """
    kinds = [
        (interval(row, "excess"), f"{cost.title}, {CORRUPTIONS.row(n).label}")
        for cost in found
        for n, row in cost.kinds.items()
    ]
    kinds.sort(key=lambda kind: kind[0].value)
    losing = min(found, key=lambda cost: cost.clean.worst_change)
    return margins(found) | {
        "hurt_more": by_kind(found, MORE),
        "hurt_less": by_kind(found, LESS),
        "hurt_open": nothing_shown(found),
        "hurt_most": kinds[0][0],
        "hurt_most_of": kinds[0][1],
        "hurt_gain": kinds[-1][0],
        "hurt_gain_of": kinds[-1][1],
        "hurt_classes": int(sum(c.clean.classes_hurt for c in found)),
        "hurt_all_classes": len(cifar10.CLASSES) * len(found),
        "hurt_class": cifar10.CLASSES[int(losing.clean.worst_class)],
        "hurt_class_of": losing.title,
        "hurt_class_loss": -100 * losing.clean.worst_change,
        "hurt_exact_clean": _mean_accuracy(c.exact_clean for c in found),
        "hurt_exact_worse": _mean_accuracy(c.exact_worse for c in found),
        "hurt_below": sum(c.worse.ece < c.exact_worse.ece for c in found),
        "hurt_rows": len(found),
    }


def margins(found: list[Cost]) -> dict[str, float | str]:
    """Clean predictions that change, by FP32's margin: shares (%) by name.

    ``hurt_title`` changes most of them: the shares in the fifths of least
    and of most margin; and the range over all networks and methods of that
    of least margin.
    """
    shares = {}
    for cost in sorted(found, key=lambda cost: cost.clean.disagreement):
        changed = cost.clean[GROUPS].astype(float)
        if changed.sum():
            shares[cost.title] = 100 * changed / changed.sum()
    title, most = list(shares.items())[-1]
    least = [float(share.iloc[0]) for share in shares.values()]
    return {
        "hurt_title": title,
        "hurt_least_margin": most.iloc[0],
        "hurt_most_margin": most.iloc[-1],
        "hurt_least_low": min(least),
        "hurt_least_high": max(least),
    }


def by_kind(found: list[Cost], verdict: str) -> str:
    """The corruptions with this verdict, and in which networks, in words."""
    words = []
    for name, kind in CORRUPTIONS.items():
        whose = {}
        for cost in found:
            if cost.verdict(name) == verdict:
                title = recipes.get(cost.network).label
                whose.setdefault(title, []).append(label(cost.method))
        if whose:
            told = (f"{title} {', '.join(of)}" for title, of in whose.items())
            words.append(f"{kind.label} ({'; '.join(told)})")
    return "; ".join(words) or "none of them"


def nothing_shown(found: list[Cost]) -> str:
    """The networks for which no excess is shown, in words."""
    shown = {cost.network: False for cost in found}
    for cost in found:
        words = {cost.verdict(name) for name in cost.kinds}
        shown[cost.network] |= words != {NOT_SHOWN}
    labels = [
        recipes.get(name).label for name, any_ in shown.items() if not any_
    ]
    return ", ".join(labels) or "none of them"


def _mean_accuracy(rows: Iterator[pd.Series]) -> float:
    """The mean over networks, each once, in percent."""
    accuracies = {row.name[0]: row.accuracy for row in rows}
    return 100 * sum(accuracies.values()) / len(accuracies)
