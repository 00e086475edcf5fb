"""ONNX Runtime: any quantized network, run by integers on a processor."""

import functools
import itertools
import json
import re
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from ptq import input_checks
from ptq.engines import fallbacks
from ptq.engines.contract import Ran
from ptq.engines.file_runner import Ask, FileRunner, needs
from ptq.graph import Graph, UnsupportedError
from ptq.quantizer.network import QuantizedNetwork

try:
    import onnxruntime

    from ptq.engines import onnx_codes, onnx_file, onnx_self_test
except ImportError as error:
    MISSING = error.name
else:
    MISSING = None

# One code of rounding: sums and functions are scaled in float32 there.
EXACT = False
IN_FLOAT = frozenset()
# The setting that takes exact kernels where the fastest ones are not exact;
# where they are, it costs up to half of the speed.
PRECISE = "session.x64quantprecision"
INTEGERS = {"uint8", "int8", "int32"}
# Operations that move between the two worlds, or reorder memory.
CONVERSIONS = {
    *("QuantizeLinear", "DequantizeLinear", "Transpose", "Identity"),
    *("ReorderInput", "ReorderOutput"),
}
# Kernels of a layer in float, which may do what follows it, too.
LAYERS = {"Conv", "FusedConv", "Gemm", "FusedGemm"}
# So many calls are profiled.
CALLS = 5


class Runner(FileRunner):
    """A network in ONNX Runtime; call it with images.

    ``ran`` lists the operators that really ran, in order, as the runtime's
    own profile of one image tells.
    """

    def __init__(
        self,
        network: QuantizedNetwork,
        content: bytes,
        threads: int,
        pixels: bool,
    ):
        super().__init__(network, pixels)
        shape = network.graph.nodes["input"].shape[1:]
        dtype = torch.uint8 if pixels else torch.float32
        image = torch.zeros(1, *shape, dtype=dtype)
        self._session, events = _profiled(content, threads, image)
        kernels = [one for one, _ in _operators(events)]
        own = {"input"} | {one.node for one in kernels}
        self.ran = [
            Ran(node, one.operator, one.precision)
            for one in kernels
            for node in _done(one, network.graph, own)
        ]

    def _ask(self, images: Tensor) -> Tensor:
        given = {"images": images.contiguous().numpy()}
        return torch.from_numpy(self._session.run(["logits"], given)[0])


def available() -> Literal[True] | str:
    """True, or which package is missing."""
    return needs(MISSING)


def load(
    network: QuantizedNetwork, threads: int = 0, pixels: bool = False
) -> Runner:
    """The network in ONNX Runtime, on ``threads`` threads (0: its choice).

    With ``pixels`` its file takes uint8 images and normalizes them itself.
    Raises UnsupportedError, naming the nodes, where a convolution, linear
    layer, sum, concatenation or pooling ran in float that was not kept so.
    """
    if (reason := available()) is not True:
        raise UnsupportedError(f"ONNX Runtime: {reason}")
    content = onnx_file.model(network, pixels).SerializeToString()
    runner = Runner(network, content, threads, pixels)
    fallbacks.refuse("ONNX Runtime", network, runner.ran, IN_FLOAT)
    return runner


def spent(
    network: QuantizedNetwork, images: Tensor, pixels: bool = False
) -> list[tuple[Ran, float]]:
    """What ran on one thread, with its seconds, as ``contract.Engine`` says.

    ``images`` is (N, ...), ``pixels`` as of ``load``. The first call, which
    prepares, is left out.
    """
    content = onnx_file.model(network, pixels).SerializeToString()
    given = images if pixels else network.normalized(images)
    _, events = _profiled(content, 1, given, 1 + CALLS)
    found = _operators(events)
    return found[len(found) // (1 + CALLS) :]


def float_available(dtype: str) -> Literal[True] | str:
    """True for ``dtype`` "float32"; it has no kernels of another one here."""
    if dtype == "float32":
        return True
    return f"ONNX Runtime has no kernels of {dtype} for processors"


def load_float(
    network: QuantizedNetwork, dtype: str = "float32", threads: int = 0
) -> Runner:
    """The float reference of ``network``, BN folded, in float32.

    ``threads`` as of ``load``; ``dtype`` is "float32".
    """
    file = onnx_file.float_model(network.graph).SerializeToString()
    return Runner(network, file, threads, pixels=False)


@functools.cache
def exact() -> bool:
    """Whether its fastest kernels are exact on this processor."""
    return onnx_self_test.exact(_asked_plainly)


def _asked_plainly(content: bytes, images: np.ndarray) -> np.ndarray:
    plain = session(content, threads=1, entries={})
    return plain.run(["logits"], {"images": images})[0]


def asker(content: bytes, fused: bool = True) -> Ask:
    """A file on one thread; without ``fused``, each operation by itself."""
    opened = session(content, threads=1, fused=fused)
    return lambda names, images: opened.run(names, {"images": images})


def inside(
    network: QuantizedNetwork, fused: bool = True, pixels: bool = False
) -> Callable:
    """Codes of each node's result, uint8, as ``contract.Engine`` says.

    With ``pixels``, images are uint8 and the file takes them as they are.
    """
    return onnx_codes.inside(
        network, pixels, lambda content: asker(content, fused)
    )


def session(
    content: bytes,
    threads: int,
    profile: str = "",
    fused: bool = True,
    entries: dict[str, str] | None = None,
) -> "onnxruntime.InferenceSession":
    """A session of a file on ``threads`` threads; 0 leaves it to the runtime.

    Nothing is logged, and no sum saturates: where the runtime's fastest
    kernels are not exact on this processor, it takes others; unless there
    are ``entries``, settings beside the runtime's defaults. What runs is
    written into a file whose path begins with ``profile``, if that is given.
    Without ``fused``, each operation of the file runs by itself. Raises
    InputError where there are fewer cores than threads.
    """
    input_checks.check_threads(threads)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    if entries is None:
        entries = {} if exact() else {PRECISE: "1"}
    for entry in entries.items():
        options.add_session_config_entry(*entry)
    if not fused:
        level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.graph_optimization_level = level
    if profile:
        options.enable_profiling = True
        options.profile_file_prefix = profile
    return onnxruntime.InferenceSession(
        content, options, providers=["CPUExecutionProvider"]
    )


def _profiled(
    content: bytes, threads: int, images: Tensor, calls: int = 1
) -> tuple["onnxruntime.InferenceSession", list[dict]]:
    """A session of a file, and what its profile tells of the first calls."""
    given = {"images": images.contiguous().numpy()}
    with tempfile.TemporaryDirectory() as folder:
        opened = session(content, threads, str(Path(folder, "profile")))
        for _ in range(calls):
            opened.run(["logits"], given)
        events = json.loads(Path(opened.end_profiling()).read_text())
    return opened, events


def _operators(events: list[dict]) -> list[tuple[Ran, float]]:
    """What a profile tells, with seconds; a node's part is "NODE/PART"."""
    found = []
    for event in events:
        details = event.get("args", {})
        if event["cat"] != "Node" or "op_name" not in details:
            continue
        label = re.sub(
            r"^fused |(_nchwc)?(_token_\d+)?_kernel_time$", "", event["name"]
        )
        operator = details["op_name"]
        results = {
            kind for one in details["output_type_shape"] for kind in one
        }
        precision = "integer" if results <= INTEGERS else "float"
        if operator in CONVERSIONS:
            precision = "conversion"
        one = Ran(label.partition("/")[0], operator, precision)
        found.append((one, event["dur"] / 1e6))
    return found


def _done(one: Ran, graph: Graph, own: set[str]) -> list[str]:
    """The nodes whose work a kernel does.

    One of a layer and of what follows it is called as the last of them.
    ``own`` are nodes with a kernel of their own.
    """
    node = graph.nodes.get(one.node)
    layer = node is None or node.op in onnx_file.LAYERS
    if layer or one.operator not in LAYERS:
        return [one.node]
    before = [name for name in node.inputs if name not in own]
    parts = [_done(replace(one, node=name), graph, own) for name in before]
    return [*itertools.chain(*parts), one.node]
