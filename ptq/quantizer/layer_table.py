"""What was quantized, and what not, as tables."""

from math import prod

import pandas as pd

from ptq.graph import Node
from ptq.graph.operations import operation
from ptq.quantizer import grid_placement

FLOAT_BITS = 32
COLUMNS = (
    "layer",
    "operation",
    "bits",
    "grid",
    "input_bits",
    "macs",
    "bytes",
)
# Below this, a branch has lost four bits of eight.
FEW_CODES = 16


def layers(network) -> pd.DataFrame:
    """A row for each convolution and linear layer, in order of running.

    Columns: ``layer``, ``operation``, ``bits`` of a weight, ``grid`` of the
    weights, ``input_bits``, ``macs`` (multiply-accumulates for one image),
    ``bytes`` (weights at their bits, and biases), and the two's shares.
    """
    rows = [
        _row(network, node)
        for node in network.graph.nodes.values()
        if operation(node.op).kind == "layer"
    ]
    table = pd.DataFrame(rows, columns=COLUMNS).set_index("layer")
    for column in ("macs", "bytes"):
        table[f"{column}_share"] = table[column] / table[column].sum()
    return table


def in_float(network) -> dict[str, str]:
    """A sentence on each node that is no integer arithmetic, by its name.

    A function from codes to codes is a table here, and an engine without
    tables computes it in float in between; all else is computed in float.
    """
    found = {}
    for node in network.graph.nodes.values():
        if grid_placement.kind(node, network.kept) != "function":
            continue
        why = "a function of real numbers"
        if node.name in network.kept:
            why = "kept by request"
        elif (entries := network.table(node)) is not None:
            why += f", a table of its {len(entries)} codes"
        where = f", {node.source}" if node.source else ""
        found[node.name] = f"{node.op}{where}: {why}"
    return found


def narrow_branches(network) -> dict[str, str]:
    """A sentence on each branch that a concatenation leaves few codes.

    Few means less than 16: of 256 codes, four of eight bits are lost.
    """
    found = {}
    for node in network.graph.nodes.values():
        joined = network.grid(node.name)
        if node.op != "cat" or joined is None:
            continue
        for name in node.inputs:
            own = network.grid(name)
            if own is None:  # computed in float
                continue
            codes = float(own.scale / joined.scale) * (own.qmax + 1)
            if codes < FEW_CODES:
                found[name] = (
                    f"{name} has {codes:.0f} of {joined.qmax + 1} codes in "
                    f"{node.name}, where others are wider"
                )
    return found


def text(network) -> str:
    """The table of layers, and a line on what is no integer arithmetic."""
    table = layers(network)
    for column in ("macs_share", "bytes_share"):
        table[column] = table[column].map("{:.1%}".format)
    named = [f"{n}: {why}" for n, why in in_float(network).items()]
    lines = [
        table.to_string(),
        "",
        "No integer arithmetic:",
        *(named or ["-"]),
    ]
    return "\n".join(lines + list(narrow_branches(network).values()))


def _row(network, node: Node) -> dict:
    weight, _ = network.graph.filled(node.args[1:3], {})
    layer, grid = (
        network.integers.get(node.name),
        network.grid(node.inputs[0]),
    )
    spatial = slice(2, None) if node.op == "convolution" else slice(1, -1)
    count = weight.numel() * (layer.bits if layer else FLOAT_BITS)
    granularity, bias_bytes = "float", 4
    if layer:
        bias_bytes = layer.bias.element_size()
        granularity = "per tensor" if layer.grid.axis is None else "channel"
    return {
        "layer": node.name,
        "operation": _operation(node, weight),
        "bits": layer.bits if layer else FLOAT_BITS,
        "grid": granularity.replace("channel", "per channel"),
        "input_bits": grid.qmax.bit_length() if layer else FLOAT_BITS,
        "macs": weight.numel() * prod(node.shape[spatial]),
        "bytes": -(-count // 8) + bias_bytes * len(weight),
    }


def _operation(node: Node, weight) -> str:
    if node.op == "linear":
        return "linear"
    size = "x".join(map(str, weight.shape[2:]))
    depthwise = weight.shape[1] == 1 and node.args[6] == len(weight) > 1
    return f"{'depthwise ' if depthwise else ''}convolution {size}"
