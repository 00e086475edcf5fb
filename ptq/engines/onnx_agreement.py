"""An engine that reads ONNX beside the simulation, code by code."""

import onnx
import torch
from torch import Tensor

from ptq import engines
from ptq.engines import onnx_file
from ptq.quantizer import affine
from ptq.quantizer.network import QuantizedNetwork


def runtime_codes(
    network: QuantizedNetwork,
    images: Tensor,
    pixels: bool = False,
    engine: str = "onnx_runtime",
) -> dict[str, Tensor]:
    """Codes of each node's result in an engine, uint8, by its name.

    ``images`` is float32 (N, ...), normalized; or uint8 with ``pixels``,
    where the file takes them as they are. The codes are asked for as further
    outputs of the network's file, so the runtime may fuse less. ``engine``
    is "onnx_runtime" or "openvino". Raises UnsupportedError as
    ``onnx_file.model``.
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
    wanted = [f"{name}/codes" for name in names]
    ask = engines.get(engine).outputs
    found = ask(model.SerializeToString(), wanted, images.numpy())
    return dict(zip(names, map(torch.from_numpy, found), strict=True))


def steps_apart(
    network: QuantizedNetwork, images: Tensor, engine: str = "onnx_runtime"
) -> dict[str, int]:
    """Largest difference in codes of each node, on the runtime's inputs.

    ``images`` is float32 (N, ...), normalized. Each node is simulated from
    what the runtime gave to it, so differences do not add up. Where a
    function of real numbers is in between, its own input's codes are taken:
    the simulation then computes all from there. Raises UnsupportedError as
    ``runtime_codes``.
    """
    codes = runtime_codes(network, images, engine=engine)
    apart, values = {}, {}
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
