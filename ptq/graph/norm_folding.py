"""Batch normalization, and what else scales channels, folded away.

In eval mode BN is y = g x + h for each channel. Behind a convolution or a
linear layer it goes into weights and bias (Jacob et al., 2018, 3.2); in
front of one, too, where no padding adds zeros that BN would have moved. One
that stands alone is a depthwise 1x1 convolution.
"""

from dataclasses import replace

import torch
from torch import Tensor

from ptq.graph.nodes import Constant, Graph, Node, Value
from ptq.graph.operations import operation


def fold(graph: Graph) -> Graph:
    """A graph without BN that computes the same; ``graph`` stays as it is.

    Sums are made in float64. Where one convolution runs twice, each call
    gets weights of its own. What scales channels and can be neither folded
    nor made a convolution (BN of (N, C) behind no linear layer) stays.
    """
    folded = graph.copy()
    for into in (_into_layer_before, _into_layer_behind, _into_new_layer):
        for name in list(folded.nodes):
            found = _gain_and_shift(folded, folded.nodes[name])
            if found is not None:
                into(folded, folded.nodes[name], *found)
    folded.drop_idle()
    return folded


def _gain_and_shift(graph: Graph, node: Node) -> tuple[Tensor, Tensor] | None:
    """g and h, float64 (C,), where the node computes g x + h by channel."""
    if node.op == "batch_norm":
        _, gamma, beta, mean, variance, eps = graph.filled(
            node.args, {name: None for name in node.inputs}
        )
        gain = torch.rsqrt(variance.double() + eps)
        gain = gain if gamma is None else gain * gamma.double()
        shift = -mean.double() * gain
        return gain, shift if beta is None else shift + beta.double()
    if node.op not in ("mul_constant", "add_constant"):
        return None
    shape = graph.nodes[node.inputs[0]].shape
    factor = _by_channel(graph.filled(node.args[1], {}), shape)
    if factor is None or node.shape != shape:
        return None
    if node.op == "mul_constant":
        return factor, torch.zeros_like(factor)
    return torch.ones_like(factor), factor


def _by_channel(factor, shape: tuple) -> Tensor | None:
    """A number or a tensor as one number for each channel, if it is."""
    factor = torch.as_tensor(factor, dtype=torch.float64)
    around = (1, shape[1], *(1 for _ in shape[2:]))
    if factor.dim() > len(shape):
        return None
    padded = factor.reshape((1,) * (len(shape) - factor.dim()) + factor.shape)
    if padded.shape not in (around, (1,) * len(shape)):
        return None
    return padded.expand(around).flatten()


def _into_layer_before(graph, node: Node, gain, shift) -> None:
    layer = graph.nodes[node.inputs[0]]
    if not has_channels(layer) or graph.only_user(layer.name) != node:
        return
    weight, bias = weight_and_bias(graph, layer)
    weight = weight * gain.reshape(-1, *[1] * (weight.dim() - 1))
    set_weight_and_bias(graph, layer, weight, bias * gain + shift)
    graph.remove(node.name, layer.name)


def _into_layer_behind(graph, node: Node, gain, shift) -> None:
    layer = graph.only_user(node.name)
    if layer is None or not has_channels(layer) or len(node.shape) == 3:
        return
    if layer.op == "convolution" and any(layer.args[4]) and shift.any():
        return  # its padding is zeros of BN's result, not of BN's input
    into_layer(graph, layer, gain, shift)
    graph.remove(node.name, node.inputs[0])


def into_layer(graph: Graph, layer: Node, gain, shift) -> None:
    """Let a layer of ``graph`` read x where it read gain x + shift.

    Both are float64, (C,) of its input's channels; it is a convolution, or
    a linear layer of (N, C). What pads its input by zeros now pads x.
    """
    weight, bias = weight_and_bias(graph, layer)
    groups = layer.args[6] if layer.op == "convolution" else 1
    # For each output, the gains of the inputs that its group reads.
    gain, shift = (
        numbers.reshape(groups, -1).repeat_interleave(
            len(weight) // groups, 0
        )
        for numbers in (gain, shift)
    )
    positions = weight.flatten(2).sum(2) if weight.dim() > 2 else weight
    bias = bias + (positions * shift).sum(1)
    weight = weight * gain.reshape(*gain.shape, *[1] * (weight.dim() - 2))
    set_weight_and_bias(graph, layer, weight, bias)


def _into_new_layer(graph, node: Node, gain, shift) -> None:
    rank = len(node.shape) - 2
    number = len(node.args) > 1 and not isinstance(node.args[1], Constant)
    if rank not in (1, 2) or number:
        return
    ones, zeros = (1,) * rank, (0,) * rank
    names = (f"{node.name}.weight", f"{node.name}.bias")
    numbers = (gain.reshape(-1, 1, *ones), shift)
    weight, bias = (
        graph.keep(name, numbers.float())
        for name, numbers in zip(names, numbers, strict=True)
    )
    args = (Value(node.inputs[0]), weight, bias, ones, zeros, ones, len(gain))
    graph.nodes[node.name] = replace(node, op="convolution", args=args)


def has_channels(layer: Node) -> bool:
    """A layer whose results have their channels in dimension 1."""
    if operation(layer.op).kind != "layer":
        return False
    return layer.op == "convolution" or len(layer.shape) == 2


def weight_and_bias(graph: Graph, layer: Node) -> tuple[Tensor, Tensor]:
    """A layer's weight and bias (C_out,), float64; zeros for no bias."""
    weight, bias = graph.filled(layer.args[1:3], {})
    zeros = torch.zeros(len(weight), dtype=torch.float64)
    return weight.double(), zeros if bias is None else bias.double()


def by_input(layer: Node, weight: Tensor, channels: int) -> Tensor:
    """A view of a layer's weights by the channels of its input.

    ``weight`` is (C_out, ...), the view (groups, C_out / groups, channels /
    groups, positions); a flattened input has several positions a channel.
    """
    groups = layer.args[6] if layer.op == "convolution" else 1
    return weight.reshape(
        groups, len(weight) // groups, channels // groups, -1
    )


def over_inputs(view: Tensor, values: Tensor) -> Tensor:
    """What a layer makes of the same number at all places of a channel.

    ``view`` is that of ``by_input``, ``values`` (channels,); (C_out,).
    """
    return (view.sum(3) @ values.reshape(len(view), -1, 1)).flatten()


def set_weight_and_bias(graph: Graph, layer: Node, weight, bias) -> None:
    """Let a layer of ``graph`` have these, of its shapes, in float32."""
    named = (
        graph.keep(f"{layer.name}.{kind}", tensor.float())
        for kind, tensor in (("weight", weight), ("bias", bias))
    )
    args = (layer.args[0], *named, *layer.args[3:])
    graph.nodes[layer.name] = replace(layer, args=args)
