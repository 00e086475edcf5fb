"""The networks, their cost per layer, and their checkpoints."""

import copy
import hashlib
import io
import json
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn

from ptq import inputs, paths


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
        """Logits, float32 (N, 10), of images ``x``, float32 (N, 3, 32, 32).

        Torch raises RuntimeError where the shape does not fit.
        """
        x = self.pool1(self.relu1(self.bn1(self.conv1(x))))
        x = self.pool2(self.relu2(self.bn2(self.conv2(x))))
        x = self.relu3(self.fc1(x.flatten(1)))
        return self.fc2(x)


LAYERS = ("conv1", "conv2", "fc1", "fc2")
INPUT_SHAPE = (1, 3, 32, 32)


class CheckpointError(RuntimeError):
    """A checkpoint is missing, damaged, or belongs to another network."""


@contextmanager
def evaluating(*given: nn.Module) -> Iterator[None]:
    """Put networks into eval mode for a while.

    Afterwards every module has the training flag that it had, so that
    whoever goes on training finds dropout and batch normalization as left.
    """
    flags = {m: m.training for network in given for m in network.modules()}
    try:
        for network in given:
            network.eval()
        yield
    finally:
        for module, flag in flags.items():
            module.training = flag


def macs(network: nn.Module) -> dict[str, int]:
    """Multiply-accumulates for one image, per convolution and linear.

    The image has ``INPUT_SHAPE``. Raises InputError where that does not
    fit the network.
    """
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


@torch.no_grad()
def capture(
    network: nn.Module, names: Iterable[str], images: Tensor, at="output"
) -> dict[str, Tensor]:
    """What the named modules put out (or take in) for ``images``.

    ``images`` is float32 (N, 3, 32, 32); ``at`` is "output" or "input".
    Quantized tensors come back dequantized to float32, in the order in
    which the modules ran. A copy in eval mode is asked, as observers, too,
    would remember the images. Raises KeyError where a name is unknown or
    its module never ran, InputError where the images are none, not
    float32, not finite, or do not fit.
    """
    inputs.check_normalized(images)
    seen = {}

    def keep(name):
        def hook(module, given, output):
            tensor = output if at == "output" else given[0]
            seen[name] = tensor.dequantize().clone()

        return hook

    copied = copy.deepcopy(network).eval()
    modules, names = dict(copied.named_modules()), list(names)
    if unknown := [name for name in names if name not in modules]:
        raise KeyError(f"{', '.join(unknown)}: no such module")
    for name in names:
        modules[name].register_forward_hook(keep(name))
    with inputs.fitting(copied, images):
        copied(images)
    if idle := [name for name in names if name not in seen]:
        raise KeyError(f"{', '.join(idle)}: never used by the network")
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

    Numbers of half or double precision become float32, with a warning, and
    the prefix "module." that parallel training leaves is dropped. Raises
    CheckpointError where a file is missing, its checksum is off, or it does
    not hold finite tensors, and, naming the layer, where it belongs to
    another network, which then is unchanged.
    """
    try:
        card = dict(json.loads(card_path(path).read_text()))
        content = path.read_bytes()
    except (OSError, ValueError, TypeError) as error:
        raise CheckpointError(f"{path} or its card: {error}") from error
    digest = hashlib.sha256(content).hexdigest()
    if digest != card.get("sha256"):
        raise CheckpointError(
            f"{path} is damaged: SHA-256 is {digest}, its card says "
            f"{card.get('sha256')}; delete both to train anew"
        )
    state = _as_float32(path, unpack(path, content))
    if not any(k.startswith("module.") for k in network.state_dict()):
        state = {k.removeprefix("module."): v for k, v in state.items()}
    _refuse_other_network(path, state, network)
    network.load_state_dict(state)
    return card


def unpack(path: Path, content: bytes) -> dict:
    """The state that ``pack`` made ``content`` of; runs no code from it.

    Raises CheckpointError, naming ``path``, where it is anything else.
    """
    try:
        state = torch.load(
            io.BytesIO(content), weights_only=True, map_location="cpu"
        )
    except Exception as error:  # torch and pickle raise many kinds
        first = str(error).strip().partition("\n")[0]
        raise CheckpointError(
            f"{path} holds no plain tensors: {first}"
        ) from error
    if not isinstance(state, dict):
        raise CheckpointError(
            f"{path} holds a {type(state).__name__}: expected the state of "
            "a network, name by name"
        )
    return state


def card_path(path: Path) -> Path:
    """The JSON card that lies beside a checkpoint."""
    return path.with_suffix(".json")


def _as_float32(path: Path, state: dict) -> dict:
    """The finite tensors of a state in single precision."""
    odd = []
    for name, tensor in state.items():
        if not isinstance(tensor, Tensor) or not isinstance(name, str):
            raise CheckpointError(
                f"{path}: {name} is a {type(tensor).__name__}, expected a "
                "tensor"
            )
        if tensor.is_floating_point():
            odd += [tensor.dtype] if tensor.dtype != torch.float32 else []
            state[name] = tensor.float()
            try:
                inputs.check_finite(name, state[name])
            except inputs.InputError as error:
                raise CheckpointError(f"{path}: {error}") from None
    if odd:
        warnings.warn(
            f"{path} holds {odd[0]} numbers: converted to float32",
            stacklevel=3,
        )
    return state


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
