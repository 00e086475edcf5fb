"""Float networks on disk, each with a card that is checked."""

import hashlib
import json
from pathlib import Path

from torch import nn

from ptq import checkpoint_bytes, input_checks, paths
from ptq.checkpoint_bytes import CheckpointError
from ptq.graph.checkpoints import filled
from ptq.graph.errors import UnsupportedError
from ptq.networks.recipes import Recipe


def of_recipe(recipe: Recipe, folder: Path) -> Path | None:
    """The recipe's checkpoint: in ``folder``, else shipped, else none."""
    for place in (folder, paths.checkpoint_folder()):
        path = place / f"{recipe.name}.pt"
        if path.exists():
            return path
    return None


def save_checkpoint(network: nn.Module, path: Path, card: dict) -> None:
    """Write tensors to ``path`` and the card, with its checksum, beside."""
    packed = checkpoint_bytes.pack(
        {k: v.cpu() for k, v in network.state_dict().items()}
    )
    card = card | {"sha256": hashlib.sha256(packed).hexdigest()}
    # The tensors last: where they are, there is a card.
    paths.write_json(card_path(path), card)
    paths.write_whole(path, packed)


def load_checkpoint(path: Path, network: nn.Module) -> dict:
    """Fill ``network`` with the tensors of ``path``; return the card.

    Prefixes and half precision are handled as in ``graph.checkpoints``.
    Raises CheckpointError where a file is missing, its checksum is off, or
    it does not hold finite tensors, and, naming the layer, where it belongs
    to another network, which then is unchanged.
    """
    try:
        card = dict(json.loads(card_path(path).read_text()))
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    except (OSError, ValueError, TypeError) as error:
        raise CheckpointError(f"{path} or its card: {error}") from error
    if digest != card.get("sha256"):
        raise CheckpointError(
            f"{path} is damaged: SHA-256 is {digest}, its card says "
            f"{card.get('sha256')}; delete both to train again"
        )
    try:
        trained = filled(network, path)
        input_checks.check_weights(trained)
    except UnsupportedError as error:
        raise CheckpointError(str(error)) from error
    except input_checks.InputError as error:
        raise CheckpointError(f"{path}: {error}") from error
    network.load_state_dict(trained.state_dict())
    return card


def card_path(path: Path) -> Path:
    """The JSON card that lies beside a checkpoint."""
    return path.with_suffix(".json")
