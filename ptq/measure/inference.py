"""Outputs of a network for images, in eval mode."""

import torch
from torch import Tensor, nn

from ptq import input_checks
from ptq.data import image_sets
from ptq.graph.module_outputs import asking

EVALUATION_BATCH = 250


def logits(
    network: nn.Module,
    images: Tensor,
    normalization: tuple,
    batch: int = EVALUATION_BATCH,
) -> Tensor:
    """Outputs, float32 (N, classes), for uint8 images (N, C, H, W).

    ``normalization`` is (mean, std), as in ``image_sets.normalize``;
    ``batch`` images are asked at once. A copy, as of ``asking``, runs
    on the network's own device; images and outputs are on the CPU.
    Raises InputError where there are no images, their dtype or shape does
    not fit, or the network puts out anything but one tensor of finite
    numbers.
    """
    input_checks.check_pixels(images)
    # An integer network has no parameters, and runs on the CPU.
    device = next((p.device for p in network.parameters()), None)
    with (
        asking(network) as asked,
        input_checks.fitting(asked, images),
    ):
        parts = [
            asked(image_sets.normalize(part, *normalization).to(device))
            for part in images.split(batch)
        ]
    input_checks.check_outputs(parts[0])
    outputs = torch.cat(parts).cpu()
    input_checks.check_finite("outputs", outputs)
    return outputs
