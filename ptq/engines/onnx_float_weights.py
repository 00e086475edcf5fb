"""An ONNX file whose weights are real numbers, on the grids that they had."""

import numpy as np
import onnx
from onnx import numpy_helper


def real_weights(file: onnx.ModelProto) -> onnx.ModelProto:
    """A copy whose constant codes are dequantized; the rest stays.

    A weight or bias is then float32, code times scale, and a runtime finds
    no integers to compute with.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(file)
    graph = copy.graph
    arrays = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    for node in list(graph.node):
        if node.op_type == "DequantizeLinear" and node.input[0] in arrays:
            codes, scale, *zero = (arrays[name] for name in node.input)
            axis = next((a.i for a in node.attribute if a.name == "axis"), 1)
            around = [1] * codes.ndim
            if scale.ndim:
                around[axis] = -1
            whole = codes.astype(np.float64)  # a bias may be over 2^24
            if zero:
                whole -= zero[0].reshape(around)
            real = np.float32(whole * scale.reshape(around))
            name = node.output[0]
            real = real.reshape(codes.shape)
            graph.initializer.append(numpy_helper.from_array(real, name))
            graph.node.remove(node)
    return copy
