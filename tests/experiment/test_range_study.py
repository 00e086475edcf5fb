"""The study of ranges: how its choices are made, and from which images."""

import numpy as np
import pytest
import torch

from ptq.experiment import image_sources, network_study, range_study
from ptq.experiment.image_sources import SOURCES, shown
from ptq.experiment.range_study import (
    CALIBRATED,
    CHOICES,
    OBSERVED,
    REPAIRED,
    Choice,
)
from ptq.methods.distilled_images import statistics_distance
from ptq.registry import UnknownNameError


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


def test_sources_are_what_they_say(residual):
    """Digits are grey in a black rim; the distilled fit BN, as noise not."""
    made = {name: row.draw(residual, 4, 0) for name, row in SOURCES.items()}
    for pixels in made.values():
        assert pixels.dtype == torch.uint8 and pixels.shape == (4, 3, 32, 32)
    assert torch.equal(made["real"], residual.calibration)
    grey = made["digits"][:, 0]
    assert (made["digits"] == grey[:, None]).all() and grey.amax() > 200
    assert not grey[:, :2].any() and not grey[:, :, 30:].any()
    again = SOURCES.row("digits").draw(residual, 4, 1)
    assert not torch.equal(again, made["digits"])
    distance = statistics_distance(residual.network)
    near, far = (
        float(distance(made[name] / 127.5 - 1))
        for name in ("distilled", "noise")
    )
    assert near < far / 20


def test_each_source_gives_as_many_images(residual):
    seen = shown(residual, "noise")
    assert len(seen.calibration) == image_sources.COUNT
    assert seen.network is residual.network
    with pytest.raises(UnknownNameError, match="did you mean noise"):
        shown(residual, "nois")


def test_records_are_kept(cifar, residual, tmp_path):
    names = [
        "fp32",
        OBSERVED[8]["minmax"].name,
        REPAIRED[False]["min-max"].name,
        CALIBRATED[4]["noise"].name,
    ]
    given = cifar.test_images[:40], cifar.test_labels[:40], tmp_path
    found = range_study.records(residual, names, *given)
    again = range_study.records(residual, names, *given)
    assert [one.strategy for one in found] == names
    for one, same in zip(found, again, strict=True):
        assert one.n == 40 and one.parameters["validation_images"] == 40
        assert np.array_equal(one.predictions, same.predictions)
        assert one.parameters == same.parameters  # not made again
    assert found[2].correct < found[0].correct - 8  # ruined
