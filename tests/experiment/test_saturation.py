"""What runs with and without saturation are said to show."""

import numpy as np
import pytest
import torch

from ptq.experiment import saturation

LABELS = np.zeros(100, int)


def run(saturates, wrong):
    """A run whose eight-bit predictions are wrong on so many images."""
    eight = torch.zeros(100, dtype=torch.uint8)
    eight[:wrong] = 1
    seven = torch.zeros(100, dtype=torch.uint8)
    return saturation.Predictions(
        saturates, torch.zeros(0), {7: seven, 8: eight}
    )


@pytest.mark.parametrize("exact_first", [True, False])
def test_cost_is_that_of_the_clipped_run(exact_first):
    runs = {"all": run(False, 0), "AVX2 only": run(True, 10)}
    if not exact_first:
        runs = dict(reversed(runs.items()))
    found = saturation.cost(runs, LABELS)
    assert (found.lost, found.gained, found.n) == (10, 0, 100)
    assert saturation.disagreeing(runs, 8) == 10
    assert saturation.disagreeing(runs, 7) == 0


@pytest.mark.parametrize(
    ("runs", "eight", "seven"),
    [
        ([(False, 0), (True, 10)], "eight bits by -10.00", "the same"),
        ([(True, 10), (True, 10)], "without any limit", "the same"),
        ([(False, 0), (False, 0)], "in no run", "the same"),
        ([(False, 0)], "in no run", "no second run"),
        ([(True, 9)], "without any limit", "no second run"),
    ],
)
def test_told_in_words(runs, eight, seven):
    titles = ("all", "AVX2 only")
    found = {t: run(*made) for t, made in zip(titles, runs, strict=False)}
    told = saturation.told(found, LABELS)
    assert eight in told[0] and seven in told[1]


def test_told_counts_images_that_seven_bits_change():
    other = run(True, 10)
    other.predictions[7][:3] = 1
    runs = {"all": run(False, 0), "AVX2 only": other}
    assert "3 images otherwise" in saturation.told(runs, LABELS)[1]
