"""The sweep of ranges: what its table says, and how its choices are made."""

import numpy as np
import pandas as pd
import pytest
import torch

from ptq.book import tables
from ptq.experiment import network_study, range_sweep
from ptq.experiment.range_sweep import CHOICES, FLOAT, NETWORKS, Choice


def frame(loss, trainings=(42, 1)):
    """A reference in which a choice loses ``loss(choice, training)``."""
    rows = [
        {
            "network": network,
            "train_seed": seed,
            "strategy": name,
            "accuracy": 0.9 - (choice is not None and loss(choice, seed)),
            "disagreement": 0.04,
            "n": 1000,
        }
        for network in NETWORKS
        for seed in trainings
        for name, choice in {FLOAT: None, **CHOICES}.items()
    ]
    return pd.DataFrame(rows)


def test_changes_are_means_with_the_error_of_the_images():
    found = range_sweep.changes(frame(lambda _, seed: 0.1 * (seed == 1)))
    assert len(found) == len(NETWORKS) * len(CHOICES)
    change = found["resnet8", "w8a4-channel-mse"]
    assert change.value == pytest.approx(-0.05)
    # Of 0.04 / 1000 for each of two trainings, whose mean it is.
    reach = 1.96 * np.sqrt(2 * 0.04 / 1000) / 2
    assert change.high - change.value == pytest.approx(reach, rel=1e-3)


def test_observers_that_differ_at_four_bits_only_are_said_to():
    order = list(range_sweep.OBSERVERS)

    def loss(choice, seed):
        few = choice.activations == 4
        return 0.01 * order.index(choice.observer) * few + 0.001 * (seed == 1)

    given = frame(loss)
    found = range_sweep.changes(given)
    told = range_sweep.about_observers(given, found)
    assert told["shape"] == "confirmed" and told["p_eight"] == 1
    assert told["at_four"] == "shown" and told["p_four"] < 0.01
    assert told["apart_eight"] == pytest.approx(0, abs=1e-9)
    assert told["apart_four"] == pytest.approx(6)
    rows = tables.ranges.observer_rows(found)
    assert [row["ResNet8, 4 bits"] for row in rows][-1] == "-6.0"


@pytest.mark.parametrize("per_channel", [True, False])
def test_tables_of_repairs_have_what_was_measured(per_channel):
    found = range_sweep.changes(frame(lambda choice, _: 0.2 * choice.least))
    rows = tables.ranges.repair_rows(found, per_channel)
    assert len(rows) == (5 if per_channel else 9)
    told = {row["what is done"]: row["depthwise CNN"] for row in rows}
    assert told["least error"] == "-20.0 (-20.9 to -19.1)"
    assert told["min-max"] == "+0.0 (-0.9 to +0.9)"


def test_choices_are_what_their_names_say(cifar, tmp_path):
    """On ResNet8: bits inside, grids, and biases that images do not make."""
    of = network_study.subject(
        cifar, "resnet8", tmp_path, calibration_images=4
    )
    names = {
        "w4a8-tensor-minmax": Choice(4, per_channel=False),
        "w8a4-channel-gauss": Choice(8, 4, "gauss"),
        "w4a8-channel-minmax-analytic": Choice(4, biases="analytic"),
        "w4a8-tensor-minmax-equalized-means": Choice(
            4, per_channel=False, equalized=True, biases="means"
        ),
    }
    assert [CHOICES[name] for name in names] == list(names.values())
    few = range_sweep.made(of, names["w4a8-tensor-minmax"])
    bits = few.layers().bits.to_list()
    assert bits[0] == bits[-1] == 8 and set(bits[1:-1]) == {4}
    assert few.integers["stack1.conv1"].grid.axis is None
    plain = range_sweep.made(of, Choice(4))
    mended = range_sweep.made(of, Choice(4, biases="analytic"))
    moved = [
        name
        for name, layer in plain.integers.items()
        if not torch.equal(layer.bias, mended.integers[name].bias)
    ]
    # All but the first: of an image's pixels BN remembers nothing.
    assert moved == list(plain.integers)[1:]
