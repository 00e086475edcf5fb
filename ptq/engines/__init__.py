"""Runtimes that execute a quantized network, and what they are made of."""

from ptq.registry import Registry

# Each module is what ``contract.Engine`` says.
ENGINES = Registry(
    "engine",
    {
        "simulation": "ptq.engines.simulation",
        "integers": "ptq.engines.integers",
        "onnx_runtime": "ptq.engines.onnx_runtime",
    },
)
get = ENGINES.module
