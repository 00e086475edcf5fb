"""The study of ranges: what it says, and how its choices are made."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from ptq.book import tables
from ptq.evidence import network_pairs
from ptq.experiment import network_study, range_study
from ptq.experiment.range_study import OBSERVED, REPAIRED, Choice


class Lab:
    """Where records are kept, and the test images that they are of."""

    def __init__(self, cifar, folder):
        self.run_folder = folder
        self.test_images, self.test_labels = (
            each[:40] for each in (cifar.test_images, cifar.test_labels)
        )


@pytest.fixture(scope="module")
def residual(cifar, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return network_study.subject(
        cifar, "resnet8", folder, calibration_images=4
    )


def test_choices_are_what_their_names_say(residual):
    """On ResNet8: bits inside, grids, and biases that images do not make."""
    few = range_study.made(residual, REPAIRED[False]["min-max"])
    bits = few.layers().bits.to_list()
    assert bits[0] == bits[-1] == 8 and set(bits[1:-1]) == {4}
    assert few.integers["stack1.conv1"].grid.axis is None
    narrow = range_study.made(residual, OBSERVED[4]["gauss"])
    wide = range_study.made(residual, OBSERVED[4]["minmax"])
    place = "stack1.relu1"
    assert narrow.grid(place).qmax == 15 and narrow.grid("fc").qmax == 255
    assert narrow.grid(place).scale < wide.grid(place).scale
    plain, mended = (
        range_study.made(residual, REPAIRED[True][words])
        for words in ("min-max", "analytic biases")
    )
    moved = [
        name
        for name, layer in plain.integers.items()
        if not torch.equal(layer.bias, mended.integers[name].bias)
    ]
    # All but the first: of an image's pixels BN remembers nothing.
    assert moved == list(plain.integers)[1:]


def test_names_tell_choices_apart():
    every = [
        c
        for of in (OBSERVED, REPAIRED)
        for d in of.values()
        for c in d.values()
    ]
    assert len({choice.name for choice in every}) == len(set(every))
    told = Choice(4, 8, "mse", False, True, True, "means").name
    assert told == "w4a8-tensor-mse-least-equalized-means"


def test_records_are_kept_and_compared(cifar, residual, tmp_path):
    lab = Lab(cifar, tmp_path)
    asked = [OBSERVED[8]["minmax"], REPAIRED[False]["min-max"]]
    found = range_study.records(lab, residual, asked, images=40)
    again = range_study.records(lab, residual, asked, images=40)
    assert found.keys() == {"fp32", *(one.name for one in asked)}
    for name, one in found.items():
        assert one.n == 40 and one.parameters["validation_images"] == 40
        assert np.array_equal(one.predictions, again[name].predictions)
        assert one.parameters == again[name].parameters  # not made again
    found = range_study.changes(found, lab.test_labels)
    ruined = found[asked[1].name]
    assert ruined.change.high < -0.2 and ruined.verdict == "worse"


def made_up(loss, few):
    """Records of all observers; at ``few`` bits each loses images more."""
    truth = torch.zeros(200, dtype=torch.int64)
    right = np.zeros(200, np.uint8)
    right[190:] = 1
    found = {"fp32": right}
    for bits, choices in OBSERVED.items():
        for place, one in enumerate(choices.values()):
            found[one.name] = right.copy()
            found[one.name][: loss * place * (bits == few)] = 1
    return found, truth


def as_records(made, base):
    """Made-up predictions in place of those of a record."""
    return {
        name: replace(base, strategy=name, predictions=one, n=len(one))
        for name, one in made.items()
    }


def test_observers_that_differ_at_four_bits_only_are_said_to(
    cifar, residual, tmp_path
):
    lab = Lab(cifar, tmp_path)
    base = range_study.records(lab, residual, [], images=40)["fp32"]
    made, truth = made_up(4, few=4)
    found = as_records(made, base)
    told = range_study.about_observers(found, truth)
    assert told["shape"] == "not contradicted" and told["p_eight"] == 1
    assert told["at_four"] == "shown" and told["p_four"] < 1e-6
    assert told["apart_eight"] == 0
    assert told["worst_four"] == "analytic, Gauss"
    assert told["apart_four"] == pytest.approx(12)
    rows = tables.ranges.observer_rows(range_study.changes(found, truth))
    assert [row["observer"] for row in rows][-1] == "analytic, Gauss"
    assert rows[-1]["4 bits (points)"].startswith("-12.0 (")
    assert rows[-1]["4 bits, verdict"] == "worse"
    assert rows[-1]["8 bits (points)"].startswith("+0.0")


def test_observers_that_differ_at_eight_bits_contradict_the_shape(
    cifar, residual, tmp_path
):
    lab = Lab(cifar, tmp_path)
    base = range_study.records(lab, residual, [], images=40)["fp32"]
    made, truth = made_up(4, few=8)
    told = range_study.about_observers(as_records(made, base), truth)
    assert told["shape"] == "contradicted" and told["p_eight"] < 1e-6
    assert told["at_four"] == "not shown" and told["p_four"] == 1


def test_sources_are_held_to_training_images():
    """Of 200 images noise loses 60 at four bits; nothing else changes."""
    truth = np.zeros(200, np.uint8)
    ruined = truth.copy()
    ruined[:60] = 1
    pairs = {
        (bits, name): (
            truth,
            ruined if (bits, name) == (4, "noise") else truth,
        )
        for bits in (8, 4)
        for name in ("distilled", "noise")
    }
    found = network_pairs.compared(pairs, truth, classes=10)
    told = range_study.about_sources(found)
    assert "At eight bits" in told["sources_eight"]
    assert "noise -30.0 (" in told["sources_four"]
    assert told["sources_four"].endswith(") points, worse.")
    assert "worse" not in told["sources_eight"]
    rows = tables.ranges.source_rows(found)
    assert [row["images"] for row in rows] == [
        "distilled from BN",
        "uniform noise",
    ]
    assert rows[1]["4 bits, verdict"] == "worse"
    assert rows[0]["4 bits (points)"].startswith("+0.0 (")
