"""Readings side by side."""

from ptq.book import fault_tables
from ptq.measure.diagnostics import GridUse


def test_rows_follow_the_longest_reading():
    use = GridUse(grid=(0.0, 2.0), values=(0.0, 1.0))
    found = fault_tables.rows(
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
