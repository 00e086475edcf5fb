"""Codes in a network's ONNX file: put out, or written around zero."""

from collections import defaultdict
from collections.abc import Callable, Iterable

import numpy as np
import onnx
import torch
from torch import Tensor

from ptq.engines import onnx_file
from ptq.engines.file_runner import Ask
from ptq.quantizer.network import QuantizedNetwork

MIDDLE = 128  # of uint8: less it, codes are int8


def inside(
    network: QuantizedNetwork, pixels: bool, asker: Callable[[bytes], Ask]
) -> Callable[[Tensor], dict[str, Tensor]]:
    """A function from images (N, ...) to codes, uint8, by the node's name.

    ``asker`` opens a file's content in a runtime, which may fuse less than
    it does without these further outputs. With ``pixels`` the file takes
    uint8 images. Raises UnsupportedError as ``onnx_file.model``.
    """
    model = onnx_file.model(network, pixels)
    labels = put_out(model, network.graph.nodes)
    ask = asker(model.SerializeToString())

    def codes(images: Tensor) -> dict[str, Tensor]:
        found = ask([*labels.values()], images.contiguous().numpy())
        return dict(zip(labels, map(torch.from_numpy, found), strict=True))

    return codes


def put_out(model: onnx.ModelProto, names: Iterable[str]) -> dict[str, str]:
    """Let a network's file put out codes too; their labels by node's name.

    ``names`` are nodes; those whose results have no codes are passed over.
    """
    made = {output for node in model.graph.node for output in node.output}
    labels = {
        name: codes + "/clipped" * (f"{codes}/clipped" in made)
        for name in names
        if (codes := f"{name}/codes") in made
    }
    for label in labels.values():
        kind = onnx.TensorProto.UINT8
        told = onnx.helper.make_tensor_value_info(label, kind, None)
        model.graph.output.append(told)
    return labels


def centre(
    model: onnx.ModelProto, codes: dict[str, list[onnx.NodeProto]]
) -> None:
    """Write ``codes``, those ``around_middle``, as int8 around 0.

    They stand for the same numbers.

    A kernel then corrects no sum for a zero point, which takes a small first
    layer up to half of its time.
    """
    graph = model.graph
    shapes = {one.name: tuple(one.dims) for one in graph.initializer}
    for name, nodes in codes.items():
        for node in nodes:
            signed = np.zeros(shapes[node.input[2]], np.int8)
            node.input[2] += "/centred"
            graph.initializer.append(_tensor(signed, node.input[2]))
        if name == "images":
            _centre_images(graph, nodes)


def around_middle(model: onnx.ModelProto) -> dict[str, list[onnx.NodeProto]]:
    """Codes whose zero point is ``MIDDLE``: their nodes, by the codes' name.

    Codes that the file puts out, or computes with, are not among them.
    """
    codes, zeros = defaultdict(list), _arrays(model.graph)
    for node in model.graph.node:
        for name in [*node.input, *node.output]:
            codes[name].append(node)
    given = {value.name for value in model.graph.output}
    return {
        name: nodes
        for name, nodes in codes.items()
        if name not in given
        and all(_around_middle(node, name, zeros) for node in nodes)
    }


def _arrays(graph: onnx.GraphProto) -> dict[str, np.ndarray]:
    to_array = onnx.numpy_helper.to_array
    return {tensor.name: to_array(tensor) for tensor in graph.initializer}


def _around_middle(node: onnx.NodeProto, codes: str, zeros: dict) -> bool:
    """Whether a node does no more with its codes than (de)quantize them."""
    if node.op_type == "DequantizeLinear":
        place = node.input[0]
    elif node.op_type == "QuantizeLinear":
        place = node.output[0]
    else:
        return False
    zero = zeros.get("".join(node.input[2:]), np.empty(0))
    middle = zero.dtype == np.uint8 and (zero == MIDDLE).all()
    return place == codes and zero.size > 0 and bool(middle)


def _centre_images(graph: onnx.GraphProto, readers: list) -> None:
    """Nodes in front, which make codes of pixels less ``MIDDLE``."""
    real, step, least, codes = (
        f"input/{name}" for name in ("pixels", "one", "least", "codes")
    )
    for node in readers:
        node.input[0] = codes
    graph.initializer.append(_tensor(np.float32(1), step))
    graph.initializer.append(_tensor(np.int8(-MIDDLE), least))
    make, kind = onnx.helper.make_node, onnx.TensorProto.FLOAT
    graph.node.insert(0, make("Cast", ["images"], [real], real, to=kind))
    given = [real, step, least]
    graph.node.insert(1, make("QuantizeLinear", given, [codes], codes))


def _tensor(number: np.generic, name: str) -> onnx.TensorProto:
    return onnx.numpy_helper.from_array(np.asarray(number), name)
