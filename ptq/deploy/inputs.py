"""A reader's network, images and labels, checked before any work."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from ptq.deploy import image_source
from ptq.evidence import checks
from ptq.evidence.checks import InputError
from ptq.graph import checks as graph_checks
from ptq.measure import activation_memory
from ptq.methods.rounding_methods import ROUNDINGS
from ptq.quantizer.network import QuantizedNetwork, normalize
from ptq.quantizer.quantizing import plain_normalization, quantize

# As many of the images as are asked first.
FEW = 2
# Results that rounding may hold, of all images and two networks.
MOST_BYTES = 10**9


@dataclass(frozen=True)
class Inputs:
    """A float network in eval mode, and images for it, (N, C, H, W).

    ``labels`` is int64 (N,) or None, ``normalization`` (mean, std) or None,
    ``classes`` the names of the outputs or None.
    """

    network: nn.Module
    calibration: Tensor
    test: Tensor
    labels: np.ndarray | None
    normalization: tuple | None
    classes: list[str] | None

    def described(self) -> dict[str, str]:
        """The images in words, by what they are for."""
        labels = "no labels" if self.labels is None else "with labels"
        image = f"{_shape(self.test)} (C x H x W), {_kind(self.test)}"
        if self.test.dtype != torch.uint8:
            image += ", taken as normalized"
        return {
            "image": image,
            "calibration": f"{len(self.calibration):,} images",
            "judged on": f"{len(self.test):,} images, {labels}",
        }

    def quantized(self, rounding: str = "", **recipe) -> QuantizedNetwork:
        """The network, quantized on the calibration images.

        ``recipe`` is what ``ptq.quantize`` takes besides; ``rounding`` names
        a method of ``roundings.ROUNDINGS``, which then rounds the weights
        anew, on ``rounding_images``. Raises UnsupportedError, and
        UnknownNameError for a name.
        """
        method = ROUNDINGS.row(rounding) if rounding else None
        made = quantize(
            self.network,
            self.calibration,
            normalization=self.normalization,
            **recipe,
        )
        if method is None:
            return made
        return method.run(made, self.calibration[: rounding_images(made)])


def checked(
    network: nn.Module, calibration, test, labels, normalization, classes
) -> Inputs:
    """All of it in one form; a copy of ``network`` with plain weights.

    Images are arrays or tensors, (N, C, H, W), (N, H, W, C) or (N, H, W),
    ``labels`` class numbers (N,). Raises InputError or UnsupportedError, in
    one sentence, where something does not fit.
    """
    prepared = graph_checks.prepared(network)
    calibration, test = (
        image_source.tensor(images, name)
        for images, name in ((calibration, "calibration"), (test, "test"))
    )
    _check_alike(calibration, test)
    count = _number_of_outputs(prepared, test[:FEW], normalization)
    if classes is not None:
        classes = checks.class_names(classes, "classes", count)
    if labels is not None:
        labels = checks.classes(labels, "labels of the test", count)
        checks.same_images(test_images=test, labels=labels)
    if len(test) < 2:
        raise InputError("one image for the test: expected two or more")
    return Inputs(prepared, calibration, test, labels, normalization, classes)


def rounding_images(network: QuantizedNetwork) -> int:
    """How many images a method of rounding may see: of large ones, fewer.

    Their results, in floats and on grids, must fit into ``MOST_BYTES``.
    """
    peak = activation_memory.of_float(network.graph).bytes
    return max(MOST_BYTES // (2 * peak), FEW)


def _check_alike(calibration: Tensor, test: Tensor) -> None:
    kinds = [f"{_shape(x)} {_kind(x)}" for x in (calibration, test)]
    if kinds[0] != kinds[1]:
        raise InputError(
            f"images are {kinds[0]} for calibration, {kinds[1]} for the "
            "test: expected the same"
        )


def _number_of_outputs(network: nn.Module, images, normalization) -> int:
    if images.dtype == torch.uint8:
        images = _normalized(images, normalization)
    images = graph_checks.example(network, images)
    with torch.no_grad():
        outputs = network(images)
    if outputs.dim() != 2 or outputs.shape[1] < 2:
        raise InputError(
            f"the network puts out {tuple(outputs.shape[1:])} for an image: "
            "expected one number for each of two or more classes"
        )
    return outputs.shape[1]


def _normalized(pixels: Tensor, normalization) -> Tensor:
    if normalization is None:
        raise InputError(
            "images are uint8 pixels, and no normalization is given: expected"
            " (mean, std) of pixels from 0 to 1, as the network was trained;"
            " its code may say it, too: normalization = mean, std"
        )
    return normalize(pixels, *plain_normalization(normalization, pixels))


def _shape(images: Tensor) -> str:
    return " x ".join(map(str, images.shape[1:]))


def _kind(images: Tensor) -> str:
    return str(images.dtype).removeprefix("torch.")
