"""What comes from outside: images and weights, checked before any work."""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from numbers import Integral

import torch
from torch import Tensor, nn

# How far beyond the expected range, in units of it, images go without a word.
SLACK = 0.025
# Layers that take a certain number of channels or features, float or not.
FITTED = ("Conv2d", "ConvReLU2d", "Linear", "LinearReLU")


class InputError(ValueError):
    """Images or weights that cannot be used; names them and the reason."""


class RangeWarning(UserWarning):
    """Images that are not normalized as their network expects."""


def check_pixels(images: Tensor) -> None:
    """Raise InputError unless ``images`` is a tensor of uint8 pixels.

    It may have any shape with images in it, on any device. Other integers
    and floats are refused, as their range (0 to 1, 0 to 65,535) cannot be
    known.
    """
    _check_tensor(images, "uint8 pixels, 0 to 255", anywhere=True)
    if images.dtype != torch.uint8:
        raise InputError(
            f"images are {_name(images.dtype)}{_span(images)}: expected "
            "uint8 pixels, 0 to 255, which image_sets.normalize takes"
        )


def check_normalized(images: Tensor) -> None:
    """Raise InputError unless ``images`` can be shown to a network.

    Expected is float32 (N, ...) with N at least 1 and finite values, as
    ``image_sets.normalize`` makes it.
    """
    _check_tensor(
        images, "float32 images, as image_sets.normalize makes them"
    )
    if images.dtype != torch.float32:
        raise InputError(
            f"images are {_name(images.dtype)}{_span(images)}: expected "
            "float32, as image_sets.normalize makes it of uint8 pixels"
        )
    check_finite("images", images)


def check_calibration(
    images: Tensor, expected: tuple[float, float] | None
) -> None:
    """``check_normalized``, and a word where the range is an odd one.

    ``images`` is float32 (N, ...); raises InputError as that does.
    ``expected`` is the range of the network's normalized pixels, None where
    nobody says it. Gives a RangeWarning, with both ranges, where values go
    beyond it, or none is below zero though some pixels should be: the range
    of the grids is taken from these images. Constant images, which calibrate
    nothing, pass.
    """
    check_normalized(images)
    if expected is None:
        return
    (low, high), (least, most) = images.aminmax(), expected
    slack = SLACK * (most - least)
    beyond = low < least - slack or high > most + slack
    if low < high and (beyond or low >= 0 > least):
        warnings.warn(
            f"calibration images range from {low:.4g} to {high:.4g}, those "
            f"of this network from {least:g} to {most:g}: calibrate on "
            "images that are normalized as those the network will be asked",
            RangeWarning,
            stacklevel=5,
        )


def check_finite(name: str, tensor: Tensor) -> None:
    """Raise InputError at the first NaN or infinity, with its index.

    ``tensor`` has any shape and dtype; ``name`` is what the message calls it.
    """
    _refuse_first(name, tensor, ~torch.isfinite(tensor), "finite numbers")


def check_threads(threads: int, least: int = 0) -> None:
    """Raise InputError unless the machine has cores for so many threads.

    Expected is a whole number from ``least`` to that of logical cores: more
    threads would wait for each other, for hours.
    """
    cores = os.cpu_count() or 1
    whole = isinstance(threads, Integral) and not isinstance(threads, bool)
    if not whole or not least <= threads <= cores:
        raise InputError(
            f"threads={threads!r}: expected a whole number from {least} to "
            f"{cores}, as many as this machine has logical cores"
        )


def check_outputs(outputs) -> None:
    """Raise InputError unless a network put out one tensor."""
    if not isinstance(outputs, Tensor):
        raise InputError(
            f"the network returns a {type(outputs).__name__} of "
            f"{len(outputs)}: one tensor is supported"
        )


def check_weights(network: nn.Module) -> None:
    """Raise InputError unless all numbers of a float network can be used.

    Expected are finite float32 parameters and buffers on the CPU, and
    variances of batch normalization that are not negative. The message
    names the tensor and the first index: "fc.weight[3, 7] is nan".
    """
    parameters = dict(network.named_parameters())
    for name, tensor in network.state_dict().items():
        if not isinstance(tensor, Tensor):
            continue
        if tensor.device.type != "cpu":
            raise InputError(
                f"{name} is on {tensor.device}: expected the CPU; "
                "network.cpu() moves it"
            )
        if not is_plain(tensor):
            raise InputError(
                f"{name} is sparse or quantized: expected plain float32"
            )
        if tensor.dtype != torch.int64 or name in parameters:
            _check_weight(name, tensor)


def _check_weight(name: str, tensor: Tensor) -> None:
    if tensor.dtype != torch.float32:
        raise InputError(
            f"{name} is {_name(tensor.dtype)}: expected float32; "
            "network.float() converts it, and should come before anything "
            "is computed"
        )
    check_finite(name, tensor)
    if name.rpartition(".")[2] == "running_var":
        _refuse_first(name, tensor, tensor < 0, "no negative variance")


@contextmanager
def fitting(network: nn.Module, images: Tensor) -> Iterator[None]:
    """Inside, ``network`` says by name which layer ``images`` do not fit.

    ``images``, of any shape and dtype, are only told in the message. Raises
    InputError, while the network runs, where a convolution is given another
    number of channels, or a linear layer another number of features, than it
    takes.
    """

    def watch(name):
        def hook(module, given):
            _refuse_unfitting(name, module, given[0], images)

        return hook

    modules = dict(network.named_modules())
    hooks = []
    for name, module in modules.items():
        if type(module).__name__ in FITTED and hasattr(module, "weight"):
            # A convolution inside a fused module is named by that module.
            owner = name.rpartition(".")[0]
            if type(modules.get(owner)).__name__ in FITTED:
                name = owner
            hooks.append(module.register_forward_pre_hook(watch(name)))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _refuse_unfitting(name, module, given, images) -> None:
    is_conv = hasattr(module, "in_channels")
    if is_conv and given.dim() != 4:
        raise InputError(
            f"{name.removeprefix('module.')} is given the shape "
            f"{tuple(given.shape)}, made of images {tuple(images.shape)}: "
            "expected (N, channels, height, width); images[None] makes a "
            "batch of one"
        )
    axis, unit = (-3, "channels") if is_conv else (-1, "features")
    wanted = module.in_channels if is_conv else module.in_features
    found = given.shape[axis] if given.dim() >= -axis else "no"
    if found != wanted:
        raise InputError(
            f"{name.removeprefix('module.')} takes {wanted} {unit} and is "
            f"given {found}: images of shape {tuple(images.shape)} are not "
            "what this network was made for"
        )


def _check_tensor(images: Tensor, expected: str, anywhere=False) -> None:
    if not isinstance(images, Tensor):
        many = (
            f" of {len(images)}" if isinstance(images, tuple | list) else ""
        )
        raise InputError(
            f"images are a {type(images).__name__}{many}: expected one "
            f"tensor of {expected}"
        )
    if not is_plain(images, anywhere):
        raise InputError(
            "images are sparse, nested, quantized or not on the CPU: "
            f"expected one plain tensor of {expected}"
        )
    if not images.dim() or not images.numel():
        raise InputError(
            f"no images: the tensor has shape {tuple(images.shape)}"
        )


def is_plain(tensor: Tensor, anywhere: bool = False) -> bool:
    """Whether a tensor, of any shape, is ordinary, on the CPU or anywhere.

    Sparse, nested, quantized ones and those without numbers are not.
    """
    odd = tensor.is_nested or tensor.is_quantized
    kind = tensor.device.type
    here = kind != "meta" if anywhere else kind == "cpu"
    return not odd and here and tensor.layout == torch.strided


def _refuse_first(name, tensor, odd, expected) -> None:
    if odd.any():
        index = odd.nonzero()[0].tolist()
        value = tensor[tuple(index)].item()
        where = f"[{', '.join(map(str, index))}]" if index else ""
        raise InputError(f"{name}{where} is {value}: expected {expected}")


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _span(images: Tensor) -> str:
    values = images.double()
    return f" from {float(values.min()):.4g} to {float(values.max()):.4g}"
