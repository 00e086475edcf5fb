"""Batch normalization as a layer of its own, for networks not folded."""

import torch
from torch import nn

from ptq.graph.plain_copies import evaluated


def norm_apart(network: nn.Module) -> nn.Module:
    """A copy in eval mode whose BN are convolutions, one weight a channel.

    In eval mode BN is y = g x + h for each channel; so is a depthwise 1x1
    convolution with weight g, float32 (C, 1, 1, 1), and bias h (C,). No
    folding takes it away, and an engine of integers runs it. ValueError,
    naming the module, where a BN keeps no running statistics.
    """
    apart = evaluated(network)
    for name, module in network.named_modules():
        if isinstance(module, nn.BatchNorm2d):
            if module.running_var is None:
                raise ValueError(
                    f"{name}: BN without running statistics: expected a "
                    "trained one"
                )
            apart.set_submodule(name, _convolution(module))
    return apart


@torch.no_grad()
def _convolution(norm: nn.BatchNorm2d) -> nn.Conv2d:
    channels = norm.num_features
    gain = torch.rsqrt(norm.running_var.double() + norm.eps)
    if norm.weight is not None:
        gain = gain * norm.weight.double()
    shift = -norm.running_mean.double() * gain
    if norm.bias is not None:
        shift = shift + norm.bias.double()
    # Its weights are set here: none are drawn from the global generator.
    made = nn.utils.skip_init(
        nn.Conv2d, channels, channels, 1, groups=channels
    ).eval()
    made.weight.copy_(gain.float().reshape(-1, 1, 1, 1))
    made.bias.copy_(shift.float())
    return made
