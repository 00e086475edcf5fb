"""Pixels as a network's input: normalization moves into the first layer."""

import torch

from ptq.graph.errors import UnsupportedError
from ptq.graph.nodes import Graph, Node
from ptq.graph.norm_folding import into_layer

# How far from the pixel that padding stands for another one may be.
NEAR = 0.5


def on_pixels(graph: Graph, mean, std) -> tuple[Graph, tuple]:
    """A graph of distances from one pixel, and (mean, std) that make them.

    ``graph`` reads (p / 255 - mean) / std of pixels p, where ``mean`` and
    ``std`` are floats, one or one for each channel. The new one computes the
    same from a whole number less, times one step: (p - z) / (255 s). Padding
    by zeros then stands for a pixel of z. Raises UnsupportedError where that
    is more than half a pixel from what it stood for, or where others than
    convolutions read the images.
    """
    source = next(iter(graph.nodes))
    channels = graph.nodes[source].shape[1]
    mean, std = (
        torch.tensor(v, dtype=torch.float64).expand(channels)
        for v in (mean, std)
    )
    zero = (255 * mean).mean().round().clamp(0, 255)
    step, away = std.mean(), zero - 255 * mean
    layers = graph.users(source)
    for layer in layers:
        _check(layer, float(away.abs().max()))
    made = graph.copy()
    for layer in {layer.name: layer for layer in layers}.values():
        into_layer(made, layer, step / std, away / (255 * std))
    made.drop_idle()
    return made, (float(zero / 255), float(step))


def _check(layer: Node, away: float) -> None:
    reason = ""
    if layer.op != "convolution":
        reason = f"{layer.op} reads the images, and no convolution"
    elif any(layer.args[4]) and away > NEAR:
        reason = (
            f"it pads normalized images, and its zeros would be {away:.0f} "
            "pixels off"
        )
    if reason:
        raise UnsupportedError(
            f"{layer}: it cannot read pixels as they are: {reason}"
        )
