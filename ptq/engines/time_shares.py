"""Where an engine's time goes: integers, floats, conversions, and layers."""

from collections import Counter

from torch import Tensor

from ptq import engines
from ptq.quantizer.network import QuantizedNetwork

REPEATS = 3


def shares(
    network: QuantizedNetwork, images: Tensor, engine: str, **more
) -> dict[str, float]:
    """Shares of an engine's time, 0 to 1, by the precision of ``Ran``.

    It is the time inside operators on one thread, for ``images`` (N, ...) as
    the network takes them; ``more`` is told to the engine's ``spent``.
    Raises UnsupportedError as it does, AttributeError where it has none.
    """
    spent = Counter()
    for one, seconds in engines.get(engine).spent(network, images, **more):
        spent[one.precision] += seconds
    total = spent.total()
    return {kind: seconds / total for kind, seconds in spent.items()}


def layer_rates(
    network: QuantizedNetwork, images: Tensor, engine: str
) -> dict[str, float]:
    """Multiply-accumulates a second of each layer that runs in integers.

    By the layer's name, on one thread, for ``images`` (N, ...) as the network
    takes them. Of several means the fastest counts, as whatever disturbs can
    only slow down. Raises as ``shares``.
    """
    found, runs = engines.get(engine), []
    for _ in range(REPEATS):
        seconds = Counter()
        for one, taken in found.spent(network, images):
            if one.precision == "integer":
                seconds[one.node] += taken / found.CALLS
        runs.append(seconds)
    fastest = {name: min(run[name] for run in runs) for name in runs[0]}
    macs = len(images) * network.layers()["macs"]
    # A runtime's clock may be too coarse for a tiny layer.
    return {
        layer: count / fastest[layer]
        for layer, count in macs.items()
        if fastest.get(layer)
    }
