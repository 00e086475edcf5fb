"""Where calibration images come from: what each source gives."""

import pytest
import torch

from ptq.experiment import image_sources, network_study
from ptq.experiment.image_sources import SOURCES, shown
from ptq.methods.distilled_images import statistics_distance
from ptq.registry import UnknownNameError


def test_sources_are_what_they_say(cifar, tmp_path):
    """Digits are grey in a black rim; the distilled fit BN, as noise not."""
    of = network_study.subject(
        cifar, "resnet8", tmp_path, calibration_images=8
    )
    made = {name: row.draw(of, 2, 0) for name, row in SOURCES.items()}
    for pixels in made.values():
        assert pixels.dtype == torch.uint8 and pixels.shape == (2, 3, 32, 32)
    assert torch.equal(made["real"], of.calibration[:2])
    grey = made["digits"][:, 0]
    assert (made["digits"] == grey[:, None]).all() and grey.amax() > 200
    assert not grey[:, :2].any() and not grey[:, :, 30:].any()
    other = SOURCES.row("digits").draw(of, 2, 1)
    assert not torch.equal(other, made["digits"])
    distance = statistics_distance(of.network)
    near, far = (
        float(distance(made[name] / 127.5 - 1))
        for name in ("distilled", "noise")
    )
    assert near < far / 20
    seen = shown(of, "noise")
    assert len(seen.calibration) == image_sources.COUNT
    assert torch.equal(seen.calibration[:2], made["noise"])
    with pytest.raises(UnknownNameError, match="did you mean noise"):
        shown(of, "nois")
    # What was made of the others is not kept.
    grids = [one.quantize("per_channel").grid("fc") for one in (of, seen)]
    assert grids[0].scale != grids[1].scale
