"""One file a runtime that executes a quantized network."""

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
