"""The files of a deployment against the network that they were made of."""

import numpy as np
from torch import Tensor

from ptq.deploy import loading
from ptq.deploy.card import Check
from ptq.deploy.outputs import asked
from ptq.engines.onnx_module import OnnxModule
from ptq.engines.onnx_runtime import Ran
from ptq.graph import UnsupportedError
from ptq.quantizer.network import QuantizedNetwork

# The largest difference of logits in float32, as a share of the largest.
TOLERANCE = 1e-4
# The least share of predictions that simulation and runtime must have alike.
ALIKE = 0.995
FLOAT_IMAGES, INTEGER_IMAGES = 64, 256


def in_float(name: str, exact: Tensor, found: Tensor) -> Check:
    """Logits (N, C) that must be equal, but for rounding in float32.

    Raises UnsupportedError where they are not, for then nothing that follows
    would mean anything.
    """
    share = float((exact - found).abs().max() / exact.abs().max())
    told = (
        f"logits differ by at most {share:.1g} of the largest, on "
        f"{len(exact)} images; allowed are {TOLERANCE:g}"
    )
    if not share <= TOLERANCE:
        raise UnsupportedError(f"{name}: {told}")
    return Check(name, True, told)


def folded(network: QuantizedNetwork, exact: Tensor, images: Tensor) -> Check:
    """The graph with BN folded; ``exact`` is the network's logits (N, C).

    ``images`` is float32 (N, ...), normalized. Errors as of ``in_float``.
    """
    return in_float("BN folded", exact, network.graph(images))


def float_file(content: bytes, exact: Tensor, images: Tensor) -> Check:
    """The float ONNX file; ``exact`` is the network's logits (N, C).

    ``images`` is float32 (N, ...), normalized. Errors as of ``in_float``.
    """
    return in_float(loading.FLOAT_ONNX, exact, OnnxModule(content)(images))


def parity(
    network: QuantizedNetwork, images: Tensor, ran: np.ndarray
) -> Check:
    """Predictions of the simulation and of the file; ``ran`` is (N, C).

    ``images`` is (N, C, H, W), as the network takes them.
    """
    images = images[:INTEGER_IMAGES]
    simulated = asked(network, images).argmax(1).numpy()
    same = int((simulated == ran[: len(images)].argmax(1)).sum())
    return Check(
        "simulation",
        same >= ALIKE * len(images),
        f"the file predicts as the simulation for {same} of {len(images)} "
        "images",
    )


def integers(ran: list[Ran]) -> Check:
    """What ran in integers, as the runtime's own profile of it tells.

    Whatever fell back to float unasked was refused when the file was loaded.
    """
    by_kind = {
        kind: sorted({one.node for one in ran if one.precision == kind})
        for kind in ("integer", "float")
    }
    told = (
        f"{len(by_kind['integer'])} operations ran in integers, "
        f"{len(by_kind['float'])} in float"
    )
    if by_kind["float"]:
        told += f": {', '.join(by_kind['float'])}"
    return Check("ONNX Runtime", True, told)
