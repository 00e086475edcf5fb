"""What table, text and figure tell of the sweep of corruptions."""

import numpy as np
import pandas as pd
import pytest

from ptq.book import figures
from ptq.book.tables import corruptions as tables
from ptq.experiment import committed_sweeps, corruption_pairs
from ptq.experiment.corruption_study import CLEAN, GRADED, methods, together
from ptq.measure.corruptions import CORRUPTIONS

IMAGES = 400
# Images of these that a method loses: on clean images, and on corrupted.
LOST = {"int8": (0, 0), "w4a4": (8, 8), "w2a4": (20, 60)}


def shown(method, condition):
    """Predictions of class 0 for all but the lost images, from the last."""
    lost = LOST.get(method, (0, 0))[condition != CLEAN]
    found = np.zeros(IMAGES, int)
    found[IMAGES - lost :] = 1
    return found


def rows_of(network):
    parts = {CLEAN: [CLEAN], **{c: [c] for c in GRADED}, **together()}
    labels = np.zeros(IMAGES, int)
    for method in methods(network):
        for condition, of in parts.items():
            made, exact = (
                np.concatenate([shown(m, part) for part in of])
                for m in (method, "fp32")
            )
            row = {
                "network": network,
                "strategy": f"{method}_{condition.name}",
                "method": method,
                "corruption": condition.corruption,
                "strength": condition.strength,
                "n": len(made),
                "correct": int((made == 0).sum()),
                "accuracy": (made == 0).mean(),
                "ece": 0.02 if condition == CLEAN else 0.1,
            }
            if method != "fp32":
                clean = shown("fp32", CLEAN), shown(method, CLEAN)
                margins = np.arange(IMAGES)[::-1] / IMAGES
                row |= corruption_pairs.pair(
                    exact, made, *clean, labels, margins
                )
            yield row


@pytest.fixture(scope="module")
def frame():
    """A reference in which only W2A4 costs more on corrupted images."""
    return pd.DataFrame([*rows_of("resnet8"), *rows_of("compact_cnn")])


def test_rows_stand_in_the_order_of_the_registry(frame):
    titles = [cost.title for cost in tables.costs(frame)]
    small = [f"compact CNN {bits}" for bits in ("INT8", "W4A4")]
    assert titles == [
        *small,
        *(f"ResNet8 {b}" for b in ("INT8", "W4A4", "W2A4")),
    ]


def test_only_what_costs_more_is_said_to(frame):
    found = tables.costs(frame)
    assert [cost.verdict for cost in found] == ["non-inferior"] * 4 + [
        "costs more"
    ]
    told = tables.told(found)
    start = "They do in 1 of 5 rows: ResNet8 W2A4 (-10.00); non-inferior: "
    assert told["hurt_answer"].startswith(start)
    assert told["hurt_title"] == told["hurt_class_of"] == "ResNet8 W2A4"
    # The last images have the least margin; 20 of them are a twentieth.
    assert told["hurt_least_margin"] == 100 and told["hurt_most_margin"] == 0
    assert (told["hurt_class"], told["hurt_class_change"]) == ("airplane", -5)
    assert told["hurt_exact_worse"] == 100
    less = tables.told(found[:-1])["hurt_answer"]
    assert less.startswith("That is shown in none of 4 rows; non-inferior: ")


def test_the_table_has_both_changes_and_the_excess(frame):
    row = tables.cost_rows(tables.costs(frame))[-1]
    assert (row["clean"], row["corrupted"]) == ("-5.00", "-15.00")
    assert row["excess"].startswith("-10.00 (-12.9")
    assert row["differ (%)"] == "5.0 / 15.0"
    assert row["ECE (%)"] == "2.0 / 10.0"


def test_the_figure_has_a_panel_a_corruption_and_a_bar_a_strength(
    frame, tmp_path, capsys
):
    made = figures.corruptions.panels(frame)
    assert len(made.axes) == 2 * len(CORRUPTIONS)
    last = made.axes[-1]
    assert [len(c[0].get_xdata()) for c in last.containers] == [6, 6, 6]
    heights = last.containers[-1][0].get_ydata()
    assert heights.tolist() == pytest.approx([-5] + 5 * [-15])
    figures.corruptions.cost_by_strength("cost", frame, tmp_path)
    told = capsys.readouterr().out
    assert "a row of panels" in told.lower()
    assert (tmp_path / "cost.svg").exists()


def test_the_committed_reference_adds_up():
    frame, _ = committed_sweeps.load("corruptions")
    rows = frame.set_index(["network", "strategy"])
    compared = rows[rows.lost.notna()]
    assert len(compared) >= 7 * 26
    for (network, _), row in compared.iterrows():
        name = together().keys() | {CLEAN, *GRADED}
        (condition,) = (
            c.name
            for c in name
            if (c.corruption, c.strength) == (row.corruption, row.strength)
        )
        exact = rows.loc[(network, f"fp32_{condition}")]
        assert row.correct - exact.correct == row.gained - row.lost
        assert row.change == pytest.approx(
            (row.gained - row.lost) / row.n, abs=1e-5
        )
        clean = rows.loc[(network, f"{row.method}_clean")]
        assert row.excess == pytest.approx(
            row.change - clean.change, abs=1e-5
        )
