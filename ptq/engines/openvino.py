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
from torch.nn import functional

from ptq.engines import fallbacks
from ptq.engines.contract import Ran
from ptq.engines.file_runner import Ask, FileRunner, needs
from ptq.graph import UnsupportedError
from ptq.quantizer.network import QuantizedNetwork

try:
    import onnx
    import openvino

    from ptq.engines import onnx_codes, onnx_file, onnx_self_test
    from ptq.engines.onnx_real_weights import real_weights
    from ptq.engines.openvino_ran import operators
except ImportError as error:
    MISSING = error.name
else:
    MISSING = None

# One code of rounding: sums and functions are scaled in float32 there.
EXACT = False
# It reads and writes the codes of these, and computes in float32 between.
IN_FLOAT = frozenset({"add", "mul"})
DTYPES = {"float32": "f32", "bfloat16": "bf16"}
# Codes are computed as real numbers: without integers, but exactly.
NO_INTEGERS = {"LP_TRANSFORMS_MODE": "NO"}


class SlowSumsWarning(UserWarning):
    """Integers are not exact here, and real numbers stand in for them."""


class Runner(FileRunner):
    """A network in OpenVINO; call it with images.

    ``ran`` lists the operators, as the compiled network of one image tells.
    It is compiled anew for each number of images that is a power of two, up
    to ``BATCH``: for a number that is known before, the runtime is up to
    twice as fast. Images are filled up to such a number.
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
        self._file, self._settings, self._check = file, settings, check
        self._content = file.SerializeToString()
        self._requests: dict[int, object] = {}
        self.ran = self._compiled(1)

    def _ask(self, images: Tensor) -> Tensor:
        count = len(images)
        size = 1 << (count - 1).bit_length()
        if size not in self._requests:
            self._compiled(size)
        if size > count:
            rest = (0, 0) * (images.dim() - 1) + (0, size - count)
            images = functional.pad(images, rest)
        given = {"images": images.contiguous().numpy()}
        found = self._requests[size].infer(given, share_inputs=True)
        return torch.from_numpy(found["logits"])[:count].clone()

    def _compiled(self, size: int) -> list[Ran]:
        """Compile for so many images; returns what runs, once checked."""
        shape = [size, *self._network.graph.nodes["input"].shape[1:]]
        made = compiled(self._content, self._settings, shape)
        kernels = operators(made, self._file).values()
        ran = [one for several in kernels for one in several]
        self._check(ran)
        self._requests[size] = made.create_infer_request()
        return ran


def available() -> Literal[True] | str:
    """True, or which package is missing."""
    return needs(MISSING)


def load(
    network: QuantizedNetwork, threads: int = 0, pixels: bool = False
) -> Runner:
    """The network in OpenVINO, on ``threads`` threads (0: its choice).

    With ``pixels`` its file takes uint8 images and normalizes them itself.
    Raises UnsupportedError, naming the nodes, where a convolution, linear
    layer, concatenation or pooling runs in float that was not kept so.
    Gives a SlowSumsWarning, and computes the same codes in float32, where
    sums of integers are not exact on this processor.
    """
    if (reason := available()) is not True:
        raise UnsupportedError(f"OpenVINO: {reason}")
    file = onnx_file.model(network, pixels)
    # What a sum reads is put out: else the runtime fuses a convolution with
    # the sum behind it, and leaves out the rounding between the two.
    graph = network.graph
    sums = (node for node in graph.nodes.values() if node.op == "add")
    onnx_codes.put_out(file, {name for node in sums for name in node.inputs})
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


def float_available(dtype: str) -> Literal[True] | str:
    """Whether the processor computes in ``dtype``; why not.

    ``dtype`` is "float32" or "bfloat16".
    """
    known = _core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
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


def settings(threads: int, dtype: str = "float32") -> dict:
    """For so many threads (0: the runtime's choice) and real numbers.

    ``dtype`` is "float32" or "bfloat16".
    """
    chosen = {"INFERENCE_PRECISION_HINT": DTYPES[dtype], "NUM_STREAMS": 1}
    return chosen | ({"INFERENCE_NUM_THREADS": threads} if threads else {})


def compiled(
    content: bytes, settings: dict, shape: list[int] | None = None
) -> "openvino.CompiledModel":
    """An ONNX file, compiled for images of a ``shape``; None: as it says."""
    core = _core()
    model = core.read_model(content)
    if shape is not None:
        model.reshape({"images": shape})
    return core.compile_model(model, "CPU", settings)


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
    plain = settings(threads=1)
    return onnx_self_test.exact(
        lambda content, images: compiled(content, plain)(images)["logits"]
    )


def _safe(file, threads: int) -> tuple:
    """A file and settings by which it is computed right."""
    if exact():
        return file, settings(threads)
    return real_weights(file), settings(threads) | NO_INTEGERS


@functools.cache
def _core() -> "openvino.Core":
    return openvino.Core()
