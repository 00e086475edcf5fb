"""What tables say of their data."""

import numpy as np
import pandas as pd
import torch

from ptq.book import tables
from ptq.evidence.intervals import Interval
from ptq.evidence.replicates import Ordering
from ptq.measure import grid_effects
from ptq.measure.diagnostics import GridUse
from ptq.quantizer.affine import affine_grid


def test_rows_follow_the_longest_reading():
    use = GridUse(grid=(0.0, 2.0), values=(0.0, 1.0))
    found = tables.layers.readings(
        {
            "SQNR (dB)": ({"conv1": 31.44}, "{:.1f}"),
            "grid": ({"quant": use, "conv1": use}, "to {0.grid[1]:.0f}"),
        },
        "module",
    )
    assert found == [
        {"module": "quant", "SQNR (dB)": "–", "grid": "to 2"},
        {"module": "conv1", "SQNR (dB)": "31.4", "grid": "to 2"},
    ]


def test_an_interval_leaves_out_zero_or_not():
    words = {
        (0.1, 0.2): "interval without zero",
        (-0.2, -0.1): "interval without zero",
        (-0.1, 0.2): "interval with zero",
        (0.0, 0.2): "interval with zero",
    }
    for (low, high), word in words.items():
        assert tables.cells.about_zero(Interval(0.1, low, high)) == word


def test_only_a_test_of_its_own_shows_these():
    found = {"naive": (0.01, 0.07), "folded": (0.01, 0.04)}
    found |= {"bias_correction": (0.2, 0.4)}
    orders = {
        (name, "fp32"): Ordering(Interval(-1, -2, 0), 0, 5, *ps)
        for name, ps in found.items()
    }
    assert tables.designs.only_alone(orders) == "Naive"
    del orders["naive", "fp32"]
    assert tables.designs.only_alone(orders) == "none"


def test_scales_stand_beside_range_and_both_divisors(capsys):
    grid = affine_grid(torch.tensor(-1.0), torch.tensor(1.54), 0, 127)
    tables.grids.scales("a", {"quant": (0.02, 50)}, {"input": grid})
    row = "| input | 2.54000 | 0.02000 | 0.02000 | 0.00996 |"
    assert row in capsys.readouterr().out


def test_outputs_are_compared_with_the_reference(capsys):
    labels = np.arange(100) % 10
    worse = np.where(np.arange(100) < 9, 9 - labels, labels)
    seen = grid_effects.Outputs(sqnr=21.26, at_ends=1.634, ties=7)
    given, found = {"8 bits": worse}, {"8 bits": seen}
    tables.networks.outputs("a", "Caption.", labels, given, labels, found)
    told = capsys.readouterr().out
    for cell in ("91.00", "9 / 0", "worse", " 7 ", "1.63", "21.3"):
        assert cell in told


def test_left_over_errors_show_mean_and_both_ends(capsys):
    found = {4: pd.DataFrame({"conv1": [50.0, 70.0, 90.0]})}
    tables.layers.errors_left("a", found)
    told = capsys.readouterr().out
    assert "70 (50–90)" in told and "mean over 3 draws" in told
