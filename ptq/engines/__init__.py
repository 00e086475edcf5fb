"""Runtimes that execute a quantized network, and what they are made of."""

from ptq.registry import Registry

# Each module is what ``contract.Engine`` says.
ENGINES = Registry(
    "engine",
    {
        "simulation": "ptq.engines.simulation",
        "integers": "ptq.engines.integers",
        "onnx_runtime": "ptq.engines.onnx_runtime",
        "openvino": "ptq.engines.openvino",
    },
)
get = ENGINES.module

# A network's float reference on an engine: the module whose ``load_float``
# runs it, and the precision.
FLOATS = Registry(
    "float engine",
    {
        "torch_fp32": ("ptq.engines.torch_float", "float32"),
        "torch_bfloat16": ("ptq.engines.torch_float", "bfloat16"),
        "onnx_runtime_fp32": ("ptq.engines.onnx_runtime", "float32"),
        "openvino_fp32": ("ptq.engines.openvino", "float32"),
        "openvino_bfloat16": ("ptq.engines.openvino", "bfloat16"),
    },
)
