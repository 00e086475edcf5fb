"""Float networks on disk, each with a card that is checked."""

import hashlib
import json
import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

from ptq import input_checks, packing, paths
from ptq.networks.recipes import Recipe
from ptq.packing import CheckpointError


def of_recipe(recipe: Recipe, folder: Path) -> Path | None:
    """The recipe's checkpoint: in ``folder``, else shipped, else none."""
    for place in (folder, paths.checkpoint_folder()):
        path = place / f"{recipe.name}.pt"
        if path.exists():
            return path
    return None


def save_checkpoint(network: nn.Module, path: Path, card: dict) -> None:
    """Write tensors to ``path`` and the card, with its checksum, beside."""
    packed = packing.pack(
        {k: v.cpu() for k, v in network.state_dict().items()}
    )
    card = card | {"sha256": hashlib.sha256(packed).hexdigest()}
    # The tensors last: where they are, there is a card.
    paths.write_whole(card_path(path), json.dumps(card, indent=1) + "\n")
    paths.write_whole(path, packed)


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
            f"{card.get('sha256')}; delete both to train again"
        )
    state = _as_float32(path, packing.unpack(path, content))
    if not any(k.startswith("module.") for k in network.state_dict()):
        state = {k.removeprefix("module."): v for k, v in state.items()}
    _refuse_other_network(path, state, network)
    network.load_state_dict(state)
    return card


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
                input_checks.check_finite(name, state[name])
            except input_checks.InputError as error:
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
