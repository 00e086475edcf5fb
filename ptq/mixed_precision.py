"""Which layer suffers from quantization, to choose what stays float."""

from dataclasses import dataclass

from torch import Tensor, nn

from ptq.networks import capture
from ptq.quantizer import mse, sqnr

# Where the float network puts out what the folded integer layer does.
PUBLISHED_POINTS = {
    "conv1": "conv1",
    "conv2": "conv2",
    "fc1": "fc1",
    "fc2": "fc2",
}
LIKE_FOR_LIKE_POINTS = PUBLISHED_POINTS | {"conv1": "relu1", "conv2": "relu2"}


@dataclass(frozen=True)
class LayerError:
    """Error of one layer's output: mean square, and SQNR in dB."""

    mse: float
    sqnr: float


def layer_errors(
    network: nn.Module,
    quantized: nn.Module,
    images: Tensor,
    points: dict[str, str],
) -> dict[str, LayerError]:
    """Error of each integer layer's output against a float module's.

    ``points`` names, for each integer layer, the float module to compare it
    with; ``images`` is float32 (N, 3, 32, 32).
    """
    wanted = capture(network, points.values(), images)
    found = capture(quantized, [f"module.{n}" for n in points], images)
    return {
        name: LayerError(
            float(mse(wanted[point], found[f"module.{name}"])),
            sqnr(wanted[point], found[f"module.{name}"]),
        )
        for name, point in points.items()
    }
