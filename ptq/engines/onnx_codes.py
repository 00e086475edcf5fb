"""A network's ONNX file that also puts out the codes inside."""

from collections.abc import Callable, Iterable

import onnx
import torch
from torch import Tensor

from ptq.engines import onnx_file
from ptq.engines.file_runner import Ask
from ptq.quantizer.network import QuantizedNetwork


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
