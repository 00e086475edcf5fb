"""What torch's eager engine is told: observers, bits, and its kernels."""

import functools
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from ptq.registry import Registry

try:
    from torch.ao import quantization as ao
    from torch.ao.nn import quantized as layers
except ImportError:  # torch is removing it (pytorch/ao issue 2259)
    ao = layers = None
# Torch's own word for no engine.
NONE = "none"
PREFERRED = ("x86", "fbgemm", "qnnpack", "onednn")
OBSERVERS = Registry(
    "observer",
    {
        "minmax": "MinMaxObserver",
        "moving_average": "MovingAverageMinMaxObserver",
        "histogram": "HistogramObserver",
    },
)


class EngineError(ValueError):
    """This machine has no such engine."""


@dataclass(frozen=True)
class QConfig:
    """The observers that choose the grids; as published by default.

    ``per_channel`` is for weights; ``bits`` (1 to 8) and ``observer``, one
    of ``OBSERVERS``, for activations. The smallest and largest value decide
    for "minmax" (Krishnamoorthi, 2018), their moving averages over
    batches, with torch's weight of 0.01, for "moving_average" (Jacob et
    al., 2018, 3.1), and the range of least squared error of a histogram for
    "histogram" (torch's own search; its kind is that of Nagel et al., 2021,
    3.1).
    """

    per_channel: bool = False
    bits: int = 7
    observer: str = "minmax"

    def as_torch(self) -> tuple:
        """The same choice as torch's own ``QConfig``, a named tuple.

        Raises EngineError where ``bits`` is not 1 to 8 or torch has no eager
        kernels, UnknownNameError where the observer is none of
        ``OBSERVERS``.
        """
        require()
        if not 1 <= self.bits <= 8:
            raise EngineError(f"bits={self.bits}: expected 1 to 8")
        weight = (
            ao.default_per_channel_weight_observer
            if self.per_channel
            else ao.default_weight_observer
        )
        observer = getattr(ao, OBSERVERS.row(self.observer))
        activation = observer.with_args(
            quant_min=0, quant_max=2**self.bits - 1
        )
        return ao.QConfig(activation=activation, weight=weight)


def defaults() -> dict[str, QConfig]:
    """The choices of torch's own configurations, read from torch.

    Those of ``default_qconfig``, which the published code uses, and those
    that ``get_default_qconfig`` has for each engine, whether or not this
    machine has it. Raises EngineError where torch has no eager kernels.
    """
    require()
    found = {"default_qconfig": ao.default_qconfig}
    found |= {
        f'get_default_qconfig("{name}")': ao.get_default_qconfig(name)
        for name in PREFERRED
    }
    return {name: _choices(qconfig) for name, qconfig in found.items()}


def _choices(qconfig: "ao.QConfig") -> QConfig:
    names = {observer: name for name, observer in OBSERVERS.items()}
    with warnings.catch_warnings():
        # That ``reduce_range`` will go: torch's own choice, not ours.
        warnings.simplefilter("ignore")
        activation, weight = qconfig.activation(), qconfig.weight()
    return QConfig(
        per_channel=weight.qscheme == torch.per_channel_symmetric,
        bits=(activation.quant_max - activation.quant_min).bit_length(),
        observer=names[type(activation).__name__],
    )


def available() -> list[str]:
    """Integer engines of this build of torch, the preferred one first.

    None where torch has no eager quantization any more.
    """
    found = torch.backends.quantized.supported_engines if ao else ()
    return [name for name in PREFERRED if name in found]


def missing() -> str:
    """What this torch lacks of eager quantization; empty if nothing."""
    if available():
        return ""
    return f"torch {torch.__version__} has no eager quantized kernels"


def require() -> None:
    """Raise EngineError, saying what to do, where torch has no kernels."""
    if told := missing():
        raise EngineError(
            f"{told}; `python -m ptq run` shows the committed results of "
            "chapters that need them, and `python -m ptq quantize` needs none"
        )


def choose(name: str = "auto") -> str:
    """The engine ``name``, or the preferred one for "auto".

    That is "none" where torch has no eager kernels. Raises EngineError,
    naming the engines of this machine.
    """
    engines = available()
    if name == "auto":
        return next(iter(engines), NONE)
    if name not in engines:
        require()
        known = ", ".join(engines)
        raise EngineError(
            f"engine={name!r}: this machine has {known}; expected one of "
            "these or 'auto'"
        )
    return name


def select(name: str = "auto") -> str:
    """Make torch pack and run quantized layers with the chosen engine.

    Torch keeps it until another is selected. Raises EngineError as
    ``choose`` does.
    """
    chosen = choose(name)
    if chosen != NONE:
        torch.backends.quantized.engine = chosen
    return chosen


@contextmanager
def selected(name: str) -> Iterator[str]:
    """Select an engine for a while; the one before comes back.

    Raises EngineError as ``choose`` does.
    """
    before = torch.backends.quantized.engine
    try:
        yield select(name)
    finally:
        torch.backends.quantized.engine = before


def quiet(function: Callable) -> Callable:
    """Silence torch's notices that this API is deprecated, nothing else."""

    @functools.wraps(function)
    def call(*args, **kwargs):
        with warnings.catch_warnings():
            for message in (
                r"torch\.ao\.quantization is deprecated",
                r".*quantized tensor creation functions",
                r".*reduce_range will be deprecated",
                r"TypedStorage is deprecated",
            ):
                warnings.filterwarnings("ignore", message)
            return function(*args, **kwargs)

    return call
