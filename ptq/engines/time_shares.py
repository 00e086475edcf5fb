"""Where an engine's time goes: integers, floats, and what lies between."""

from collections import Counter

from torch import Tensor

from ptq import engines
from ptq.quantizer.network import QuantizedNetwork


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
