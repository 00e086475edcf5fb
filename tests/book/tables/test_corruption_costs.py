"""What table, text and figure tell of the sweep of corruptions."""

import numpy as np
import pandas as pd
import pytest

from ptq.book import figures
from ptq.book.tables import corruptions as tables
from ptq.data.corruptions import CORRUPTIONS
from ptq.experiment import committed_sweeps, corruption_pairs
from ptq.experiment.corruption_study import CLEAN, GRADED, methods, together

IMAGES = 400
# Images of these that are wrong, by corruption; 0 where it is not named.
# FP32 is hurt by noise, and W2A4 less so; by low contrast, only W2A4 is.
WRONG = {
    "fp32": {"noise": 100},
    "int8": {"noise": 100},
    "w4a4": dict.fromkeys(["clean", "blur", "contrast", "jpeg"], 8)
    | {"noise": 108},
    "w2a4": dict.fromkeys(["clean", "blur", "jpeg"], 20)
    | {"noise": 60, "contrast": 80},
}


def shown(method, condition):
    """Predictions of class 0 for all but the wrong ones, from the last."""
    wrong = WRONG[method].get(condition.corruption, 0)
    found = np.zeros(IMAGES, int)
    found[IMAGES - wrong :] = 1
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
    """A reference of two networks, made of ``WRONG``."""
    return pd.DataFrame([*rows_of("resnet8"), *rows_of("compact_cnn")])


def test_rows_stand_in_the_order_of_the_registry(frame):
    titles = [cost.title for cost in tables.costs(frame)]
    small = [f"compact CNN {bits}" for bits in ("INT8", "W4A4")]
    large = [f"ResNet8 {bits}" for bits in ("INT8", "W4A4", "W2A4")]
    assert titles == [*small, *large]


def test_only_what_costs_more_or_less_is_said_to(frame):
    found = tables.costs(frame)
    (last,) = {cost.p["noise"] for cost in found if cost.method == "w2a4"}
    raw = frame[frame.strategy == "w2a4_noise"].excess_p.iloc[0]
    assert last == pytest.approx(20 * raw)
    told = tables.told(found)
    assert told["hurt_more"] == "low contrast (ResNet8 W2A4)"
    assert told["hurt_less"] == "noise (ResNet8 W2A4)"
    assert told["hurt_open"] == "compact CNN"
    assert told["hurt_most"].value == pytest.approx(-15)
    assert told["hurt_most_of"] == "ResNet8 W2A4, low contrast"
    assert told["hurt_gain"].value == pytest.approx(15)
    assert told["hurt_gain_of"] == "ResNet8 W2A4, noise"
    assert told["hurt_title"] == told["hurt_class_of"] == "ResNet8 W2A4"
    assert told["hurt_least_low"] == told["hurt_least_high"] == 100
    both = tables.by_kind(found, tables.NOT_SHOWN)
    assert "blur (compact CNN INT8, W4A4; ResNet8 INT8, W4A4, W2A4)" in both
    # The last images have the least margin; 20 of them are a twentieth.
    assert told["hurt_least_margin"] == 100 and told["hurt_most_margin"] == 0
    assert (told["hurt_class"], told["hurt_class_loss"]) == ("airplane", 5)
    assert (told["hurt_exact_clean"], told["hurt_exact_worse"]) == (
        100,
        93.75,
    )
    fewer = tables.told(found[:-1])
    assert fewer["hurt_more"] == "none of them"
    assert fewer["hurt_open"] == "compact CNN, ResNet8"


def test_the_table_marks_an_excess_that_is_shown(frame):
    rows = tables.cost_rows(tables.costs(frame))
    assert rows[-1]["clean"] == "-5.0"
    assert rows[-1]["noise"] == "+15.0 ± 3.5 †"
    assert rows[-1]["low contrast"] == "-15.0 ± 3.5 †"
    assert rows[-1]["JPEG"] == rows[0]["noise"] == "+0.0 ± 0.0"
    assert rows[-1]["differ (%)"] == "5.0 / 10.0"
    assert rows[-1]["ECE (%)"] == "2.0 / 10.0"


def test_the_figure_has_a_panel_a_corruption_and_a_bar_a_strength(
    frame, tmp_path, capsys
):
    made = figures.corruptions.panels(frame)
    assert len(made.axes) == 2 * len(CORRUPTIONS)
    titles = [axis.get_title() for axis in made.axes[: len(CORRUPTIONS)]]
    assert titles == [kind.label for kind in CORRUPTIONS.values()]
    last = made.axes[-1]
    assert [len(c[0].get_xdata()) for c in last.containers] == [6, 6, 6]
    heights = last.containers[-1][0].get_ydata()
    assert heights.tolist() == pytest.approx(6 * [-5])
    figures.corruptions.cost_by_strength("cost", frame, tmp_path)
    told = capsys.readouterr().out
    assert "ResNet8 W2A4 with low contrast at strength 1 (-20.0" in told
    assert "ResNet8 W2A4 with noise at strength 1 (+10.0 points)" in told
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
