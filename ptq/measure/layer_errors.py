"""Error of each quantized layer, and of the outputs."""

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional

from ptq.graph.module_outputs import capture
from ptq.quantizer.affine import mse, sqnr
from ptq.quantizer.network import QuantizedNetwork

# The module of the float network whose output matches that of the folded
# quantized layer.
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
    """Error of each quantized layer's output against a float module's.

    ``points`` names, for each quantized layer, the float module to compare
    with; ``images`` is float32 (N, 3, 32, 32). Both networks run in eval mode
    and are not changed. Raises KeyError where one has no module of a name or
    never uses it, ValueError where the shapes of a pair differ, InputError
    where images are none, not float32, or not finite.
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


def graph_errors(
    network: QuantizedNetwork, images: Tensor
) -> dict[str, LayerError]:
    """Error of the results on each grid, against the float graph's.

    ``images`` is float32 (N, ...), normalized, or uint8 where the network
    knows its normalization; N results are kept of every node. Each error is
    named after the grid's owner: with a fused ReLU, it is taken behind that.
    Errors of earlier layers are in it. UnsupportedError where the images do
    not fit.
    """
    images, found = network.normalized(images), {}
    for compute in (network.graph.compute, network.compute):

        def keep(node, given, compute=compute):
            result = compute(node, given)
            if node.name in network.grids:
                found.setdefault(node.name, []).append(result)
            return result

        network.graph.walk(images, keep)
    return {
        name: LayerError(float(mse(*pair)), sqnr(*pair))
        for name, pair in found.items()
    }


def noisiest(network: QuantizedNetwork, images: Tensor) -> list[str]:
    """Layers, first the one whose result has the most error of its own.

    That is the share of noise behind it that is not before it, for images
    (N, ...) as of ``graph_errors``, whose errors it raises.
    """
    errors = graph_errors(network, images)

    def noise(node: str) -> float:
        owner = network.owners.get(node)
        return 10 ** (-errors[owner].sqnr / 10) if owner in errors else 0.0

    added = {
        name: noise(name) - noise(network.graph.nodes[name].inputs[0])
        for name in network.integers
    }
    return sorted(added, key=added.get, reverse=True)


def divergence(wanted: Tensor, found: Tensor) -> float:
    """Mean Kullback-Leibler divergence (nats) of two networks' outputs.

    Both are logits, float32 (N, 10); the first is the reference. Raises
    ValueError where their shapes differ.
    """
    if wanted.shape != found.shape:
        raise ValueError(
            f"logits of shapes {tuple(wanted.shape)} and "
            f"{tuple(found.shape)}: expected the same"
        )
    log_p, log_q = (functional.log_softmax(x, 1) for x in (wanted, found))
    return float((log_p.exp() * (log_p - log_q)).sum(1).mean())
