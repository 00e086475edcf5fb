"""Ways to run a network wrongly, or otherwise: what ``knobs`` compares."""

from collections.abc import Callable

import torch
from torch import Tensor

from ptq.bench import competitors
from ptq.bench.competitors import Load, Run
from ptq.deploy.inputs import Inputs
from ptq.engines import onnx_runtime
from ptq.graph import UnsupportedError
from ptq.quantizer.network import QuantizedNetwork


def ways(
    given: Inputs, network: QuantizedNetwork, threads: int
) -> dict[str, Callable[[], Load]]:
    """All, by name: functions that make ``load`` of a ``Competitor``.

    ``network`` is what was made of the given one; ``threads`` are all. A
    function raises ImportError or UnsupportedError where it cannot.
    """
    floats = {
        name: lambda make=make: make().load
        for name, make in competitors.floats(given, network).items()
    }

    def file(**settings) -> Callable[[], Load]:
        return lambda: competitors.normalizing(
            network, qdq(network), **settings
        )

    return floats | {
        "INT8": file(),
        "INT8, not fused": file(fused=False),
        "INT8, exact sums": file(entries={onnx_runtime.PRECISE: "1"}),
        "INT8, default sums": file(entries={}),
        "INT8, Flatten in float": lambda: competitors.normalizing(
            network, flatten_in_float(qdq(network))
        ),
        "INT8, one by one": lambda: one_by_one(file()()),
        "INT8, one by one, all threads": lambda: one_by_one(
            file()(), threads
        ),
        "INT8, loaded anew": lambda: loaded_anew(file()()),
        "simulation": lambda: lambda threads: network,
        "FP32, images in the file": lambda: images_inside(network),
    }


def qdq(network: QuantizedNetwork) -> bytes:
    """The ONNX file of a quantized network, for float images.

    Raises ImportError where onnx is missing, UnsupportedError as
    ``onnx_file.model``.
    """
    from ptq.engines import onnx_file

    return onnx_file.model(network).SerializeToString()


def flatten_in_float(content: bytes) -> bytes:
    """A QDQ file with no codes behind Flatten, as careless tools write it.

    ``content`` is a file of ours, which has a Reshape there. Raises
    UnsupportedError where it has none between codes.
    """
    import onnx

    model = onnx.load_from_string(content)
    nodes = model.graph.node
    sizes = {one.name: one.dims for one in model.graph.initializer}
    readers = {node.input[0]: node for node in nodes}
    found = [
        (node, after, readers[after.output[0]])
        for node in nodes
        if node.op_type == "Reshape"
        and list(sizes[node.input[1]]) == [2]
        and (after := readers.get(node.output[0])) is not None
        and after.op_type == "QuantizeLinear"
    ]
    if not found:
        raise UnsupportedError("the network flattens nothing between codes")
    for node, codes, real in found:
        flat = onnx.helper.make_node("Flatten", node.input[:1], real.output)
        node.CopyFrom(flat)
        nodes.remove(codes)
        nodes.remove(real)
    return model.SerializeToString()


def one_by_one(load: Load, threads: int = 1) -> Load:
    """The same on so many threads, each image asked alone."""

    def alone(_: int) -> Run:
        run = load(threads)
        return lambda images: torch.cat([run(one) for one in images.split(1)])

    return alone


def loaded_anew(load: Load) -> Load:
    """The same, loaded in each call, as without a warm-up."""
    return lambda threads: lambda images: load(threads)(images)


def images_inside(network: QuantizedNetwork) -> Load:
    """The float file with its first images in it, as constants.

    The runtime computes their logits once, as it loads.
    """
    from onnx import numpy_helper

    from ptq.engines import onnx_file

    def load(threads: int) -> Run:
        opened = []

        def run(images: Tensor) -> Tensor:
            if not opened:
                model = onnx_file.float_model(network.graph)
                real = network.normalized(images).numpy()
                constant = numpy_helper.from_array(real, "images")
                model.graph.initializer.append(constant)
                del model.graph.input[:]
                content = model.SerializeToString()
                opened.append(competitors.session(content, threads))
            return opened[0]()

        return run

    return load
