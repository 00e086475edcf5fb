"""What the runtimes that read ONNX files have in common."""

from collections.abc import Callable
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from ptq.engines.contract import Ran
from ptq.graph import UnsupportedError
from ptq.quantizer.network import QuantizedNetwork

BATCH = 64

# Results of a file by their names, for images (N, ...).
Ask = Callable[[list[str], np.ndarray], list[np.ndarray]]


class FileRunner:
    """A network's file in a runtime; call it with images.

    ``ran`` lists the operators that ran. With ``pixels`` the file takes
    uint8 images and normalizes them itself. ``_ask`` makes logits of at most
    ``BATCH`` images that the file takes.
    """

    ran: list[Ran]
    _ask: Callable[[Tensor], Tensor]

    def __init__(self, network: QuantizedNetwork, pixels: bool):
        self._network, self._pixels = network, pixels
        self._shape = network.graph.nodes["input"].shape[1:]

    def __call__(self, images: Tensor) -> Tensor:
        """Logits, float32, of images as ``QuantizedNetwork`` takes them.

        Of a file that takes pixels, uint8 ones only. Raises
        UnsupportedError where they do not fit.
        """
        if not self._pixels:
            images = self._network.normalized(images)
        elif images.dtype != torch.uint8:
            raise UnsupportedError("images are no pixels: expected uint8")
        elif images.shape[1:] != self._shape or not len(images):
            self._network.check_shape(images)  # which raises
        if len(images) <= BATCH:  # of one image, the rest would be felt
            return self._ask(images)
        return torch.cat([self._ask(batch) for batch in images.split(BATCH)])


def needs(package: str | None) -> Literal[True] | str:
    """True, or that ``package`` is missing, if it is given."""
    if package is None:
        return True
    return f"it needs the package {package}: pip install {package}"
