"""The methods of rounding by name, from the cheapest to the dearest."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from torch import Tensor

from ptq.methods.adaround import adaround
from ptq.methods.bias_matching import match_means
from ptq.methods.block_reconstruction import block_reconstruction
from ptq.methods.coordinate_descent import coordinate_descent
from ptq.methods.distillation import distillation
from ptq.methods.gptq import gptq
from ptq.methods.least_error_grids import least_error_grids
from ptq.quantizer.network import QuantizedNetwork
from ptq.registry import Registry

Method = Callable[[QuantizedNetwork, Tensor], QuantizedNetwork]


@dataclass(frozen=True)
class Rounding:
    """A method of rounding, and what tables call it.

    ``improve`` takes a network on grids of least error, and images.
    """

    label: str
    improve: Method

    def run(
        self, network: QuantizedNetwork, images: Tensor
    ) -> QuantizedNetwork:
        """A copy of a network of few bits, its weights rounded anew.

        Grids of the weights are those of least error first, so that all
        methods begin alike. ``images`` (N, ...) are as the network takes
        them; they need no labels. UnsupportedError where they do not fit.
        """
        return self.improve(least_error_grids(network), images)


ROUNDINGS = Registry(
    "rounding",
    {
        "nearest": Rounding("nearest", lambda network, images: network),
        "means": Rounding("nearest, means matched", match_means),
        "gptq": Rounding("GPTQ", gptq),
        "descent_own": Rounding(
            "descent, own inputs",
            partial(coordinate_descent, toward_float=False),
        ),
        "descent": Rounding("descent toward float", coordinate_descent),
        "adaround": Rounding("AdaRound toward float", adaround),
    },
)


def _taught(network: QuantizedNetwork, images: Tensor) -> QuantizedNetwork:
    return distillation(coordinate_descent(network, images), images)


# Learned through blocks or the whole network: minutes, and no better than
# descent where they were tried (the reference "learned").
LEARNED = Registry(
    "learned rounding",
    {
        "blocks": Rounding("block reconstruction", block_reconstruction),
        "dropped": Rounding(
            "blocks, activations dropped",
            partial(block_reconstruction, drop=0.5),
        ),
        "distilled": Rounding("descent, then distillation", _taught),
    },
)
ALL = Registry("rounding", {**ROUNDINGS, **LEARNED})
