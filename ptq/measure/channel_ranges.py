"""How far the weights of each channel reach, and what it costs a layer."""

from torch import Tensor

from ptq.graph import Graph
from ptq.graph.operations import operation
from ptq.measure import layer_errors
from ptq.quantizer.network import QuantizedNetwork


def weight_ranges(graph: Graph) -> dict[str, Tensor]:
    """The largest absolute weight of each output channel, by layer.

    The values are float32 (C_out,). The layers are the convolutions and
    linear layers of ``graph``, whose BN is folded or not.
    """
    found = {}
    for node in graph.nodes.values():
        if operation(node.op).kind == "layer":
            weight, _ = graph.filled(node.args[1:3], {})
            found[node.name] = weight.detach().flatten(1).abs().amax(1)
    return found


def codes_of_channels(ranges: Tensor, most: int = 127) -> Tensor:
    """The largest code of each channel, float32 (C,), on one shared grid.

    ``ranges`` is one layer's of ``weight_ranges``; the widest channel gets
    the code ``most``, as in equation (eq-channel-codes).
    """
    return most * ranges / ranges.max()


def sqnr_of_layers(
    network: QuantizedNetwork, images: Tensor
) -> dict[str, float]:
    """SQNR in dB of each layer's result, errors before it included.

    ``images``, (N, C, H, W), is as the network takes it. Behind a
    layer that is fused with a ReLU, both networks are compared behind the
    ReLU.
    """
    errors = layer_errors.graph_errors(network, images)
    return {
        name: errors[network.owners[name]].sqnr for name in network.integers
    }
