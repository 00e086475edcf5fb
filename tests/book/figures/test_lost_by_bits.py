"""The figure of the sweep of roundings says and shows what the data say."""

import numpy as np

from ptq.book.figures import rounding
from ptq.experiment.rounding_sweep import cases
from ptq.methods.rounding_methods import ROUNDINGS
from ptq.networks import recipes


def changes(networks):
    lost = {"nearest": 0.7, "descent": 0.031}
    return {
        (network, case): -np.array([0.9, 1.1]) * lost.get(case.rounding, 0.1)
        for network in networks
        for case in cases(network).values()
    }


def test_the_caption_tells_the_mean_losses(tmp_path, capsys):
    rounding.lost_by_bits("lost", changes(["resnet8"]), tmp_path)
    told = capsys.readouterr().out
    assert "70 points on average, descent toward float up to 3.1" in told
    assert (tmp_path / "lost.svg").exists()


def test_every_method_and_training_has_a_mark():
    made = rounding.panels(changes(["resnet8", "depthwise", "compact_cnn"]))
    shown = [axis for axis in made.axes if axis.get_visible()]
    assert len(shown) == 3
    assert shown[0].get_title() == recipes.get("resnet8").label
    marks = [
        line for line in shown[0].get_lines() if line.get_marker() != "None"
    ]
    places = {tuple(line.get_xdata()) for line in marks}
    assert len(places) == len(marks) == len(cases("resnet8"))
    assert all(len(line.get_ydata()) == 2 for line in marks)
    assert ROUNDINGS.keys() == rounding.LOOKS.keys()
