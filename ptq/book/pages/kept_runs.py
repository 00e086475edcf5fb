"""What runs that were kept measured of the recommended row: run by run."""

import itertools

import numpy as np
import pandas as pd

from ptq import paths
from ptq.book.tables import cells
from ptq.experiment.comparison import QUIET

FILE = paths.REFERENCE / "runs.csv"
# The prefix of the columns of both conditions, hot.
CONDITIONS = "", "single_"


def load() -> pd.DataFrame:
    """The runs, a row each, the last one last.

    Numbers are those of ``comparison.Times``, beside the commit, the time
    (UTC) and the processor.
    """
    return pd.read_csv(FILE)


def keep(best: pd.Series, kept: dict) -> None:
    """Add a run's times of the recommended row ``best`` to ``FILE``.

    ``kept`` is the run's manifest. A run of the same commit is replaced.
    """
    runs = load()
    now = {
        "finished": kept["finished"],
        "commit": kept["commit"],
        "processor": kept["machine"]["processor"],
        "features": " ".join(kept["machine"]["features"]),
    } | {name: best[name] for name in runs.columns[4:]}
    others = runs[runs.commit != kept["commit"]]
    table = pd.concat([others, pd.DataFrame([now])], ignore_index=True)
    paths.write_whole(FILE, table.to_csv(index=False))


def rows(runs: pd.DataFrame, now: pd.Series) -> list[dict[str, str]]:
    """The recommended row's times as text, run by run; ``now`` is the last.

    ``now`` is the row of ``Comparison.frame``. A busy run has no bounds.
    """
    days = [when[:16].replace("T", " ") for when in runs.finished]
    each = [row for _, row in runs.iterrows()]
    found = []
    for when, row in zip([*days, "this run"], [*each, now], strict=True):
        told = {"run": when, "threads": f"{row.threads:.0f}"}
        for prefix in CONDITIONS:
            ratio = cells.interval(row, f"{prefix}speedup")
            text = f"{ratio:.2f}"
            if row[f"{prefix}busy"] != QUIET:
                text = f"{ratio.value:.2f} (not judged)"
            batch = f"batch {row[f'{prefix}batch']:.0f}"
            told[f"{batch}: ms"] = f"{row[f'{prefix}milliseconds']:.3f}"
            told[f"{batch}: times as fast"] = text
        found.append(told)
    return found


def disjoint(runs: pd.DataFrame, now: pd.Series, prefix: str = "") -> str:
    """How many pairs of runs have intervals without a common ratio.

    "1 of 3". Of quiet runs with as many threads as ``now`` and an interval;
    ``prefix`` is one of ``CONDITIONS``.
    """
    both = [row for _, row in runs.iterrows()] + [now]
    bounds = [
        (row[f"{prefix}speedup_low"], row[f"{prefix}speedup_high"])
        for row in both
        if row[f"{prefix}busy"] == QUIET and row.threads == now.threads
    ]
    known = [pair for pair in bounds if not np.isnan(pair).any()]
    pairs = [*itertools.combinations(known, 2)]
    apart = sum(a[1] < b[0] or b[1] < a[0] for a, b in pairs)
    return f"{apart} of {len(pairs)}"


def earlier(runs: pd.DataFrame, origin: dict) -> str:
    """An item of a list: what other runs measured, hot and with one thread.

    ``origin`` is the manifest of the run that the list is of. Empty where
    there are no others.
    """
    others = runs[runs.commit != origin["commit"]]
    if others.empty:
        return ""
    found = [
        ", ".join(f"{v:.2f}" for v in others[f"{prefix}speedup"])
        for prefix in CONDITIONS
    ]
    days = ", ".join(dict.fromkeys(w[:10] for w in others.finished))
    where = " and ".join(others.processor.unique())
    return (
        f"- in earlier runs ({days}; {where}): "
        f"{found[0]} times as fast with {int(others.batch.iloc[-1])} images, "
        f"{found[1]} times with one, hot: an interval here is of the next "
        "session in the same run, and not of another machine or day\n"
    )
