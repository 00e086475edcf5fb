"""The table of roundings that are learned, against coordinate descent."""

from collections.abc import Iterator

import pandas as pd

from ptq.book.tables.rounding import WITHOUT_ZERO, zero_word
from ptq.evidence.intervals import Interval
from ptq.experiment import committed_sweeps, learned_sweep
from ptq.experiment.learned_sweep import CASES, START
from ptq.experiment.rounding_sweep import Case, change
from ptq.networks import recipes

LEARNED = [case for case in CASES.values() if case.rounding != START]


def gain_rows(frame: pd.DataFrame) -> list[dict[str, str]]:
    """What each gains over descent, in points, a row a method and network.

    ``frame`` is the reference. Intervals are of means over trainings; CPU
    seconds are medians over these.
    """
    seconds, rows = _seconds(frame), []
    for case, network, gain in _gains(frame):
        base = learned_sweep.base(case).name
        on_test = 100 * change(frame, network, case.name, base)
        rows.append(
            {
                "bits": case.bits,
                "method": case.label,
                "network": recipes.get(network).label,
                "on validation images": f"{gain:+.2f}",
                "on test images": f"{on_test:+.2f}",
                "CPU s": f"{seconds[network, case.name]:.0f}",
                "descent's": f"{seconds[network, base]:.0f}",
            }
        )
    return rows


def told(frame: pd.DataFrame) -> dict[str, float | int | str]:
    """Numbers and words of ``gain_rows`` that a text quotes, by name.

    ``learned_better`` and ``learned_worse`` list the rows whose interval on
    validation images lies above and below zero, of ``learned_rows``;
    ``learned_least`` and ``learned_most`` are the ends of their gains.
    ``learned_slower`` is the least and ``learned_slowest`` the greatest
    ratio of CPU times.
    """
    words = {"better": [], "worse": []}
    gains, known = list(_gains(frame)), committed_sweeps.networks(frame)
    labels = [recipes.get(name).label for name in known]
    for case, network, gain in gains:
        title = f"{case.label}, {case.bits}, {recipes.get(network).label}"
        if zero_word(gain) == WITHOUT_ZERO:
            words["better" if gain.low > 0 else "worse"].append(
                f"{title} ({gain.value:+.1f})"
            )
    found = {
        f"learned_{word}": "; ".join(of) or "none"
        for word, of in words.items()
    }
    seconds = _seconds(frame)
    ratios = [
        seconds[network, case.name]
        / seconds[network, learned_sweep.base(case).name]
        for case, network, _ in gains
    ]
    values = [gain.value for _, _, gain in gains]
    return found | {
        "learned_rows": len(gains),
        "learned_least": min(values),
        "learned_most": max(values),
        "learned_slower": float(min(ratios)),
        "learned_slowest": float(max(ratios)),
        "learned_trainings": int(frame.train_seed.nunique()),
        "learned_networks": " and ".join(labels),
        "learned_images": int(frame.validation_images.max()),
    }


def _seconds(frame: pd.DataFrame) -> pd.Series:
    """Medians over trainings, by network and strategy."""
    return frame.groupby(["network", "strategy"]).cpu_seconds.median()


def _gains(frame: pd.DataFrame) -> Iterator[tuple[Case, str, Interval]]:
    """(case, network, gain on validation images in points), in order."""
    for case in LEARNED:
        for network in committed_sweeps.networks(frame):
            gain = learned_sweep.validation_gain(frame, network, case)
            yield case, network, 100 * gain
