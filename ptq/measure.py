"""What a network predicts, how long it takes, how many bytes it is."""

import os
import platform
import subprocess
import time
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ptq import data, inputs
from ptq.networks import evaluating

EVALUATION_BATCH = 250
TWIN = "A/A"
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


@contextmanager
def pinned_threads(count: int):
    """Let torch compute with ``count`` threads for a while."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def latency(
    networks: dict[str, nn.Module],
    images: Tensor,
    rounds: int,
    threads: int,
    seed: int,
) -> dict[str, list[float]]:
    """Seconds that each network takes for the batch ``images``, per round.

    All networks run in every round, in an order drawn anew from ``seed``;
    before each timed call stands an untimed one, so that every network
    starts from caches that it filled itself. The first network runs a
    second time, as "A/A": the ratio of the two is the stopwatch's own error.
    ``images`` is float32 (N, 3, 32, 32).
    """
    networks = networks | {TWIN: next(iter(networks.values()))}
    order = np.random.default_rng(seed)
    samples = {name: [] for name in networks}
    with (
        evaluating(*networks.values()),
        pinned_threads(threads),
        torch.inference_mode(),
    ):
        for network in networks.values():
            network(images)
        for _ in range(rounds):
            for name in order.permutation(list(networks)):
                networks[name](images)
                samples[name].append(_seconds(networks[name], images))
    return samples


def module_seconds(
    networks: dict[str, nn.Module],
    images: Tensor,
    rounds: int,
    threads: int,
    seed: int,
    inner: tuple[str, ...] = (),
) -> dict[str, dict[str, np.ndarray]]:
    """Seconds (rounds,) that the parts of each network take for a batch.

    As in ``latency``, all networks run in every round, in an order drawn
    anew from ``seed``, and an untimed call goes before each timed one: times
    of one round may be compared. ``images`` is float32 (N, 3, 32, 32). The
    parts of an integer network are those inside its stubs; ``inner`` names
    parts of parts ("conv2.0"), timed in the networks that have them.
    ValueError where none has.
    """
    order = np.random.default_rng(seed)
    clocks = {name: _Clock(net, inner) for name, net in networks.items()}
    if unknown := set(inner).difference(*(c.spans for c in clocks.values())):
        raise ValueError(f"{sorted(unknown)}: no network has such a part")
    found = {n: {k: [] for k in c.spans} for n, c in clocks.items()}
    with (
        evaluating(*networks.values()),
        pinned_threads(threads),
        torch.inference_mode(),
    ):
        for _ in range(rounds):
            for name in order.permutation(list(networks)):
                networks[name](images)
                with clocks[name]:
                    networks[name](images)
                for part, seconds in clocks[name].spans.items():
                    found[name][part].append(seconds)
    return {
        name: {part: np.array(taken) for part, taken in parts.items()}
        for name, parts in found.items()
    }


class _Clock:
    """Hooks, inside a with block, that time the parts of one network.

    ``spans`` holds the seconds that each part took when it last ran.
    """

    def __init__(self, network: nn.Module, inner: tuple[str, ...]):
        inside = getattr(network, "module", network)
        modules = dict(inside.named_modules())
        names = [name for name, _ in inside.named_children()]
        names += [name for name in inner if name in modules]
        self.spans = dict.fromkeys(names, float("nan"))
        self._parts = {name: modules[name] for name in names}

    def __enter__(self):
        self._hooks = []
        for name, part in self._parts.items():
            start, stop = self._watch(name)
            self._hooks.append(part.register_forward_pre_hook(start))
            self._hooks.append(part.register_forward_hook(stop))

    def __exit__(self, *error):
        for hook in self._hooks:
            hook.remove()

    def _watch(self, name: str) -> tuple[Callable, Callable]:
        def start(module, inputs):
            self.spans[name] = -time.perf_counter()

        def stop(module, inputs, output):
            self.spans[name] += time.perf_counter()

        return start, stop


def _seconds(function: Callable, argument: Tensor) -> float:
    started = time.perf_counter()
    function(argument)
    return time.perf_counter() - started


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
