"""ONNX Runtime beside the simulation, code by code."""

import onnx
import onnxruntime
import torch

from ptq.engines import onnx_file
from ptq.quantizer import affine


def runtime_codes(network, images, pixels=False):
    """Codes of each node in ONNX Runtime, as the file's further outputs.

    With ``pixels``, images are uint8, and the file takes them as they are.
    """
    model = onnx_file.model(network, pixels)
    made = {output for node in model.graph.node for output in node.output}
    names = [n for n in network.graph.nodes if f"{n}/codes" in made]
    for name in names:
        model.graph.output.append(
            onnx.helper.make_tensor_value_info(
                f"{name}/codes", onnx.TensorProto.UINT8, None
            )
        )
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    options.add_session_config_entry("session.x64quantprecision", "1")
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, ["CPUExecutionProvider"]
    )
    wanted = [f"{name}/codes" for name in names]
    found = session.run(wanted, {"images": images.numpy()})
    return dict(zip(names, map(torch.from_numpy, found), strict=True))


def steps_apart(network, images):
    """Largest difference in codes of each node, on the runtime's inputs.

    Where a function of real numbers is in between, its own input's codes
    are taken: the simulation then computes all from there.
    """
    codes, apart, values = runtime_codes(network, images), {}, {}
    for node in network.graph.nodes.values():
        given = {name: values[name] for name in node.inputs}
        if node.op == "input":
            given = {"images": images}
        result = network.compute(node, given)
        values[node.name], grid = result, network.grid(node.name)
        if node.name in codes:
            mine = affine.quantize(result, grid)
            clipped = codes[node.name].int().clamp(max=grid.qmax)
            apart[node.name] = int((mine - clipped).abs().max())
            values[node.name] = affine.dequantize(clipped, grid)
    return apart
