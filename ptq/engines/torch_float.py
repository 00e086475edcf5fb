"""A network's float reference in PyTorch, in float32 or bfloat16."""

from typing import Literal

import torch
from torch import Tensor

from ptq import input_checks
from ptq.engines.contract import Ran
from ptq.engines.simulation import torch_threads
from ptq.graph import Node
from ptq.graph.operations import operation
from ptq.quantizer.network import QuantizedNetwork

PRECISIONS = {torch.float32: "float", torch.bfloat16: "bfloat16"}


class Runner:
    """A float reference; call it with images.

    ``ran`` lists its operations, with the precision of their results.
    """

    def __init__(self, network: QuantizedNetwork, dtype: str, threads: int):
        input_checks.check_threads(threads)
        self._network, self._threads = network, threads
        self._bfloat = dtype == "bfloat16"
        self.ran: list[Ran] = []
        image = torch.zeros(1, *network.graph.nodes["input"].shape[1:])
        self._walk(image, self._noted)

    def __call__(self, images: Tensor) -> Tensor:
        """Logits, float32, of images as ``QuantizedNetwork`` takes them.

        Raises UnsupportedError where they do not fit.
        """
        images = self._network.normalized(images)
        return self._walk(images, self._compute).float()

    def _compute(self, node: Node, given: dict[str, Tensor]) -> Tensor:
        if self._bfloat and node.op == "convolution":
            # Autocast knows conv2d, and not what the graph calls.
            args = self._network.graph.filled(node.args, given)
            cast = (a.bfloat16() if torch.is_tensor(a) else a for a in args)
            return operation(node.op).run(*cast)
        return self._network.graph.compute(node, given)

    def _walk(self, images: Tensor, visit) -> Tensor:
        if images.dim() == 4:
            images = images.contiguous(memory_format=torch.channels_last)
        with (
            torch_threads(self._threads),
            torch.no_grad(),
            torch.autocast("cpu", torch.bfloat16, enabled=self._bfloat),
        ):
            return self._network.graph.walk(images, visit)

    def _noted(self, node: Node, given: dict[str, Tensor]) -> Tensor:
        result = self._compute(node, given)
        if node.op != "input":
            precision = PRECISIONS[result.dtype]
            self.ran.append(Ran(node.name, node.op, precision))
        return result


def available() -> Literal[True]:
    """True: it needs torch only."""
    return True


def float_available(dtype: str) -> Literal[True] | str:
    """Whether the processor computes in ``dtype``; why not.

    ``dtype`` is "float32" or "bfloat16".
    """
    if dtype == "float32" or torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return True
    return "PyTorch has no kernels of bfloat16 for this processor"


def load_float(
    network: QuantizedNetwork, dtype: str = "float32", threads: int = 0
) -> Runner:
    """The float reference of ``network`` on ``threads`` threads of torch.

    ``dtype`` is "float32", or "bfloat16": autocast then chooses what
    computes in it. 0 threads are as torch is set.
    """
    return Runner(network, dtype, threads)
