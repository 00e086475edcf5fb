"""What the captions of figures of several networks say of the numbers."""

import numpy as np
import pytest

from ptq.book.figures import four_networks
from ptq.evidence.intervals import Interval
from ptq.networks import recipes


@pytest.mark.parametrize(
    ("shares", "loss"), [([-0.01, -0.03], "2.00"), ([0.03, 0.01], "0.00")]
)
def test_trainings_name_the_choice_that_loses_most(
    tmp_path, capsys, shares, loss
):
    changes = {
        ("resnet8", "per_channel"): np.array([0.02, 0.05]),
        ("depthwise", "per_tensor"): np.array(shares),
    }
    four_networks.trainings("lost", changes, tmp_path)
    label = recipes.get("depthwise").label
    told = f"mean loss, {loss} points, is that of the {label}, per tensor."
    assert told in capsys.readouterr().out
    assert (tmp_path / "lost.svg").exists()


def test_a_fifth_network_joins_with_its_row(monkeypatch):
    before = {name: four_networks.look(name) for name in recipes.NETWORKS}
    monkeypatch.setitem(recipes.NETWORKS, "fifth", recipes.get("resnet8"))
    assert four_networks.look("fifth") not in before.values()
    changes = {("fifth", "per_channel"): np.array([-0.01, 0.01])}
    assert four_networks.changes_by_row(changes).axes[0].get_lines()
    assert {n: four_networks.look(n) for n in before} == before


def test_a_recipe_is_compared_with_the_largest_change(tmp_path, capsys):
    steps = {"crop": Interval(5, 4, 6), "all": Interval(14, 13, 15)}
    eager = {"naive": Interval(-0.25, -0.3, -0.2)}
    deployed = {"per channel": Interval(0.1, 0.0, 0.2)}
    four_networks.recipe("gain", [steps, eager, deployed], tmp_path)
    told = capsys.readouterr().out
    assert "recipe gains 14.0 points" in told
    assert "No quantization to eight bits changes the mean by" in told
    assert "more than 0.25 points." in told
