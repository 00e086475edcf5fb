"""What a network predicts, how many bytes it is, and on which machine."""

import os
import platform
import subprocess
from pathlib import Path

import torch
from torch import Tensor, nn

from ptq import data, inputs
from ptq.networks import evaluating

EVALUATION_BATCH = 250
FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8", "asimddp")


def logits(network: nn.Module, images: Tensor) -> Tensor:
    """Outputs, float32 (N, 10), for uint8 images (N, 3, 32, 32).

    The network is asked in eval mode and left as it was. Raises InputError
    where there are no images, their dtype or shape does not fit, or the
    network puts out anything but one tensor of finite numbers.
    """
    inputs.check_pixels(images)
    with (
        evaluating(network),
        inputs.fitting(network, images),
        torch.inference_mode(),
    ):
        parts = [
            network(data.normalize(part))
            for part in images.split(EVALUATION_BATCH)
        ]
    inputs.check_outputs(parts[0])
    outputs = torch.cat(parts)
    inputs.check_finite("outputs", outputs)
    return outputs


def payload_bytes(network: nn.Module) -> int:
    """Bytes of all numbers in the network's state, without file headers.

    The network may be a float or an integer one.
    """

    def count(value) -> int:
        if isinstance(value, Tensor):
            return value.numel() * value.element_size()
        if isinstance(value, tuple | list):
            return sum(count(part) for part in value)
        return 0

    return sum(count(value) for value in network.state_dict().values())


def counted_bytes(
    network: nn.Module, bits: dict[str, int], folded: bool
) -> dict[str, int]:
    """Bytes that a network of these widths needs, by what they hold.

    Counted from the shapes of the float ``network`` and the weight ``bits``
    of its layers, not from any saved state, so that the two can disagree. A
    grid of codes is a scale of 4 bytes and a zero point of 8 (of 4 behind
    an unfolded BN).
    """
    layers = {name: getattr(network, name) for name in bits}
    integer = [name for name, width in bits.items() if width < 32]
    weights = sum(n.weight.numel() * bits[k] for k, n in layers.items()) // 8
    biases = sum(
        4 * len(layer.weight)
        for layer in layers.values()
        if folded or layer.bias is not None
    )
    grids = 12 * (1 + len(layers)) if integer else 0
    norms = 0
    for conv, bn, *_ in () if folded else network.blocks:
        norms += 4 * 4 * getattr(network, bn).num_features + 8
        grids += 8 if conv in integer else 0
    return {"weights": weights, "biases": biases, "BN": norms, "grids": grids}


def machine() -> dict:
    """What the numbers depend on: processor, its features, versions, load."""
    description, features = _processor()
    return {
        "processor": description,
        "architecture": platform.machine(),
        "system": platform.system(),
        "cores": os.cpu_count(),
        "features": [flag for flag in FLAGS if flag in features],
        "torch_capability": torch.backends.cpu.get_cpu_capability(),
        "load": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def _processor() -> tuple[str, set[str]]:
    """Name and feature flags, from where Linux or macOS keep them."""
    if platform.system() == "Darwin":
        names = ["machdep.cpu.brand_string", "hw.optional.arm.FEAT_DotProd"]
        found = subprocess.run(
            ["sysctl", "-n", *names], capture_output=True, text=True
        ).stdout.split("\n")
        return found[0], {"asimddp"} if "1" in found[1:2] else set()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown", set()
    facts = dict(
        (part.strip() for part in line.split(":", 1))
        for line in reversed(lines)
        if ":" in line
    )
    flags = facts.get("flags", facts.get("Features", ""))
    return facts.get("model name", platform.machine()), set(flags.split())
