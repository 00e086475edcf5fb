"""ONNX Runtime: any quantized network, run by integers on a processor."""

import json
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

import onnxruntime
import torch
from torch import Tensor

from ptq.engines import onnx_file
from ptq.graph import UnsupportedError
from ptq.quantizer import placement
from ptq.quantizer.network import QuantizedNetwork

INTEGERS = {"uint8", "int8"}
# Operations that move between the two worlds, or reorder memory.
CONVERSIONS = {"QuantizeLinear", "DequantizeLinear", "Transpose", "Identity"}
BATCH = 64


@dataclass(frozen=True)
class Ran:
    """An operator that ran: whose node, which kind, in which precision."""

    node: str
    operator: str
    precision: str


class Runner:
    """A network in ONNX Runtime; call it with images.

    ``ran`` lists the operators that really ran, in order, as the runtime's
    own profile of one image tells.
    """

    def __init__(self, network: QuantizedNetwork, content: bytes, threads):
        self._network = network
        with tempfile.TemporaryDirectory() as folder:
            options = session_options(threads)
            options.enable_profiling = True
            options.profile_file_prefix = str(Path(folder, "profile"))
            self._session = onnxruntime.InferenceSession(
                content, options, providers=["CPUExecutionProvider"]
            )
            shape = network.graph.nodes["input"].shape[1:]
            self._ask(torch.zeros(1, *shape))
            events = json.loads(
                Path(self._session.end_profiling()).read_text()
            )
        self.ran = _operators(events)

    def __call__(self, images: Tensor) -> Tensor:
        """Logits, float32, of images as ``QuantizedNetwork`` takes them."""
        batches = self._network.normalized(images).split(BATCH)
        return torch.cat([self._ask(batch) for batch in batches])

    def _ask(self, images: Tensor) -> Tensor:
        given = {"images": images.contiguous().numpy()}
        return torch.from_numpy(self._session.run(["logits"], given)[0])


def load(network: QuantizedNetwork, threads: int = 0) -> Runner:
    """The network in ONNX Runtime, on ``threads`` threads (0: its choice).

    Raises UnsupportedError, naming the nodes, where a convolution, linear
    layer, sum, concatenation or pooling ran in float that was not kept so.
    """
    content = onnx_file.model(network).SerializeToString()
    runner = Runner(network, content, threads)
    if fallen := _fallen_back(network, runner.ran):
        raise UnsupportedError(
            f"ONNX Runtime runs {', '.join(fallen)} in float: keep_float "
            "accepts that by name"
        )
    return runner


def session_options(threads: int) -> onnxruntime.SessionOptions:
    """Sums of integers that are exact, on ``threads`` threads."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    # Else pair sums of uint8 x int8 saturate on processors without VNNI.
    options.add_session_config_entry("session.x64quantprecision", "1")
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
