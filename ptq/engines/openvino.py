"""OpenVINO: the same ONNX file, run by integers on a processor.

Its own choice of "FP32" is bfloat16 where the processor has that: here real
numbers are computed in the precision that is asked for.
"""

import functools
import warnings
from collections.abc import Callable
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from ptq.engines import fallbacks
from ptq.engines.contract import Ran
from ptq.engines.file_runner import Ask, FileRunner, needs
from ptq.graph import UnsupportedError
from ptq.quantizer.network import QuantizedNetwork

try:
    import onnx
    import openvino

    from ptq.engines import onnx_codes, onnx_file, onnx_self_test
    from ptq.engines.onnx_float_weights import real_weights
    from ptq.engines.openvino_models import Sized, compiled, core, settings
    from ptq.engines.openvino_operators import operators
except ImportError as error:
    MISSING = error.name
else:
    MISSING = None

# One code of rounding: sums and functions are scaled in float32 there.
EXACT = False
# It reads and writes the codes of these, and computes in float32 between.
IN_FLOAT = frozenset({"add", "mul"})
CALLS = 5  # are timed; the runtime tells the mean of them
# Codes are computed as real numbers: without integers, but exactly.
NO_INTEGERS = {"LP_TRANSFORMS_MODE": "NO"}


class SlowSumsWarning(UserWarning):
    """Integers are not exact here, and real numbers stand in for them."""


class Runner(FileRunner):
    """A network in OpenVINO; call it with images.

    ``ran`` lists the operators, as the compiled network of one image tells.
    """

    def __init__(
        self,
        network: QuantizedNetwork,
        file: "onnx.ModelProto",
        settings: dict,
        pixels: bool,
        check: Callable[[list[Ran]], None] = lambda ran: None,
    ):
        super().__init__(network, pixels)
        self.ran: list[Ran] = []

        def checked(made: "openvino.CompiledModel") -> None:
            kernels = operators(made, file).values()
            ran = [one for several in kernels for one in several]
            check(ran)
            self.ran = self.ran or ran

        model = core().read_model(file.SerializeToString())
        self._ask = Sized(model, settings, checked)
        shape = network.graph.nodes["input"].shape[1:]
        dtype = torch.uint8 if pixels else torch.float32
        self._ask(torch.zeros(1, *shape, dtype=dtype))


def available() -> Literal[True] | str:
    """True, or which package is missing."""
    return needs(MISSING)


def load(
    network: QuantizedNetwork,
    threads: int = 0,
    pixels: bool = False,
    fuse_sums: bool = False,
) -> Runner:
    """The network in OpenVINO, on ``threads`` threads (0: its choice).

    With ``pixels`` its file takes uint8 images and normalizes them itself.
    With ``fuse_sums`` it may leave out the rounding between a layer and the
    sum behind it: faster, with one error less, but with other codes than
    exact integers have.
    Raises UnsupportedError, naming the nodes, where a convolution, linear
    layer, concatenation or pooling runs in float that was not kept so.
    Gives a SlowSumsWarning, and computes the same codes in float32, where
    sums of integers are not exact on this processor.
    """
    if (reason := available()) is not True:
        raise UnsupportedError(f"OpenVINO: {reason}")
    file = _file(network, pixels, fuse_sums)
    if not exact():
        warnings.warn(
            "OpenVINO's sums of integers are not exact on this processor: "
            "it computes the codes in float32, without integers",
            SlowSumsWarning,
            stacklevel=2,
        )
        return Runner(network, *_safe(file, threads), pixels)
    return Runner(
        network,
        *_safe(file, threads),
        pixels,
        lambda ran: fallbacks.refuse("OpenVINO", network, ran, IN_FLOAT),
    )


def _file(
    network: QuantizedNetwork, pixels: bool, fuse_sums: bool
) -> "onnx.ModelProto":
    file = onnx_file.model(network, pixels)
    if not fuse_sums:
        _keep_apart(file, network)
    # What kernels of int8 do is asked only where they would run.
    codes = onnx_codes.around_middle(file)
    if codes and centred():
        onnx_codes.centre(file, codes)
    return file


def spent(
    network: QuantizedNetwork,
    images: Tensor,
    pixels: bool = False,
    fuse_sums: bool = False,
) -> list[tuple[Ran, float]]:
    """What runs on one thread, with its seconds, as ``contract.Engine`` says.

    ``images`` is (N, ...); ``pixels`` and ``fuse_sums`` as of ``load``.
    """
    file = _file(network, pixels, fuse_sums)
    model, chosen = _safe(file, threads=1)
    made = compiled(
        model.SerializeToString(),
        chosen | {"PERF_COUNT": True},
        list(images.shape),
    )
    ran, request = operators(made, file), made.create_infer_request()
    given = images if pixels else network.normalized(images)
    for _ in range(CALLS):
        request.infer({"images": given.contiguous().numpy()})
    return [
        (ran[one.node_name][0], CALLS * one.real_time.total_seconds())
        for one in request.profiling_info
        if one.node_name in ran
    ]


def _keep_apart(file: "onnx.ModelProto", network: QuantizedNetwork) -> None:
    """Put out what a sum reads.

    Else the runtime fuses a convolution with the sum behind it, and leaves
    out the rounding between the two.
    """
    sums = (n for n in network.graph.nodes.values() if n.op == "add")
    onnx_codes.put_out(file, {name for node in sums for name in node.inputs})


def float_available(dtype: str) -> Literal[True] | str:
    """Whether the processor computes in ``dtype``; why not.

    ``dtype`` is "float32" or "bfloat16".
    """
    known = core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    if dtype == "float32" or "BF16" in known:
        return True
    return f"OpenVINO has no kernels of {dtype} for this processor"


def load_float(
    network: QuantizedNetwork, dtype: str = "float32", threads: int = 0
) -> Runner:
    """The float reference of ``network``, BN folded, in ``dtype``.

    That is "float32" or "bfloat16". ``threads`` as of ``load``.
    """
    file = onnx_file.float_model(network.graph)
    return Runner(network, file, settings(threads, dtype), pixels=False)


def asker(content: bytes) -> Ask:
    """A file on one thread, with settings by which it is computed right."""
    file, chosen = _safe(onnx.load_from_string(content), threads=1)
    made = compiled(file.SerializeToString(), chosen)

    def ask(names: list[str], images: np.ndarray) -> list[np.ndarray]:
        found = made({"images": images})
        return [found[name] for name in names]

    return ask


def inside(
    network: QuantizedNetwork, fused: bool = True, pixels: bool = False
) -> Callable:
    """Codes of each node's result, uint8, as ``contract.Engine`` says.

    OpenVINO always fuses, whatever ``fused`` says. With ``pixels``, images
    are uint8 and the file takes them as they are.
    """
    return onnx_codes.inside(network, pixels, asker)


@functools.cache
def exact() -> bool:
    """Whether its kernels of integers are exact on this processor."""
    return onnx_self_test.exact(_asked)


@functools.cache
def centred() -> bool:
    """Whether they are for int8 codes around 0, too."""

    def ask(content: bytes, images: np.ndarray) -> np.ndarray:
        file = onnx.load_from_string(content)
        onnx_codes.centre(file, onnx_codes.around_middle(file))
        return _asked(file.SerializeToString(), images)

    return exact() and onnx_self_test.exact(ask, onnx_codes.MIDDLE)


def _asked(content: bytes, images: np.ndarray) -> np.ndarray:
    return compiled(content, settings(threads=1))(images)["logits"]


def _safe(file, threads: int) -> tuple:
    """A file and settings by which it is computed right."""
    if exact():
        return file, settings(threads)
    return real_weights(file), settings(threads) | NO_INTEGERS
