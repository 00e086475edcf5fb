"""What runs in a network that OpenVINO compiled: its own word for it."""

import onnx

from ptq.engines.contract import Ran

PRECISIONS = {
    **dict.fromkeys(("u8", "i8", "i32"), "integer"),
    "bf16": "bfloat16",
    "f32": "float",
}
# Compiled for what is between other kernels; they compute in float32, also
# where they read and write codes, and so the runtime calls them integer.
IN_FLOAT = {"Eltwise", "Subgraph"}
# They move between integers and real numbers, or reorder memory.
CONVERSIONS = {
    *("Convert", "FakeQuantize", "Reorder", "Reshape", "Transpose"),
    *("StridedSlice", "ShapeOf"),
}
# What such a step is called in the file.
FILE_CONVERSIONS = {
    *("Cast", "DequantizeLinear", "Identity", "QuantizeLinear", "Reshape"),
}


def operators(compiled, file: onnx.ModelProto) -> dict[str, list[Ran]]:
    """What runs, by the runtime's own name of the kernel, in order.

    A kernel that does several nodes' work is told for each. ``compiled`` was
    made of ``file``. The kernel's name has what it was made for, such as
    "amx_I8"; the precision is that of its arithmetic.
    """
    known = {node.name: node for node in file.graph.node}
    constant, found = set(), {}
    for kernel in compiled.get_runtime_model().get_ordered_ops():
        name, told = kernel.get_friendly_name(), kernel.get_rt_info()
        layer, precision, primitive, done = (
            told[key].astype(str)
            for key in (
                *("layerType", "runtimePrecision", "primitiveType"),
                "originalLayersNames",
            )
        )
        read = {
            value.get_node().get_friendly_name()
            for value in kernel.input_values()
        }
        if layer == "Const" or read and read <= constant:
            constant.add(name)
        elif layer not in ("Input", "Output"):
            operator = f"{layer} {primitive}"
            # float16 and others are no precision that was asked for.
            kind = PRECISIONS.get(precision, "float")
            if kind == "integer" and layer in IN_FLOAT:
                kind = "float"
            parts = done.split(",")
            if layer in IN_FLOAT:  # moved there, from behind a layer
                parts = [p for p in parts if "/Dequantization" not in p]
            nodes = _nodes(parts, known)
            if layer in CONVERSIONS or not nodes:
                nodes, kind = [name.partition("/")[0]], "conversion"
            found[name] = [Ran(node, operator, kind) for node in nodes]
    return found


def _nodes(done: list[str], known: dict[str, onnx.NodeProto]) -> list[str]:
    """Nodes of the graph whose operations a kernel does.

    ``done`` are its names for them, such as "NODE/float/WithoutBiases";
    ``known`` the file's operations by their names, such as "NODE/float".
    """
    nodes = {}
    for name in done:
        while name and name not in known:
            name = name.rpartition("/")[0]
        if name and known[name].op_type == "Identity":
            name = known[name].input[0]  # the result repeats its last node
        if name in known and known[name].op_type not in FILE_CONVERSIONS:
            nodes[name.partition("/")[0]] = None
    return list(nodes)
