"""PyTorch's integer engine; the one module that uses torch.ao.quantization.

It is the eager-mode flow of the reproduced work, which torch deprecates.
"""

import copy
import functools
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.ao import quantization as ao
from torch.ao.nn import quantized as nnq

from ptq import input_checks
from ptq.engines import saved_networks
from ptq.graph import groups, supported

# Large enough for eight products of bytes on a grid of 256 points.
SUM_STEP = 2048.0
PREFERRED = ("x86", "fbgemm", "qnnpack", "onednn")
OBSERVERS = {
    "minmax": ao.MinMaxObserver,
    "moving_average": ao.MovingAverageMinMaxObserver,
    "histogram": ao.HistogramObserver,
}


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

    def as_torch(self) -> ao.QConfig:
        """The same choice as torch writes it.

        Raises EngineError where ``bits`` is not 1 to 8, or the observer is
        none of ``OBSERVERS``.
        """
        if not 1 <= self.bits <= 8:
            raise EngineError(f"bits={self.bits}: expected 1 to 8")
        if self.observer not in OBSERVERS:
            known = ", ".join(OBSERVERS)
            raise EngineError(
                f"observer={self.observer!r}: expected one of {known}"
            )
        weight = (
            ao.default_per_channel_weight_observer
            if self.per_channel
            else ao.default_weight_observer
        )
        activation = OBSERVERS[self.observer].with_args(
            quant_min=0, quant_max=2**self.bits - 1
        )
        return ao.QConfig(activation=activation, weight=weight)


def defaults() -> dict[str, QConfig]:
    """The choices of torch's own configurations, read from torch.

    Those of ``default_qconfig``, which the published code uses, and those
    that ``get_default_qconfig`` has for each engine, whether or not this
    machine has it.
    """
    found = {"default_qconfig": ao.default_qconfig}
    found |= {
        f'get_default_qconfig("{name}")': ao.get_default_qconfig(name)
        for name in PREFERRED
    }
    return {name: _choices(qconfig) for name, qconfig in found.items()}


def _choices(qconfig: ao.QConfig) -> QConfig:
    names = {observer: name for name, observer in OBSERVERS.items()}
    with warnings.catch_warnings():
        # That ``reduce_range`` will go: torch's own choice, not ours.
        warnings.simplefilter("ignore")
        activation, weight = qconfig.activation(), qconfig.weight()
    return QConfig(
        per_channel=weight.qscheme == torch.per_channel_symmetric,
        bits=(activation.quant_max - activation.quant_min).bit_length(),
        observer=names[type(activation)],
    )


def available() -> list[str]:
    """Integer engines of this build of torch, the preferred one first."""
    found = torch.backends.quantized.supported_engines
    return [name for name in PREFERRED if name in found]


def choose(name: str = "auto") -> str:
    """The engine ``name``, or the preferred one for "auto".

    Raises EngineError, naming the engines of this machine.
    """
    engines = available()
    if name == "auto" and engines:
        return engines[0]
    if name not in engines:
        known = ", ".join(engines) or "none"
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


def _quiet(function: Callable) -> Callable:
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


@_quiet
def prepare(
    network: nn.Module,
    fuse: Iterable[tuple[str, ...]] = (),
    keep_float: Iterable[tuple[str, ...]] = (),
    qconfig: QConfig | None = None,
) -> nn.Module:
    """A copy of ``network`` with stubs and observers (default qconfig).

    ``fuse`` lists groups of modules to fuse first. ``keep_float`` lists
    float regions, each of modules that follow one another: they stay
    float32. ``qconfig`` chooses other observers than the default ones. Raises
    UnsupportedError, naming the part, where the network is none that the
    recipe takes or a group is none of it, InputError where a weight is not
    finite. The flow is that of torch's eager mode.
    """
    fused, regions = list(map(list, fuse)), list(map(tuple, keep_float))
    graph = supported.check(network)
    groups.check_fused(network, graph, fused)
    if regions:
        groups.check_regions(network, graph, regions)
    kept = {name for region in regions for name in region}
    for name, sentence in groups.costs(network, graph):
        if name not in kept:
            warnings.warn(sentence, supported.CostWarning, stacklevel=3)
    copied = _with_affine(copy.deepcopy(network).eval())
    if fused:
        copied = ao.fuse_modules(copied, fused)
    wrapped = ao.QuantWrapper(copied)
    wrapped.qconfig = qconfig.as_torch() if qconfig else ao.default_qconfig
    for region in regions:
        _keep_float(wrapped, region)
    return ao.prepare(wrapped)


def _with_affine(network: nn.Module) -> nn.Module:
    """Give each BN without parameters those that change nothing."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d) and module.weight is None:
            module.affine = True
            module.weight = nn.Parameter(torch.ones(module.num_features))
            module.bias = nn.Parameter(torch.zeros(module.num_features))
    return network


def _keep_float(wrapped: nn.Module, names: tuple[str, ...]) -> None:
    """Leave the modules ``names`` in float, with conversions around them.

    Where the float region begins or ends with the network, the wrapper's
    own conversion is removed: nothing is quantized only to be dequantized.
    """
    network = wrapped.module
    for name in names:
        getattr(network, name).qconfig = None
    children = [name for name, _ in network.named_children()]
    parts = {name: [getattr(network, name)] for name in names}
    if names[0] == children[0]:
        wrapped.quant = nn.Identity()
    else:
        parts[names[0]].insert(0, ao.DeQuantStub())
    if names[-1] == children[-1]:
        wrapped.dequant = nn.Identity()
    else:
        parts[names[-1]].append(ao.QuantStub())
    for name, modules in parts.items():
        if len(modules) > 1:
            setattr(network, name, nn.Sequential(*modules))


@_quiet
@torch.no_grad()
def convert(prepared: nn.Module, images: Tensor, batch: int = 0) -> nn.Module:
    """Show ``images`` to the observers, then make the layers integer.

    ``images`` is float32 (N, 3, 32, 32), shown all at once or ``batch`` at a
    time, which matters to observers that average over batches. The prepared
    network is kept, its observers too. Raises InputError where the images
    are none, not float32, not finite or do not fit, UnsupportedError where
    torch has no integer kernel for a step. Gives a RangeWarning where the
    images are not normalized as the book's network expects.
    """
    input_checks.check_calibration(images)
    watching = copy.deepcopy(prepared).eval()
    with input_checks.fitting(watching, images):
        for part in images.split(batch or len(images)):
            watching(part)
    quantized = ao.convert(watching, inplace=True)
    quantized.engine = torch.backends.quantized.engine
    try:
        quantized(images[:1])
    except (RuntimeError, NotImplementedError) as error:
        first = str(error).partition(". ")[0].partition("\n")[0]
        raise supported.UnsupportedError(
            f"the integer network does not run: {first}"
        ) from error
    return quantized


def observed(prepared: nn.Module) -> dict[str, tuple[float, float]]:
    """Smallest and largest value that each observer has recorded, by module.

    ``prepared`` is the result of ``prepare``; its observers watch whatever
    passes through it, and have seen (inf, -inf) before. The unit is that of
    the values.
    """
    suffix = ".activation_post_process"
    return {
        name.removesuffix(suffix): (float(m.min_val), float(m.max_val))
        for name, m in prepared.named_modules()
        if name.endswith(suffix)
    }


def fuse_modules(network: nn.Module, fuse: Iterable[tuple]) -> nn.Module:
    """torch's own fusion of named modules, to check ours against.

    Returns a copy. What torch cannot fuse it refuses by errors of its own.
    """
    copied = copy.deepcopy(network).eval()
    return _quiet(ao.fuse_modules)(copied, [list(group) for group in fuse])


def quantized_layers(quantized: nn.Module) -> dict[str, nn.Module]:
    """Name to module of the quantized convolutions and linear layers."""
    return {
        name.removeprefix("module."): module
        for name, module in quantized.named_modules()
        if isinstance(module, nnq.Conv2d | nnq.Linear)
    }


def weight_codes(layer: nn.Module) -> tuple[Tensor, float]:
    """int8 weight codes of a quantized layer, and their scale.

    The codes have the shape of the weights, (C, I, H, W) or (C, F); there
    is one scale for all. Raises RuntimeError, torch's, for weights with a
    grid per channel.
    """
    weight = layer.weight()
    return weight.int_repr(), weight.q_scale()


def activation_scales(quantized: nn.Module) -> dict[str, tuple[float, int]]:
    """Scale and zero point of each module whose outputs are codes, by name.

    "quant" is the input's grid. The scale has the unit of the values.
    """
    return {
        name.removeprefix("module."): (float(m.scale), int(m.zero_point))
        for name, m in quantized.named_modules()
        if hasattr(m, "scale") and hasattr(m, "zero_point")
    }


@torch.no_grad()
def pre_activation(layer: nn.Module, x: Tensor) -> Tensor:
    """What a quantized layer sums up for ``x``, before ReLU and rounding.

    ``x`` is the layer's dequantized input, float32 (N, I, H, W) or (N, F);
    the result is float32 (N, C, H, W) or (N, C).
    """
    weight, bias = layer.weight().dequantize(), layer.bias()
    if isinstance(layer, nnq.Conv2d):
        shape = layer.stride, layer.padding, layer.dilation, layer.groups
        return nn.functional.conv2d(x, weight, bias, *shape)
    return nn.functional.linear(x, weight, bias)


@torch.no_grad()
def add_to_bias(layer: nn.Module, shift: Tensor) -> None:
    """Add ``shift``, float32 (C,), to the bias of a quantized layer.

    The layer is changed. Raises ValueError where it has no bias, or the
    shift is not as long and finite.
    """
    bias = layer.bias()
    if bias is None:
        raise ValueError("this layer has no bias: fold BN into it first")
    if shift.shape != bias.shape:
        raise ValueError(
            f"shift of shape {tuple(shift.shape)}: expected "
            f"{tuple(bias.shape)}, one for each channel"
        )
    input_checks.check_finite("shift", shift)
    layer.set_weight_bias(layer.weight(), bias + shift)


@_quiet
@torch.no_grad()
def linear_sum(x: Tensor, w: Tensor) -> int:
    """What the selected engine computes for a sum of products of codes.

    ``x`` is uint8 (K,), ``w`` int8 (K,) with K up to 8; both have scale 1
    and zero point 0. The result leaves the engine on a grid of step
    ``SUM_STEP``, so it is exact to half of that.
    """
    packed = torch.ops.quantized.linear_prepack(_codes(w[None]), None)
    summed = torch.ops.quantized.linear(
        _codes(x[None]), packed, SUM_STEP, 128
    )
    return int(summed.dequantize())


def _codes(codes: Tensor) -> Tensor:
    """uint8 or int8 codes as torch's quantized tensor with scale 1."""
    return torch._make_per_tensor_quantized_tensor(codes, 1.0, 0)


@_quiet
def save_state(network: nn.Module, path: Path) -> int:
    """Write the state of a float or integer network; the file's bytes.

    With it go a checksum and a description of the structure. Raises
    OSError where the file cannot be written.
    """
    return saved_networks.save(network, path)


@_quiet
def load_state(network: nn.Module, path: Path) -> nn.Module:
    """Fill ``network``, built by the same strategy, from a saved file.

    Raises CheckpointError, naming file and reason, where the file is
    missing, damaged or of another structure or engine; ``network`` is then
    unchanged. No code in a file is run.
    """
    return saved_networks.load(network, path, available())
