"""What earlier runs measured stands beside what this one did."""

import json

import numpy as np
import pandas as pd
import pytest

from ptq import paths
from ptq.book.pages import kept_runs

RUNS = kept_runs.load()


def run(low, high, busy="no", threads=1):
    value = (low * high) ** 0.5
    columns = {}
    for prefix, batch in (("", 64), ("single_", 1)):
        columns |= {
            f"{prefix}batch": batch,
            f"{prefix}milliseconds": 0.04,
            f"{prefix}speedup": value,
            f"{prefix}speedup_low": low,
            f"{prefix}speedup_high": high,
            f"{prefix}busy": busy,
        }
    return columns | {"threads": threads}


def frame(*rows):
    days = [f"2026-05-0{i}T06:07:08Z" for i in range(1, len(rows) + 1)]
    return pd.DataFrame(rows).assign(finished=days)


def test_each_run_has_a_row_and_this_one_the_last():
    told = kept_runs.rows(frame(run(8, 9)), pd.Series(run(4, 4)))
    assert told[0] == {
        "run": "2026-05-01 06:07",
        "threads": "1",
        "batch 64: ms": "0.040",
        "batch 64: times as fast": "8.49 (8.00–9.00)",
        "batch 1: ms": "0.040",
        "batch 1: times as fast": "8.49 (8.00–9.00)",
    }
    assert told[1]["run"] == "this run"
    busy = pd.Series(run(4, 4, busy="another program ran"))
    (_, last) = kept_runs.rows(frame(run(8, 9)), busy)
    assert last["batch 64: times as fast"] == "4.00 (not judged)"
    assert kept_runs.rows(RUNS, RUNS.iloc[0])[0]["run"] == "2026-11-26 14:18"


@pytest.mark.parametrize(
    ("now", "told"),
    [
        (run(8.5, 9.5), "1 of 3"),
        (run(9.5, 10.5), "2 of 3"),
        (run(20, 21), "3 of 3"),
        (run(20, 21, busy="another program ran"), "1 of 1"),
        (run(np.nan, np.nan), "1 of 1"),
        (run(20, 21, threads=2), "0 of 0"),
    ],
)
def test_intervals_without_a_common_ratio_are_counted(now, told):
    runs = frame(run(8, 9), run(9.2, 10))
    assert kept_runs.disjoint(runs, pd.Series(now)) == told


def test_a_kept_run_replaces_one_of_its_commit(tmp_path, monkeypatch):
    monkeypatch.setattr(kept_runs, "FILE", tmp_path / "runs.csv")
    paths.write_whole(kept_runs.FILE, RUNS.to_csv(index=False))
    kept = json.loads((paths.REFERENCE / paths.MANIFEST).read_text())
    best = RUNS.iloc[-1].copy()
    best["speedup"] = 7.5
    kept_runs.keep(best, kept)
    found = kept_runs.load()
    assert len(found) == len(RUNS) and found.speedup.iloc[-1] == 7.5
    kept_runs.keep(best, kept | {"commit": "0123456789ab"})
    assert len(kept_runs.load()) == len(RUNS) + 1


def test_earlier_runs_are_told_without_the_one_that_is_shown():
    origin = {"commit": RUNS.commit.iloc[-1]}
    told = kept_runs.earlier(RUNS, origin)
    for one in RUNS.speedup.iloc[:-1]:
        assert f"{one:.2f}" in told
    assert f"{RUNS.speedup.iloc[-1]:.2f}" not in told
    assert "next session in the same run" in told
    for day in RUNS.finished.iloc[:-1].str[:10].unique():
        assert told.count(day) == 1
    assert kept_runs.earlier(RUNS.iloc[-1:], origin) == ""
