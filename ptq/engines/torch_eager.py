"""PyTorch's integer engine: networks prepared, calibrated and converted.

It is the eager-mode flow of the reproduced work, which torch deprecates.
"""

import copy
import warnings
from collections.abc import Iterable
from pathlib import Path

import torch
from torch import Tensor, nn

from ptq import input_checks
from ptq.engines import saved_networks
from ptq.engines.eager_settings import (
    QConfig,
    ao,
    available,
    quiet,
    require,
)
from ptq.graph import allow_list, module_groups
from ptq.graph.plain_copies import evaluated


@quiet
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
    finite, EngineError where torch has no eager kernels. The flow is that of
    torch's eager mode.
    """
    require()
    fused, regions = list(map(list, fuse)), list(map(tuple, keep_float))
    graph = allow_list.check(network)
    module_groups.check_fused(network, graph, fused)
    if regions:
        module_groups.check_regions(network, graph, regions)
    kept = {name for region in regions for name in region}
    for name, sentence in module_groups.costs(network, graph):
        if name not in kept:
            warnings.warn(sentence, allow_list.CostWarning, stacklevel=3)
    copied = _with_affine(evaluated(network))
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


@quiet
@torch.no_grad()
def convert(prepared: nn.Module, images: Tensor, batch: int = 0) -> nn.Module:
    """Show ``images`` to the observers, then make the layers integer.

    ``images`` is float32 (N, 3, 32, 32), shown all at once or ``batch`` at a
    time, which matters to observers that average over batches. The prepared
    network is kept, its observers too. Raises InputError where the images
    are none, not float32, not finite or do not fit, UnsupportedError where
    torch has no integer kernel for a step. Gives a RangeWarning where the
    images have another range than the network's ``normalized`` ends, where
    it has any.
    """
    network = getattr(prepared, "module", prepared)  # without its stubs
    expected = getattr(network, "normalized", None)
    input_checks.check_calibration(images, expected)
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
        raise allow_list.UnsupportedError(
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
    Raises EngineError where torch has no eager kernels.
    """
    require()
    copied = evaluated(network)
    return quiet(ao.fuse_modules)(copied, [list(group) for group in fuse])


@quiet
def save_state(network: nn.Module, path: Path) -> int:
    """Write the state of a float or integer network; the file's bytes.

    With it go a checksum and a description of the structure. Raises
    OSError where the file cannot be written.
    """
    return saved_networks.save(network, path)


@quiet
def load_state(network: nn.Module, path: Path) -> nn.Module:
    """Fill ``network``, built by the same strategy, from a saved file.

    Raises CheckpointError, naming file and reason, where the file is
    missing, damaged or of another structure or engine; ``network`` is then
    unchanged. No code in a file is run.
    """
    return saved_networks.load(network, path, available())
