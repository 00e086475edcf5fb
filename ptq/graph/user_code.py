"""Where in the user's code something is, and why it cannot be traced."""

import re
import textwrap
import traceback
from pathlib import Path

import torch
from torch import fx, nn

TORCH = f"{Path(torch.__file__).parent}/"
RECURRENT = "its state goes from step to step; quantize what is around it"
# Layers of torch's that are refused whole, and what to do.
WITHOUT_RULES = dict.fromkeys(
    ("RNN", "LSTM", "GRU", "RNNCell", "LSTMCell", "GRUCell"), RECURRENT
) | {
    "MultiheadAttention": "write it by linear layers, @ and softmax, with "
    "the images in front"
}
OURS = f"{Path(__file__).parent}/"


def module(found: fx.Node) -> str:
    """Dotted name of the innermost module of an exported call."""
    stack = _stack(found)
    return stack[-1][0].partition("@")[0] if stack else ""


def in_layer(found: fx.Node) -> bool:
    """Whether the innermost module is one of torch's own, as a ReLU is."""
    stack = _stack(found)
    return bool(stack) and str(stack[-1][1]).startswith("torch.nn.")


def source(found: fx.Node) -> str:
    """The user's line, "net.py:12": the last that is not torch's."""
    lines = re.findall(
        r'File "(.+)", line (\d+)', found.meta.get("stack_trace") or ""
    )
    own = [(file, line) for file, line in lines if _of_user(file)]
    return f"{Path(own[-1][0]).name}:{own[-1][1]}" if own else ""


def of_call(found: fx.Node, name: str) -> str:
    """What a message calls a call: "bn1 (batch_norm, net.py:12)"."""
    line = source(found)
    return f"{module(found) or name} ({f'{name}, {line}' if line else name})"


def of_kind(found: fx.Node) -> str:
    """Why nothing that such a layer does has a rule, or nothing.

    It is one that torch splits into operations, none of which says why.
    """
    for _, kind in reversed(_stack(found)):
        kind = str(getattr(kind, "__name__", kind)).rpartition(".")[2]
        if kind in WITHOUT_RULES:
            return f"{kind} has no rule: {WITHOUT_RULES[kind]}"
    return ""


def reason(model: nn.Module, error: Exception) -> str:
    """One sentence: where a network cannot be traced, and why."""
    text, place = str(error), ""
    frames = traceback.extract_tb(error.__traceback__)
    if users := [f for f in frames if _of_user(f.filename)]:
        last, line = users[-1], textwrap.shorten(users[-1].line or "", 60)
        place = f" at {Path(last.filename).name}:{last.lineno}, `{line}`"
    if "data-dependent" in text.lower():
        why = "what runs next depends on the values of the images"
    elif "specialized" in text or "constraints" in text.lower():
        why = "it works for one number of images only"
    elif "fake tensor in the exported program" in text:
        why = (
            "it takes the data of a tensor, as w.data, which cannot be "
            "followed: use the tensor itself, or w.detach()"
        )
    else:
        why = (text.strip().splitlines() or [type(error).__name__])[0]
    return f"{type(model).__name__} cannot be traced{place}: {why}"


def _stack(found: fx.Node) -> list[tuple]:
    return list(found.meta.get("nn_module_stack", {}).values())


def _of_user(file: str) -> bool:
    return not file.startswith((TORCH, OURS, "<"))
