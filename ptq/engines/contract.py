"""What each module of the table ``engines.ENGINES`` has."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from torch import Tensor

from ptq.quantizer.network import QuantizedNetwork


@dataclass(frozen=True)
class Ran:
    """An operator that ran: whose node, which kind, in which precision.

    ``precision`` is that of its arithmetic, where "float" is float32; it is
    "conversion" for what moves between integers and real numbers or reorders
    memory.
    """

    node: str
    operator: str
    precision: Literal["integer", "float", "bfloat16", "conversion"]


class Run(Protocol):
    """A network in a runtime; ``ran`` lists what runs in it, in order."""

    ran: list[Ran]

    def __call__(self, images: Tensor) -> Tensor:
        """Logits, float32 (N, classes), of images (N, ...).

        Images are float32, normalized, or uint8, as ``QuantizedNetwork``
        takes them. Raises UnsupportedError where they do not fit.
        """


class Engine(Protocol):
    """A module that runs any QuantizedNetwork.

    ``EXACT`` tells whether its codes are the simulation's, all of them;
    ``IN_FLOAT`` names operations on codes that it computes in float32. One
    that can tell codes has ``inside``, too, and ``parity`` compares them; one
    that can tell its time has ``spent``, for ``CALLS`` calls, and
    ``time_shares`` sums it up.
    """

    EXACT: bool
    IN_FLOAT: frozenset[str]

    def available(self) -> Literal[True] | str:
        """True, or one sentence on why it does not run here."""

    def load(self, network: QuantizedNetwork, threads: int = 0) -> Run:
        """The network, on so many threads; 0 leaves that to the runtime.

        Raises UnsupportedError, naming the nodes, where something runs in
        float that was not kept so, InputError where there are fewer cores.
        """

    def spent(
        self, network: QuantizedNetwork, images: Tensor
    ) -> list[tuple[Ran, float]]:
        """What ran on one thread, in order, with its seconds, of all calls.

        Each of the ``CALLS`` is for all ``images`` (N, ...), as
        ``QuantizedNetwork`` takes them.
        Raises UnsupportedError as ``load``, but nothing is refused.
        """

    def inside(
        self, network: QuantizedNetwork, fused: bool = True
    ) -> Callable:
        """A function from images to the codes of each node's result.

        Images are float32 (N, ...), normalized; codes are integers of the
        result's shape, clipped to its grid, in a dict by the node's name.
        Without ``fused`` each operation runs by itself, as the file says.
        Raises UnsupportedError as ``load``.
        """
