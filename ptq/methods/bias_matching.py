"""Empirical bias correction: a layer's mean result is the float network's.

Nagel et al. (2019), 4.2, on images; for integer biases.
"""

from torch import Tensor

from ptq.methods.rounding_problems import solved
from ptq.quantizer.network import QuantizedNetwork


def match_means(
    network: QuantizedNetwork, images: Tensor
) -> QuantizedNetwork:
    """A copy with biases that take up the mean error, channel by channel.

    Layers in order: each sees what those before it put out as they are now.
    The error left is at most half a unit of the bias. ``images`` (N, ...)
    are as the network takes them. UnsupportedError where they do not fit.
    """
    return solved(network, images, lambda of: (of.codes, of.scale))
