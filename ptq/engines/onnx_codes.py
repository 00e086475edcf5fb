"""A network's ONNX file that also puts out the codes inside."""

from collections.abc import Iterable

import onnx

from ptq.engines import onnx_file
from ptq.quantizer.network import QuantizedNetwork


def file(
    network: QuantizedNetwork, pixels: bool = False
) -> tuple[bytes, dict[str, str]]:
    """The file's content, and the labels of its further outputs.

    These are the codes of each node's result, uint8, by the node's name.
    With ``pixels`` the file takes uint8 images. A runtime may fuse less than
    it does without. Raises UnsupportedError as ``onnx_file.model``.
    """
    model = onnx_file.model(network, pixels)
    labels = put_out(model, network.graph.nodes)
    return model.SerializeToString(), labels


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
