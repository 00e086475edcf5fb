"""What is handed over, looked at before any work, and made ready on a copy.

Nothing here changes the given network.
"""

import inspect
import warnings
from collections.abc import Callable

import torch
from torch import Tensor, fx, nn
from torch._ops import HigherOrderOperator
from torch.export import ExportedProgram

from ptq import input_checks
from ptq.graph import plain_copies
from ptq.graph.errors import UnsupportedError
from ptq.graph.module_outputs import evaluating

WEIGHTED = (
    nn.modules.conv._ConvNd,
    nn.Linear,
    nn.modules.batchnorm._NormBase,
)


def prepared(model: nn.Module) -> nn.Module:
    """A copy in eval mode, in float32, on the CPU, with plain weights.

    Wrappers of parallel training and of torch.compile are taken off; half
    and double precision becomes float32, with a warning. Raises
    UnsupportedError where it is no network of finite float weights.
    """
    model = plain_copies.unwrapped(model)
    if not isinstance(model, nn.Module):
        raise UnsupportedError(
            f"the network is a {type(model).__name__}: expected a "
            "torch.nn.Module, with its weights loaded"
        )
    if isinstance(model, torch.jit.ScriptModule):
        raise UnsupportedError(
            "the network is a TorchScript one: expected the nn.Module that "
            "it was made of"
        )
    _check_weights(model)
    copied = plain_copies.of(model).eval().cpu()
    kinds = {t.dtype for t in copied.state_dict().values()} - {torch.float32}
    if odd := [kind for kind in kinds if kind.is_floating_point]:
        dtypes = ", ".join(sorted(str(d).removeprefix("torch.") for d in odd))
        warnings.warn(f"weights are {dtypes}: used as float32", stacklevel=4)
    return copied.float().requires_grad_(False)


def example(model: nn.Module, images: Tensor) -> Tensor:
    """Two of ``images`` (N, ...); UnsupportedError where they do not fit.

    They are a copy, which the network may write into.
    """
    check_plain(images)
    if images.dtype != torch.float32:
        dtype = str(images.dtype).removeprefix("torch.")
        raise UnsupportedError(
            f"images are {dtype}: expected float32, normalized as for the "
            "network's training"
        )
    if images.dim() < 2 or not len(images):
        raise UnsupportedError(
            f"images have shape {tuple(images.shape)}: expected (N, C, H, W) "
            "with N at least 1"
        )
    check_finite("images", images)
    _check_signature(model)
    two = images[:2] if len(images) > 1 else images.repeat_interleave(2, 0)
    _check_output(model, two)
    return two.clone()


def check_plain(images: Tensor) -> None:
    """Raise UnsupportedError unless it is one ordinary tensor on the CPU.

    ``images`` has any shape and dtype.
    """
    if not isinstance(images, Tensor):
        raise UnsupportedError(
            f"images are a {type(images).__name__}: expected one tensor"
        )
    if not input_checks.is_plain(images):
        raise UnsupportedError(
            "images are sparse, nested, quantized or not on the CPU: "
            "expected one ordinary tensor there, (N, C, H, W)"
        )


def check_finite(name: str, tensor: Tensor) -> None:
    """Raise UnsupportedError at the first NaN or infinity of any shape."""
    tensor = tensor.detach()
    bad = ~torch.isfinite(tensor)
    if bad.any():
        index = bad.nonzero()[0].tolist()
        value = float(tensor[tuple(index)])
        raise UnsupportedError(
            f"{name}[{', '.join(map(str, index))}] is {value:g}: expected "
            "finite numbers"
        )


def check_call(found: fx.Node) -> None:
    """Raise UnsupportedError where a part runs by rules of its own."""
    if isinstance(found.target, HigherOrderOperator):
        name = found.target.name().removeprefix("wrap_with_")
        raise UnsupportedError(
            f"{name}: a part of the network runs by rules of its own, such "
            "as autocast or torch.cond: take these out of its forward"
        )


def check_real(found: fx.Node) -> None:
    """Raise UnsupportedError where a call puts out no float numbers.

    Nor may they be of half precision: a graph would not round so.
    """
    result = found.meta["val"]
    if not isinstance(result, Tensor):
        return
    real = result.is_floating_point()
    if not real or result.itemsize < torch.float32.itemsize:
        dtype = str(result.dtype).removeprefix("torch.")
        hint = (
            "leave the numbers in float32"
            if real
            else "write the choice as arithmetic, such as x.relu()"
        )
        raise UnsupportedError(
            f"its result is {dtype}: expected float32; {hint}"
        )


def unused(model: nn.Module, program: ExportedProgram) -> tuple[str, ...]:
    """Names of the layers that the network has and never runs."""
    stacks = (n.meta.get("nn_module_stack") for n in program.graph.nodes)
    ran = {
        name.partition("@")[0]
        for stack in stacks
        for name, _ in (stack or {}).values()
    }
    return tuple(
        name
        for name, module in model.named_modules()
        if isinstance(module, WEIGHTED) and name not in ran
    )


def warn_of_initial_statistics(model: nn.Module, unused) -> None:
    """Warn of BN that has seen no image: was a checkpoint loaded?

    ``unused`` names the layers that never run: of them, no word.
    """
    for name, module in model.named_modules():
        if (
            isinstance(module, nn.modules.batchnorm._BatchNorm)
            and name not in unused
            and module.track_running_stats
            and not module.num_batches_tracked
            and not module.running_mean.any()
            and (module.running_var == 1).all()
        ):
            warnings.warn(
                f"{name} has its initial statistics (mean 0, variance 1): "
                "was the checkpoint loaded?",
                stacklevel=4,
            )
            return


def _check_weights(model: nn.Module) -> None:
    for name, tensor in model.state_dict(keep_vars=True).items():
        if not isinstance(tensor, Tensor) or tensor.is_quantized:
            raise UnsupportedError(f"{name} is quantized already")
        if isinstance(tensor, nn.parameter.UninitializedTensorMixin):
            raise UnsupportedError(
                f"{name} has no shape yet: ask the lazy network once"
            )
        if tensor.device.type == "meta":
            raise UnsupportedError(f"{name} holds no numbers (meta device)")
        if tensor.is_complex():
            raise UnsupportedError(f"{name} is complex: expected float32")
        check_finite(name, tensor)
        if name.endswith("running_var") and (tensor < 0).any():
            index = int((tensor < 0).nonzero()[0])
            raise UnsupportedError(
                f"{name}[{index}] is {float(tensor[index]):g}: a variance is "
                "not negative"
            )


def needed_arguments(function: Callable) -> list[str]:
    """Names of the arguments without which it cannot be called."""
    try:
        taken = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # written in C
        return []
    return [
        p.name
        for p in taken
        if p.default is p.empty
        and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
    ]


def first_line(error: BaseException) -> str:
    """The beginning of a message that may have many lines, or none."""
    return (str(error).strip().splitlines() or [""])[0]


def _check_signature(model: nn.Module) -> None:
    needed = needed_arguments(model.forward)
    if len(needed) > 1:
        raise UnsupportedError(
            f"{type(model).__name__} takes {len(needed)} tensors "
            f"({', '.join(needed)}): one is supported"
        )


def _check_output(model: nn.Module, images: Tensor) -> None:
    name, shape = type(model).__name__, tuple(images.shape)
    try:
        with torch.no_grad(), evaluating(model):
            output = model(images.clone())
    except Exception as error:  # torch raises many kinds
        raise UnsupportedError(
            f"images of shape {shape} do not fit {name}: "
            f"{first_line(error)}; give them the channels and the size of "
            "those that trained it"
        ) from error
    if not isinstance(output, Tensor):
        count = f" of {len(output)}" if hasattr(output, "__len__") else ""
        raise UnsupportedError(
            f"{name} returns a {type(output).__name__}{count}: one tensor "
            "is supported; return the logits alone"
        )
    if output.dim() < 2 or len(output) != len(images):
        raise UnsupportedError(
            f"{name} returns shape {tuple(output.shape)} for "
            f"{len(images)} images: expected one row for each"
        )
    if output.dtype != torch.float32:
        dtype = str(output.dtype).removeprefix("torch.")
        raise UnsupportedError(
            f"{name} returns {dtype} numbers: expected float32; return the "
            "logits as the last layer puts them out"
        )
    check_finite("the network's output", output)
