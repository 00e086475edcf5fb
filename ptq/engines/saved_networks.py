"""A network's numbers in a file that is read whole and right, or refused.

A file is what ``checkpoint_bytes.pack`` makes of the state, and 64 bytes
more: the SHA-256 of the network's structure, and that of all bytes before it.
"""

import hashlib
from pathlib import Path

from torch import Tensor, nn

from ptq import checkpoint_bytes
from ptq.checkpoint_bytes import DIGEST, CheckpointError
from ptq.graph import plain_copies

# Settings of a layer that its state brings along, or that change in use.
NO_STRUCTURE = ("scale", "zero_point", "training")


def save(network: nn.Module, path: Path) -> int:
    """Write the state of a float or integer network; the file's bytes.

    The file is the same, byte for byte, for equal networks. Raises OSError
    where it cannot be written; then an older file is left as it was.
    """
    content = checkpoint_bytes.pack(network.state_dict())
    content += _structure(network, _engine(network))
    return checkpoint_bytes.write_sealed(path, content)


def load(network: nn.Module, path: Path, engines: list[str]) -> nn.Module:
    """Fill ``network`` from a file that ``save`` made of one built alike.

    ``engines`` are those that the file may be of, to name it. Raises
    CheckpointError, naming file and reason, where the file is missing,
    damaged, or of another structure: then ``network`` is unchanged.
    """
    packed, structure = _read(path)
    state = checkpoint_bytes.unpack(path, packed)
    _refuse_other_state(path, state, network.state_dict())
    _refuse_other_structure(path, structure, network, engines)
    # A copy first: should torch refuse it after all, nothing is half done.
    trial = plain_copies.deep(network)
    try:
        trial.load_state_dict(state)
    except Exception as error:  # torch raises many kinds
        first = str(error).partition("\n")[0]
        raise CheckpointError(
            f"{path} holds no state that torch takes for this network "
            f"({type(error).__name__}: {first}): save it again"
        ) from error
    network.load_state_dict(state)
    return network


def _read(path: Path) -> tuple[bytes, bytes]:
    """The packed state and the digest of the structure, checked."""
    damaged = CheckpointError(
        f"{path} is damaged, or no saved state of a network: its "
        "checksum differs; save it again"
    )
    body = checkpoint_bytes.read_sealed(path, damaged)
    return body[:-DIGEST], body[-DIGEST:]


def _refuse_other_state(path: Path, state: dict, expected: dict) -> None:
    found, wanted = (
        {k: _kind(v) for k, v in s.items()} for s in (state, expected)
    )
    for name in sorted(found.keys() | wanted.keys()):
        there, here = (kinds.get(name, "absent") for kinds in (found, wanted))
        if there != here:
            raise CheckpointError(
                f"{path} is of another network: {name} is {there} there, "
                f"{here} here; build this one by the same calls"
            )


def _refuse_other_structure(path, structure, network, engines) -> None:
    here = _engine(network)
    if structure == _structure(network, here):
        return
    for there in engines:
        if structure == _structure(network, there):
            raise CheckpointError(
                f"{path} is of the engine {there}, this network of {here}: "
                "select that engine and build the network again"
            )
    raise CheckpointError(
        f"{path} is of another network: the shapes agree, but not the kinds "
        "of its layers or their settings (fused ReLU, stride, padding); "
        "build this one by the same calls"
    )


def _kind(value) -> str:
    """What a part of a state is, but for its numbers."""
    if isinstance(value, tuple | list):
        return f"({', '.join(map(_kind, value))})"
    if not isinstance(value, Tensor):
        return str(value)
    scheme = f" {value.qscheme()}" if value.is_quantized else ""
    return f"{value.dtype}{scheme} {tuple(value.shape)}".replace("torch.", "")


def _engine(network: nn.Module) -> str:
    """The engine that ``torch_eager.convert`` built for, or none."""
    return getattr(network, "engine", "none")


def _structure(network: nn.Module, engine: str) -> bytes:
    """Digest of the layers' names, kinds and settings, and the engine."""
    lines = [engine]
    for name, module in network.named_modules():
        settings = {
            key: value
            for key, value in sorted(vars(module).items())
            if isinstance(value, bool | int | float | str | tuple)
            and not key.startswith("_")
            and key not in NO_STRUCTURE
        }
        is_layer = type(module).__module__.startswith("torch.")
        is_layer &= not list(module.children())
        lines.append(
            f"{name} {type(module).__name__} {settings if is_layer else ''}"
        )
    return hashlib.sha256("\n".join(lines).encode()).digest()
