"""Tables of the sweep of roundings: methods by bits, steps, levels."""

import pandas as pd

from ptq.evidence.intervals import Interval
from ptq.experiment import committed_sweeps, rounding_sweep
from ptq.experiment.rounding_sweep import (
    DEAR_NETWORKS,
    LEVELS,
    MISSED,
    OPEN,
    REACHED,
    Case,
    cases,
    change,
    level_word,
    steps,
)
from ptq.networks import recipes

# What an interval by itself, without correction, says of a gain.
WITHOUT_ZERO, WITH_ZERO = "without zero", "with zero"


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

    ``frame`` is the reference; the words are those of ``level_word``.
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


def told(frame: pd.DataFrame) -> dict[str, float | str | Interval]:
    """Numbers and words of the reference that a text quotes, by name.

    Changes in points are called NETWORK_CASE, with _interval their bounds.
    ``gains_told`` adds gains. Each word of ``level_word`` lists its levels.
    Sizes, of the first of ``DEAR_NETWORKS``, are in kB; ``slower`` is how
    often descent fits into the time of AdaRound, where both were tried.
    """
    found, networks = gains_told(frame), _networks(frame)
    for network in networks:
        for name in cases(network):
            moved = 100 * change(frame, network, name)
            key = f"{network}_{name}"
            found |= {key: moved.value, f"{key}_interval": moved}
    words = {REACHED: [], OPEN: [], MISSED: []}
    for row in level_rows(frame):
        moved = row["change (points)"].split()[0]
        level = f"{row['network']} {row['bits']} ({moved})"
        words[row["level"]].append(level)
    found |= {word: _listed(of) for word, of in words.items()}
    first = frame[frame.network == DEAR_NETWORKS[0]]
    sizes = first.groupby("strategy").file_bytes.first()
    found |= {f"{n}_kb": size / 1000 for n, size in sizes.items()}
    seconds = frame[frame.network.isin(DEAR_NETWORKS)].pivot(
        index=["network", "train_seed"],
        columns="strategy",
        values="cpu_seconds",
    )
    slower = seconds["w2a4_adaround"] / seconds["w2a4_descent"]
    return found | {"slower": float(slower.median())}


def gains_told(frame: pd.DataFrame) -> dict[str, float | str | Interval]:
    """Gains over the cheaper method, in points, and words on them, by name.

    They are called NETWORK_CASE_gain, and NETWORK_CASE_word is that of
    ``zero_word``. CASE_above says in how many networks the interval lies
    above zero, and which of these have one training only. ``better`` and
    ``worse`` name the steps whose interval leaves out zero, without
    correction; ``better_pairs`` counts them, of ``pairs``.
    """
    found, words, above = {}, {"better": [], "worse": []}, {}
    for network, title in _networks(frame).items():
        for better, worse in steps(network):
            gain = 100 * change(frame, network, better.name, worse.name)
            key = f"{network}_{better.name}"
            found |= {f"{key}_gain": gain, f"{key}_word": zero_word(gain)}
            above.setdefault(better.name, {})[network] = gain.low > 0
            step = f"{better.label} over {worse.label}, {better.bits}"
            if zero_word(gain) == WITHOUT_ZERO:
                word = "better" if gain.low > 0 else "worse"
                words[word].append(f"{step}, {title}")
    for name, each in above.items():
        found[f"{name}_above"] = _counted(frame, each)
    found |= {name: _listed(of) for name, of in words.items()}
    found["better_pairs"] = len(words["better"])
    return found | {"pairs": sum(map(len, above.values()))}


def zero_word(gain: Interval) -> str:
    """Whether an interval leaves out zero: "without zero", "with zero".

    It is not called shown: that is what Holm's correction leaves.
    """
    out = gain.low > 0 or gain.high < 0
    return WITHOUT_ZERO if out else WITH_ZERO


def _counted(frame: pd.DataFrame, above: dict[str, bool]) -> str:
    """How many networks are above zero, and those of one training."""
    trainings = frame.groupby("network").train_seed.nunique()
    single = [
        recipes.get(network).label
        for network, found in above.items()
        if found and trainings[network] == 1
    ]
    told = f"{sum(above.values())} of {len(above)}"
    if single:
        told += f" (over images of one training only: {', '.join(single)})"
    return told


def _listed(words: list[str]) -> str:
    return "; ".join(words) or "none"


def _networks(frame: pd.DataFrame) -> dict[str, str]:
    """Those that the reference has, in the registry's order, in words."""
    known = committed_sweeps.networks(frame)
    return {name: recipes.get(name).label for name in known}
