"""The study of ranges: how its choices are made, and from which images."""

import numpy as np
import pytest
import torch

from ptq.experiment import network_study, range_study
from ptq.experiment.range_study import (
    CALIBRATED,
    CHOICES,
    OBSERVED,
    REPAIRED,
    Choice,
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
    studied = (OBSERVED, REPAIRED, CALIBRATED)
    every = {c for of in studied for d in of.values() for c in d.values()}
    assert len(CHOICES) == len(every) == 38
    assert all(CHOICES[choice.name] == choice for choice in every)
    told = Choice(4, 8, "mse", False, True, True, "means", "noise").name
    assert told == "w4a8-tensor-mse-least-equalized-means-noise"


def test_records_are_kept_with_their_flips(cifar, residual, tmp_path):
    """Noise against training images, the others against the float network."""
    real, noise = (CALIBRATED[4][name].name for name in ("real", "noise"))
    ruined = REPAIRED[False]["min-max"].name
    names = ["fp32", ruined, real, noise]
    labels = cifar.test_labels[:40]
    given = cifar.test_images[:40], labels, tmp_path
    made = range_study.records(residual, names, *given)
    assert [one.strategy for one in made] == names
    assert made[1].correct < made[0].correct - 8
    told = range_study.with_flips(made, labels, tmp_path)
    assert {one.strategy for one in told} == {*names[1:]}
    again = range_study.records(residual, names, *given)
    bases = dict(zip(names, [None, *made[:1] * 2, made[2]], strict=True))
    for one, same in zip(made, again, strict=True):
        assert one.n == 40 and one.parameters["validation_images"] == 40
        assert np.array_equal(one.predictions, same.predictions)
        # Not made again: as many seconds.
        assert one.parameters.items() <= same.parameters.items()
        if (base := bases[one.strategy]) is not None:
            net = same.parameters["gained"] - same.parameters["lost"]
            assert net == one.correct - base.correct


def test_what_a_choice_is_compared_with():
    wide = CALIBRATED[8]["wide logits"]
    assert wide.base == CALIBRATED[8]["real"].name
    assert OBSERVED[4]["gauss"].base == OBSERVED[4]["minmax"].name
    assert OBSERVED[4]["minmax"].base == "fp32"


def test_only_the_logits_have_room(residual):
    """Steps of the last grid are four times as large, no other's."""
    plain, wide = (
        range_study.made(residual, Choice(wide_logits=one))
        for one in (False, True)
    )
    moved = {
        name: float(wide.grids[name].scale / grid.scale)
        for name, grid in plain.grids.items()
    }
    assert moved.pop("fc") == 4
    assert set(moved.values()) == {1}
