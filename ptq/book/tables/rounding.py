"""Tables of the sweep of roundings: methods by bits, steps, levels."""

import pandas as pd

from ptq.book.tables import cells
from ptq.evidence.intervals import Interval
from ptq.experiment import rounding_sweep
from ptq.experiment.rounding_sweep import (
    DEAR_NETWORK,
    LEVELS,
    Case,
    cases,
    change,
    steps,
)
from ptq.networks import recipes

MISSED, REACHED = "missed", "reached"
ON_AVERAGE = "not shown"


def method_rows(frame: pd.DataFrame) -> list[dict[str, str]]:
    """Change of accuracy in points, a row for each method and bits.

    ``frame`` is the reference. A network has a column, with half the width
    of its 95 % interval; CPU seconds are medians over all trained networks.
    Networks are named where a method was not tried with all.
    """
    by_method = frame.groupby("strategy")
    networks = _networks(frame)
    known = {n: c for network in networks for n, c in cases(network).items()}
    rows = []
    for case in sorted(known.values(), key=_place):
        row = {"bits": case.bits, "method": case.label}
        for network, title in networks.items():
            row[title] = "–"
            if case.name in cases(network):
                found = 100 * change(frame, network, case.name)
                half = (found.high - found.low) / 2
                row[title] = f"{found.value:+.2f} ± {half:.2f}"
        of = by_method.get_group(case.name)
        told = f"{of.cpu_seconds.median():.1f}"
        if (tried := set(of.network)) < networks.keys():
            titles = [t for n, t in networks.items() if n in tried]
            told += f" ({', '.join(titles)})"
        rows.append(row | {"CPU s": told})
    return rows


def gain_rows(frame: pd.DataFrame) -> list[dict[str, str]]:
    """What each method gains over the one before it, in points.

    ``frame`` is the reference; a row is a pair, a column a network.
    """
    rows, networks = {}, _networks(frame)
    blank = dict.fromkeys(networks.values(), "–")
    for network, title in networks.items():
        for better, worse in steps(network):
            names = {"bits": better.bits, "method": better.label}
            names |= {"over": worse.label} | blank
            row = rows.setdefault((better, worse), names)
            found = change(frame, network, better.name, worse.name)
            row[title] = f"{100 * found:+.2f}"
    return [rows[pair] for pair in sorted(rows, key=lambda p: _place(p[0]))]


def _place(case: Case) -> int:
    """The place of a case's bits among those that are tried."""
    bits = list(rounding_sweep.METHODS)
    return bits.index((case.weights, case.activations))


def level_rows(frame: pd.DataFrame) -> list[dict[str, str]]:
    """Whether the levels are reached, by the method chosen on validation.

    ``frame`` is the reference. A level is reached if the interval of the
    loss lies within it.
    """
    rows, networks = [], _networks(frame)
    for network, bits, allowed in LEVELS:
        if network not in networks:
            continue
        case = rounding_sweep.chosen(frame, network, bits)
        found = 100 * change(frame, network, case.name)
        rows.append(
            {
                "network": networks[network],
                "bits": case.bits,
                "method": case.label,
                "may lose (points)": f"{allowed:.1f}",
                "change (points)": f"{found:+.2f}",
                "level": level_word(found, allowed),
            }
        )
    return rows


def level_word(found: Interval, allowed: float) -> str:
    """The word on a change and the loss that is allowed, both in points."""
    if found.value < -allowed:
        return MISSED
    return ON_AVERAGE if found.low < -allowed else REACHED


def told(frame: pd.DataFrame) -> dict[str, float | str | Interval]:
    """Numbers and words of the reference that a text quotes, by name.

    Changes in points are called NETWORK_CASE, with _interval their bounds.
    ``gains_told`` adds gains. One word each lists the levels that have it.
    Sizes are in kB; ``slower`` is how often descent fits into the time of
    AdaRound, in the networks where both were tried.
    """
    found, networks = gains_told(frame), _networks(frame)
    for network in networks:
        for name in cases(network):
            moved = 100 * change(frame, network, name)
            key = f"{network}_{name}"
            found |= {key: moved.value, f"{key}_interval": moved}
    words = {REACHED: [], ON_AVERAGE: [], MISSED: []}
    for row in level_rows(frame):
        moved = row["change (points)"].split()[0]
        level = f"{row['network']} {row['bits']} ({moved})"
        words[row["level"]].append(level)
    found |= {n.replace(" ", "_"): _listed(of) for n, of in words.items()}
    there = frame[frame.network == DEAR_NETWORK]
    sizes = there.groupby("strategy").file_bytes.first()
    found |= {f"{n}_kb": size / 1000 for n, size in sizes.items()}
    seconds = there.pivot(
        index="train_seed", columns="strategy", values="cpu_seconds"
    )
    slower = seconds["w2a4_adaround"] / seconds["w2a4_descent"]
    return found | {"slower": float(slower.median())}


def gains_told(frame: pd.DataFrame) -> dict[str, float | str | Interval]:
    """Gains over the cheaper method, in points, and words on them, by name.

    They are called NETWORK_CASE_gain, and NETWORK_CASE_word is on that one.
    CASE_shown says in how many networks it is above zero. ``better`` and
    ``worse`` name the steps whose interval leaves out zero, without
    correction; ``better_pairs`` counts them, of ``pairs``.
    """
    found, words, shown = {}, {"better": [], "worse": []}, {}
    for network, title in _networks(frame).items():
        for better, worse in steps(network):
            gain = 100 * change(frame, network, better.name, worse.name)
            key = f"{network}_{better.name}"
            found |= {f"{key}_gain": gain, f"{key}_word": cells.shown(gain)}
            shown.setdefault(better.name, []).append(gain.low > 0)
            step = f"{better.label} over {worse.label}, {better.bits}"
            if cells.shown(gain) == "shown":
                word = "better" if gain.low > 0 else "worse"
                words[word].append(f"{step}, {title}")
    for name, each in shown.items():
        found[f"{name}_shown"] = f"{sum(each)} of {len(each)}"
    found |= {name: _listed(of) for name, of in words.items()}
    found["better_pairs"] = len(words["better"])
    return found | {"pairs": sum(map(len, shown.values()))}


def _listed(words: list[str]) -> str:
    return "; ".join(words) or "none"


def _networks(frame: pd.DataFrame) -> dict[str, str]:
    """Those that the reference has, in the registry's order, in words."""
    measured = set(frame.network)
    return {
        name: recipes.get(name).label
        for name in recipes.NETWORKS
        if name in measured
    }
