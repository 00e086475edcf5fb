"""Outputs of a network for images, in eval mode."""

import torch
from torch import Tensor, nn

from ptq import input_checks
from ptq.data import image_sets
from ptq.graph.activations import evaluating

EVALUATION_BATCH = 250


def logits(network: nn.Module, images: Tensor) -> Tensor:
    """Outputs, float32 (N, 10), for uint8 images (N, 3, 32, 32).

    The network runs in eval mode and is not changed. Raises InputError where
    there are no images, their dtype or shape does not fit, or the network
    puts out anything but one tensor of finite numbers.
    """
    input_checks.check_pixels(images)
    with (
        evaluating(network),
        input_checks.fitting(network, images),
        torch.inference_mode(),
    ):
        parts = [
            network(image_sets.normalize(part))
            for part in images.split(EVALUATION_BATCH)
        ]
    input_checks.check_outputs(parts[0])
    outputs = torch.cat(parts)
    input_checks.check_finite("outputs", outputs)
    return outputs
