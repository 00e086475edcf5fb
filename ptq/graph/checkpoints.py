"""A reader's checkpoint into a reader's network, or one clear sentence."""

import io
import pickle
import warnings
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

from ptq import input_checks
from ptq.graph import plain_copies
from ptq.graph.errors import UnsupportedError

# Left by parallel training and by torch.compile, and by who saves more.
PREFIXES = ("module.", "_orig_mod.")
WRAPPERS = ("state_dict", "model_state_dict", "model", "net")
# How files of torch.save begin: today's, and those before torch 1.6.
ZIP, PICKLE = b"PK", b"\x80"
DAMAGED = "is cut off or damaged: save it again, or copy it again"
FOREIGN = "is no file of torch.save: expected torch.save(model.state_dict())"


def filled(model: nn.Module, path: str | Path) -> nn.Module:
    """A copy of ``model`` with the tensors of a file that torch.save wrote.

    The file holds a state, or a dict with one as "state_dict" or "model";
    prefixes "module." and "_orig_mod." are dropped, and one that all names
    have where they fit without it. Other precisions become the model's own,
    with a warning. No code in it is run. ``model`` is left as it is. Raises
    UnsupportedError, naming the file and what is at fault, where it is
    missing, damaged, of another network, or has two states.
    """
    wanted = model.state_dict()
    state = _named(path, _state(Path(path)), wanted)
    optional = wanted.keys() - _essential(wanted)
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
    copied = plain_copies.deep(model)
    copied.load_state_dict(state, strict=False)
    return copied


def _is_odd(path, name: str, tensor: Tensor, wanted: dict) -> bool:
    """Whether a tensor has another precision; codes are no weights."""
    here = wanted.get(name, tensor).dtype
    if tensor.is_complex() and not here.is_complex:
        raise UnsupportedError(
            f"{path}: {name} is complex ({_name(tensor.dtype)}): expected "
            f"{_name(here)}; save its real numbers, as by tensor.real"
        )
    if here.is_floating_point and not tensor.is_floating_point():
        raise UnsupportedError(
            f"{path}: {name} is {_name(tensor.dtype)}: expected float "
            "numbers, not codes of a network that is quantized already"
        )
    return tensor.dtype != here


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _named(path, found: dict, wanted: dict) -> dict[str, Tensor]:
    """A file's tensors by the names that the network has for them."""
    for name, tensor in found.items():
        if not (input_checks.is_plain(tensor) or tensor.is_quantized):
            raise UnsupportedError(
                f"{path}: {name} is sparse, nested or without numbers (meta "
                "device): expected an ordinary one; save its numbers, "
                "a sparse one as tensor.to_dense()"
            )
    if found.keys() == wanted.keys():
        return found  # a network may call a part of its own "module"
    origins = {}
    for name in found:
        other = origins.setdefault(_plain(name), name)
        if other != name:
            raise UnsupportedError(
                f"{path} holds two tensors for {_plain(name)}: {other} and "
                f"{name}: expected one; save the one that you mean alone"
            )
    for cut in _shortened(list(origins)):
        if _essential(cut) == _essential(wanted):
            origins = dict(zip(cut, origins.values(), strict=True))
            break
    return {name: found[origin] for name, origin in origins.items()}


def _shortened(names: list[str]) -> Iterator[list[str]]:
    """The names, and without each part that all of them begin with."""
    yield names
    while len({n.partition(".")[0] for n in names}) == 1 and all(
        "." in n for n in names
    ):
        names = [n.partition(".")[2] for n in names]
        yield names


def _essential(names: Iterable[str]) -> set[str]:
    """Without counts of batches: torch before 0.4 did not write these."""
    return {n for n in names if not n.endswith("num_batches_tracked")}


def _state(path: Path) -> dict[str, Tensor]:
    content = _content(path)
    found = dict(_states(content))
    meant = [where for where in found if not set(where) - set(WRAPPERS)]
    if not meant:
        raise UnsupportedError(
            f"{path} holds no tensors by name{_listed(content)}: expected "
            "what model.state_dict() returns"
        )
    alike = _names(found[meant[0]])
    several = [
        ".".join(where)
        for where, state in found.items()
        if where in meant or _names(state) == alike
    ]
    if len(several) > 1:
        raise UnsupportedError(
            f"{path} holds {len(several)} states ({', '.join(several)}): "
            "expected one; save the one that you mean alone"
        )
    return found[meant[0]]


def _states(content, where: tuple = ()) -> Iterator[tuple]:
    """Each dict of tensors by name, however deep, and where it is."""
    if not isinstance(content, dict):
        return
    if all(
        isinstance(name, str) and isinstance(tensor, Tensor)
        for name, tensor in content.items()
    ):
        if content or not where:
            yield where, content
        return
    for name, inner in content.items():
        yield from _states(inner, (*where, str(name)))


def _names(state: dict) -> set[str]:
    """What two states of one network have in common."""
    *_, shortest = _shortened([_plain(name) for name in state])
    return set(shortest)


def _content(path: Path):
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UnsupportedError(f"{path}: {error.strerror}") from error
    if fault := _damage(content):
        raise UnsupportedError(f"{path} {fault}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of sparse ones: refused here
            return torch.load(
                io.BytesIO(content), map_location="cpu", weights_only=True
            )
    except pickle.UnpicklingError as error:
        raise UnsupportedError(
            f"{path} holds no plain tensors: save model.state_dict() by "
            "torch.save, not the model itself"
        ) from error
    except Exception as error:  # torch raises many kinds
        raise UnsupportedError(f"{path} {DAMAGED}") from error


def _damage(content: bytes) -> str:
    """What is wrong with a file as such, or nothing."""
    if not content:
        return "is empty: save it again, or copy it again"
    if not content.startswith((ZIP, PICKLE)):
        return FOREIGN
    if not content.startswith(ZIP):
        return ""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            names = [name.rpartition("/")[2] for name in archive.namelist()]
            # torch can be told to write none of these checksums.
            summed = any(one.CRC for one in archive.infolist())
            if summed and archive.testzip():
                return DAMAGED
            if any(map(_is_odd_folder, archive.infolist())):
                return DAMAGED
    except Exception:  # zipfile raises many kinds
        return DAMAGED
    if "constants.pkl" in names:
        return "is a TorchScript file: save model.state_dict() by torch.save"
    return "" if "data.pkl" in names else FOREIGN


def _is_odd_folder(one: zipfile.ZipInfo) -> bool:
    """Whether a file has the bit of folders: torch does not read these.

    It leaves the numbers of such a one as the memory has them.
    """
    return bool(one.external_attr & 0x10) and not one.is_dir()


def _listed(content) -> str:
    names = list(content)[:8] if isinstance(content, dict) else []
    return f", but {', '.join(map(str, names))}" if names else ""


def _plain(name: str) -> str:
    while name.startswith(PREFIXES):
        name = name.partition(".")[2]
    return name
