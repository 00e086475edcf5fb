"""The networks, their cost per layer, and their checkpoints."""

import hashlib
import io
import json
from collections.abc import Iterable
from pathlib import Path

import torch
from torch import Tensor, nn

from ptq import paths


class CompactCNN(nn.Module):
    """The published network: two convolutions with BN, two linear layers.

    Takes float32 (N, 3, 32, 32) in [-1, 1]; returns logits (N, 10).
    ``blocks`` lists what may be folded and fused: (convolution, BN, ReLU).
    """

    blocks = (("conv1", "bn1", "relu1"), ("conv2", "bn2", "relu2"))

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 32, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(32)
        self.relu1 = nn.ReLU()
        self.pool1 = nn.MaxPool2d(2)
        self.conv2 = nn.Conv2d(32, 64, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(64)
        self.relu2 = nn.ReLU()
        self.pool2 = nn.MaxPool2d(2)
        self.fc1 = nn.Linear(64 * 8 * 8, 128)
        self.relu3 = nn.ReLU()
        self.fc2 = nn.Linear(128, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool1(self.relu1(self.bn1(self.conv1(x))))
        x = self.pool2(self.relu2(self.bn2(self.conv2(x))))
        x = self.relu3(self.fc1(x.flatten(1)))
        return self.fc2(x)


LAYERS = ("conv1", "conv2", "fc1", "fc2")
INPUT_SHAPE = (1, 3, 32, 32)


class CheckpointError(RuntimeError):
    """A checkpoint is missing, damaged, or belongs to another network."""


def macs(network: nn.Module) -> dict[str, int]:
    """Multiply-accumulates for one image, per convolution and linear."""
    layers = {
        name: module
        for name, module in network.named_modules()
        if isinstance(module, nn.Conv2d | nn.Linear)
    }
    outputs = capture(network, layers, torch.zeros(INPUT_SHAPE))
    return {
        name: outputs[name].numel() * module.weight[0].numel()
        for name, module in layers.items()
    }


def capture(
    network: nn.Module, names: Iterable[str], images: Tensor, at="output"
) -> dict[str, Tensor]:
    """What the named modules put out (or take in) for ``images``.

    ``images`` is float32 (N, 3, 32, 32); ``at`` is "output" or "input".
    Quantized tensors come back dequantized to float32.
    """
    seen = {}

    def keep(name):
        def hook(module, inputs, output):
            tensor = output if at == "output" else inputs[0]
            seen[name] = tensor.dequantize().clone()

        return hook

    modules = dict(network.named_modules())
    chosen = {name: modules[name] for name in names}
    hooks = [m.register_forward_hook(keep(n)) for n, m in chosen.items()]
    try:
        with torch.no_grad():
            network(images)
    finally:
        for hook in hooks:
            hook.remove()
    return seen


def save_checkpoint(network: nn.Module, path: Path, card: dict) -> None:
    """Write tensors to ``path`` and the card, with its checksum, beside."""
    packed = pack({k: v.cpu() for k, v in network.state_dict().items()})
    card = card | {"sha256": hashlib.sha256(packed).hexdigest()}
    # The tensors last: where they are, there is a card.
    paths.write_whole(card_path(path), json.dumps(card, indent=1) + "\n")
    paths.write_whole(path, packed)


def pack(state: dict) -> bytes:
    """The bytes that torch.save makes of ``state``.

    Made in memory, for torch writes a file's own name into it, and equal
    states shall have equal sizes and checksums.
    """
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()


def load_checkpoint(path: Path, network: nn.Module) -> dict:
    """Fill ``network`` with the tensors of ``path``; return the card.

    Raises CheckpointError where a file is missing or its checksum is off,
    or, naming the layer, where it belongs to another network.
    """
    try:
        card = dict(json.loads(card_path(path).read_text()))
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} or its card: {error}") from error
    if digest != card.get("sha256"):
        raise CheckpointError(
            f"{path} is damaged: SHA-256 is {digest}, its card says "
            f"{card.get('sha256')}; delete both to train anew"
        )
    state = torch.load(path, weights_only=True, map_location="cpu")
    _refuse_other_network(path, state, network)
    network.load_state_dict(state)
    return card


def card_path(path: Path) -> Path:
    """The JSON card that lies beside a checkpoint."""
    return path.with_suffix(".json")


def _refuse_other_network(path: Path, state: dict, network: nn.Module):
    expected = network.state_dict()
    for name in sorted(expected.keys() | state.keys()):
        wanted, found = (
            tuple(tensors[name].shape) if name in tensors else "absent"
            for tensors in (expected, state)
        )
        if wanted != found:
            raise CheckpointError(
                f"{path} is of another network: {name} is {found} there, "
                f"{wanted} in {type(network).__name__}"
            )
