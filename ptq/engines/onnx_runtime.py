"""ONNX Runtime: any quantized network, run by integers on a processor."""

import json
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from ptq.engines.contract import Ran
from ptq.graph import UnsupportedError
from ptq.quantizer import placement
from ptq.quantizer.network import QuantizedNetwork

try:
    import onnx
    import onnxruntime

    from ptq.engines import onnx_file, onnx_self_test
except ImportError as error:
    MISSING = error.name
else:
    MISSING = None

# One code of rounding: sums and functions are scaled in float32 there.
EXACT = False
INTEGERS = {"uint8", "int8", "int32"}
# Operations that move between the two worlds, or reorder memory.
CONVERSIONS = {"QuantizeLinear", "DequantizeLinear", "Transpose", "Identity"}
BATCH = 64


class Runner:
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
        self._network, self._pixels = network, pixels
        with tempfile.TemporaryDirectory() as folder:
            options = session_options(threads)
            options.enable_profiling = True
            options.profile_file_prefix = str(Path(folder, "profile"))
            self._session = onnxruntime.InferenceSession(
                content, options, providers=["CPUExecutionProvider"]
            )
            shape = network.graph.nodes["input"].shape[1:]
            dtype = torch.uint8 if pixels else torch.float32
            self._ask(torch.zeros(1, *shape, dtype=dtype))
            events = json.loads(
                Path(self._session.end_profiling()).read_text()
            )
        self.ran = _operators(events)

    def __call__(self, images: Tensor) -> Tensor:
        """Logits, float32, of images as ``QuantizedNetwork`` takes them.

        Of a file that takes pixels, uint8 ones only. Raises
        UnsupportedError where they do not fit.
        """
        if not self._pixels:
            images = self._network.normalized(images)
        elif images.dtype == torch.uint8:
            self._network.check_shape(images)
        else:
            raise UnsupportedError("images are no pixels: expected uint8")
        return torch.cat([self._ask(batch) for batch in images.split(BATCH)])

    def _ask(self, images: Tensor) -> Tensor:
        given = {"images": images.contiguous().numpy()}
        return torch.from_numpy(self._session.run(["logits"], given)[0])


def available() -> Literal[True] | str:
    """True, or which package is missing."""
    if MISSING is None:
        return True
    return f"it needs the package {MISSING}: pip install {MISSING}"


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
    if fallen := _fallen_back(network, runner.ran):
        raise UnsupportedError(
            f"ONNX Runtime runs {', '.join(fallen)} in float: keep_float "
            "accepts that by name"
        )
    return runner


def inside(
    network: QuantizedNetwork, fused: bool = True, pixels: bool = False
) -> Callable:
    """Codes of each node's result, uint8, as ``contract.Engine`` says.

    With ``pixels``, images are uint8 and the file takes them as they are.
    The codes are asked for as further outputs of the network's file.
    """
    model = onnx_file.model(network, pixels)
    made = {output for node in model.graph.node for output in node.output}
    labels = {
        name: codes + "/clipped" * (f"{codes}/clipped" in made)
        for name in network.graph.nodes
        if (codes := f"{name}/codes") in made
    }
    for label in labels.values():
        kind = onnx.TensorProto.UINT8
        told = onnx.helper.make_tensor_value_info(label, kind, None)
        model.graph.output.append(told)
    options = session_options(threads=1)
    if not fused:
        level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.graph_optimization_level = level
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, ["CPUExecutionProvider"]
    )

    def codes(images: Tensor) -> dict[str, Tensor]:
        given = {"images": images.contiguous().numpy()}
        found = session.run([*labels.values()], given)
        return dict(zip(labels, map(torch.from_numpy, found), strict=True))

    return codes


def session_options(threads: int) -> "onnxruntime.SessionOptions":
    """For a session on ``threads`` threads; 0 leaves that to the runtime.

    Nothing is logged, and no sum saturates: where the runtime's fastest
    kernels are not exact on this processor, it takes others.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    if not onnx_self_test.exact():
        options.add_session_config_entry(onnx_self_test.PRECISE, "1")
    return options


def _operators(events: list[dict]) -> list[Ran]:
    """What a profile tells; a part of a node is called "NODE/PART"."""
    found = []
    for event in events:
        details = event.get("args", {})
        if event["cat"] != "Node" or "op_name" not in details:
            continue
        label = re.sub(r"(_token_\d+)?_kernel_time$", "", event["name"])
        operator = details["op_name"]
        results = {
            kind for one in details["output_type_shape"] for kind in one
        }
        precision = "integer" if results <= INTEGERS else "float"
        if operator in CONVERSIONS:
            precision = "conversion"
        found.append(Ran(label.partition("/")[0], operator, precision))
    return found


def _fallen_back(network: QuantizedNetwork, ran: list[Ran]) -> list[str]:
    """What should have run in integers and did not, with its operator."""
    wanted = {
        node.name
        for node in network.graph.nodes.values()
        if placement.kind(node, network.kept) in placement.INTEGER
        or node.op == "max_pool"
        and network.grid(node.name)
    }
    by_integers = {one.node for one in ran if one.precision == "integer"}
    in_float = {}
    for one in ran:
        if one.precision == "float":
            in_float.setdefault(one.node, one.operator)
    fallen = [f"{n} ({in_float[n]})" for n in wanted & in_float.keys()]
    return sorted(fallen + list(wanted - by_integers - in_float.keys()))
