"""Short ways to say an operation in ONNX."""

import numpy as np

from ptq.graph import Node


def to_shape(writer, x: str, shape: tuple, result: str) -> str:
    """Reshape to a constant shape; returns ``result``."""
    sizes = writer.tensor(f"{result}/shape", np.array(shape, np.int64))
    return writer.add("Reshape", [x, sizes], result)


def simple(kind: str, *names: str):
    """A writer for one value; numbers behind it are ONNX's settings.

    ``kind`` is ONNX's name, ``names`` are those of the settings.
    """

    def write(writer, node: Node, result: str) -> None:
        settings = dict(zip(names, node.args[1:], strict=True))
        writer.add(kind, node.inputs, result, **settings)

    return write


def operands(kind: str):
    """A writer of an operation on all its arguments.

    They may be values, constants or numbers; ``kind`` is ONNX's name.
    """

    def write(writer, node: Node, result: str) -> None:
        given = [writer.operand(arg, node.name) for arg in node.args]
        writer.add(kind, given, result)

    return write
