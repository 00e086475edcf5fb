"""A network's float reference on each engine that runs one.

FP32 is float32 everywhere, whatever a runtime would choose by itself, and
bfloat16 stands beside it under a name of its own.
"""

from importlib import import_module
from typing import Literal

from ptq.engines import FLOATS
from ptq.engines.contract import Run
from ptq.graph import UnsupportedError
from ptq.quantizer.network import QuantizedNetwork


def available(name: str) -> Literal[True] | str:
    """True, or one sentence on why this row of ``FLOATS`` does not run here.

    Raises UnknownNameError with the names that there are.
    """
    module, dtype = FLOATS.row(name)
    engine = import_module(module)
    reason = engine.available()
    return engine.float_available(dtype) if reason is True else reason


def load(name: str, network: QuantizedNetwork, threads: int = 0) -> Run:
    """The float reference of ``network``, BN folded, by a row of ``FLOATS``.

    It takes images as ``network`` does and gives logits, float32. Raises
    UnsupportedError where it does not run here, or where a layer runs in
    another precision than the row's; UnknownNameError as ``available``.
    """
    if (reason := available(name)) is not True:
        raise UnsupportedError(f"{name}: {reason}")
    module, dtype = FLOATS.row(name)
    run = import_module(module).load_float(network, dtype, threads)
    _check(name, network, run, "float" if dtype == "float32" else dtype)
    return run


def _check(name: str, network: QuantizedNetwork, run: Run, wanted: str):
    """No layer is listed in another precision than the row's, and some in it.

    Runtimes rename layers that they fuse, so not each can be looked for.
    """
    layers = {
        node.name
        for node in network.graph.nodes.values()
        if node.op in ("convolution", "linear")
    }
    found = {one.precision for one in run.ran}
    allowed = {wanted, "float", "conversion"}
    others = {
        one.node
        for one in run.ran
        if one.precision not in allowed
        or one.node in layers
        and one.precision not in (wanted, "conversion")
    }
    if wrong := sorted(others if wanted in found else layers):
        raise UnsupportedError(
            f"{name} does not run {', '.join(wrong)} in {wanted}"
        )
