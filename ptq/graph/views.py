"""Which results of an exported network lie in the same memory."""

import torch
from torch import Tensor, fx

from ptq.graph import user_code
from ptq.graph.errors import UnsupportedError
from ptq.graph.nodes import COUNT


def check_no_write(found: fx.Node) -> None:
    """Raise UnsupportedError where a call without a result is a write.

    So do those into the tensors of a list, which no graph would show.
    """
    schema = getattr(found.target, "_schema", None)
    if schema is not None and schema.is_mutable:
        word = str(found.target)
        raise UnsupportedError(
            f"{user_code.of_call(found, word)}: it writes by {word}: make "
            "a new tensor, as by torch.cat"
        )


def check_write(found: fx.Node, known: list[fx.Node]) -> None:
    """Raise UnsupportedError where others read later what a call writes.

    A graph has no memory that two results share: only the written one of
    ``known`` would change in it.
    """
    order = {node: i for i, node in enumerate(found.graph.nodes)}
    written = found.args[0]
    for other in known:
        later = any(order[user] > order[found] for user in other.users)
        if other is not written and later and _overlap(written, other):
            raise UnsupportedError(
                "it writes into a view, and what that is a view of, or "
                "another view of it, is read later: make a new tensor, as by "
                "y = y.clamp(max=6), and torch.cat"
            )


def _overlap(first: fx.Node, second: fx.Node) -> bool:
    """Whether two results may share a number; True where it is not known."""
    a, b = first.meta.get("val"), second.meta.get("val")
    if not (isinstance(a, Tensor) and isinstance(b, Tensor)):
        return False  # lists, whose parts are nodes of their own; sizes
    if a.untyped_storage()._cdata != b.untyped_storage()._cdata:
        return False
    (step, here), (other, there) = _places(a), _places(b)
    if None in (step, other) or step != other or a.dtype != b.dtype:
        return True
    return bool(torch.isin(here, there).any())


def _places(val: Tensor) -> tuple[int | None, Tensor | None]:
    """From image to image, and where the numbers of the first one lie.

    (None, None) where images do not lie one behind the other.
    """
    dims = [i for i, n in enumerate(val.shape) if n % COUNT == 0]
    if len(dims) != 1 or val.shape[dims[0]] != COUNT:
        return None, None
    step = val.stride(dims[0])
    inner = [i for i in range(val.dim()) if i != dims[0]]
    size = [val.shape[i] for i in inner]
    stride = [val.stride(i) for i in inner]
    first = val.storage_offset()
    last = first + sum((n - 1) * s for n, s in zip(size, stride, strict=True))
    if last >= step:
        return None, None
    places = torch.arange(last + 1).as_strided(size, stride, first)
    return step, places.flatten()
