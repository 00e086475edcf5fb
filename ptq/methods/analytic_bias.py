"""Analytic bias correction: the mean error of rounded weights, taken out.

Nagel et al. (2019), 4.2, from what batch normalization remembers: no image
is needed.
"""

from ptq.graph.norm_folding import by_input, over_inputs, weight_and_bias
from ptq.methods.normal_moments import Moments
from ptq.methods.rounding_problems import on_scale
from ptq.quantizer.network import QuantizedNetwork


def correct_biases(
    network: QuantizedNetwork, moments: Moments
) -> QuantizedNetwork:
    """A copy with biases less by (W' - W) E[x], for each output channel.

    W' is what a layer's codes stand for, W the float weights, E[x] the mean
    of what it reads, by ``moments`` of that node's name; it sums over inputs
    and positions (equation 17). Layers whose input has none stay.
    UnsupportedError, naming a layer, where its sums no longer fit.
    """
    made = network.copy()
    for name, layer in made.integers.items():
        node = made.graph.nodes[name]
        (source,) = node.inputs
        if source not in moments:
            continue
        weight, _ = weight_and_bias(made.graph, node)
        mean, _ = moments[source]
        scale = layer.grid.scale.double()
        around = (-1, *[1] * (weight.dim() - 1)) if scale.dim() else ()
        error = layer.codes * scale.reshape(around) - weight
        shift = over_inputs(by_input(node, error, len(mean)), mean)
        bias = layer.bias * made.unit(node).double() - shift
        codes, given = layer.codes.double(), made.grid(source)
        made.integers[name] = on_scale(node, layer, codes, scale, bias, given)
    return made
