"""The figure of growth marks verdicts, and its caption names them."""

import numpy as np
import pytest
from made_timings import made_timing

from ptq.book import style
from ptq.book.figures import growth


def times(milliseconds, busy=()):
    """Of INT8, where FP32 takes one."""
    generator = np.random.default_rng(1)

    def around(value):
        return value / 1e3 * (1 + 0.01 * generator.standard_normal((4, 3)))

    seconds = {"FP32": 1, "INT8": milliseconds, "A/A": 1}
    return made_timing({n: around(v) for n, v in seconds.items()}, busy=busy)


@pytest.fixture
def found():
    return {
        "batch": {1: times(1), 64: times(0.5)},
        "width": {8: times(2), 32: times(0.5), 64: times(0.25)},
        "depth": {1: times(0.5)},
        "threads": {1: times(0.5), 2: times(0.5, ["others"])},
    }


def test_the_caption_names_where_integers_pay(found, tmp_path, capsys):
    growth.growth("growth", found, "batch 16", tmp_path)
    told = capsys.readouterr().out
    faster = "batch 64; width 32, 64; depth 1; threads 1"
    assert f"(filled squares): {faster}. Judged slower" in told
    assert "batch none; width 8; depth none; threads none" in told
    assert "Not judged: batch none; width none; depth none; threads 2" in told
    assert "sessions: 4, of 3 rounds each" in told
    assert (tmp_path / "growth.svg").exists()


def test_only_a_verdict_fills_a_square(found):
    made = growth.panels(found)
    filled = [
        [
            line.get_markerfacecolor() != style.PAPER
            for line in axis.get_lines()
            if line.get_marker() == "s" and len(line.get_xdata())
        ]
        for axis in made.axes
    ]
    assert filled == [
        [False, True],
        [False, True, True],
        [True],
        [True, False],
    ]
    ratios = [text.get_text() for text in made.axes[1].texts]
    assert ratios == ["0.5×", "2.0×", "4.0×"]
    ratios = [text.get_text() for text in made.axes[3].texts]
    assert ratios == ["2.0×", "(2.0×)"]  # the second one's machine was busy
    assert len({axis.get_ylim() for axis in made.axes}) == 1
