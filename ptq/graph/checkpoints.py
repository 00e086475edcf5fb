"""A reader's checkpoint into a reader's network, or one clear sentence."""

import copy
import io
import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

from ptq.graph.errors import UnsupportedError

# Left by parallel training and by torch.compile, and by who saves more.
PREFIXES = ("module.", "_orig_mod.")
WRAPPERS = ("state_dict", "model_state_dict", "model", "net")


def filled(model: nn.Module, path: str | Path) -> nn.Module:
    """A copy of ``model`` with the tensors of a file that torch.save wrote.

    The file holds a state, or a dict with one as "state_dict" or "model";
    prefixes "module." and "_orig_mod." are dropped, other precisions become
    the model's own, with a warning. No code in it is run. ``model`` is left
    as it is. Raises UnsupportedError, naming the file and the first tensor
    at fault, where it is missing, no such file, or of another network.
    """
    state = {_plain(name): t for name, t in _state(Path(path)).items()}
    wanted = model.state_dict()
    # Checkpoints older than torch 0.4 do not count the batches.
    optional = {n for n in wanted if n.endswith("num_batches_tracked")}
    for name in sorted(wanted.keys() | state.keys() - optional):
        here, there = (
            tuple(tensors[name].shape) if name in tensors else "absent"
            for tensors in (wanted, state)
        )
        if here != there and name not in optional:
            raise UnsupportedError(
                f"{path} is of another network: {name} is {there} there, "
                f"{here} in {type(model).__name__}"
            )
    if odd := [
        t.dtype for n, t in state.items() if _is_odd(path, n, t, wanted)
    ]:
        warnings.warn(
            f"{path} holds {_name(odd[0])} numbers: converted to those of "
            "the network",
            stacklevel=2,
        )
    copied = copy.deepcopy(model)
    copied.load_state_dict(state, strict=False)
    return copied


def _is_odd(path, name: str, tensor: Tensor, wanted: dict) -> bool:
    """Whether a tensor has another precision; codes are no weights."""
    here = wanted.get(name, tensor).dtype
    if here.is_floating_point and not tensor.is_floating_point():
        raise UnsupportedError(
            f"{path}: {name} is {_name(tensor.dtype)}: expected float "
            "numbers, not codes of a network that is quantized already"
        )
    return tensor.dtype != here


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _state(path: Path) -> dict[str, Tensor]:
    try:
        content = torch.load(
            io.BytesIO(path.read_bytes()),
            map_location="cpu",
            weights_only=True,
        )
    except OSError as error:
        raise UnsupportedError(f"{path}: {error.strerror}") from error
    except Exception as error:  # torch raises many kinds
        raise UnsupportedError(
            f"{path} holds no plain tensors: save model.state_dict() by "
            "torch.save, not the model itself"
        ) from error
    for name in WRAPPERS:
        if isinstance(content, dict) and isinstance(content.get(name), dict):
            content = content[name]
    if not isinstance(content, dict) or not all(
        isinstance(tensor, Tensor) for tensor in content.values()
    ):
        raise UnsupportedError(
            f"{path} holds no tensors by name{_listed(content)}: expected "
            "what model.state_dict() returns"
        )
    return content


def _listed(content) -> str:
    names = list(content)[:8] if isinstance(content, dict) else []
    return f", but {', '.join(map(str, names))}" if names else ""


def _plain(name: str) -> str:
    while name.startswith(PREFIXES):
        name = name.partition(".")[2]
    return name
