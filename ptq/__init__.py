"""Post-training quantization of compact CNNs, measured with evidence.

Importing this package does no work; import the module you need. Two calls
stand at its top, each loaded when it is first asked for: ``quantize`` of
``quantizer.quantizing``, and ``export_onnx``, ``engines.onnx_file.save``.
"""

from importlib import import_module

__version__ = "1.0.0"
_OFFERED = {
    "quantize": ("ptq.quantizer.quantizing", "quantize"),
    "export_onnx": ("ptq.engines.onnx_file", "save"),
}


def __getattr__(name: str):
    if name not in _OFFERED:
        raise AttributeError(f"module 'ptq' has no attribute {name!r}")
    module, inside = _OFFERED[name]
    return getattr(import_module(module), inside)


def __dir__():
    return sorted([*globals(), *_OFFERED])
