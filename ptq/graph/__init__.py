"""Any traceable network as data: operations, weights, folded BN."""

from ptq.graph.errors import UnsupportedError
from ptq.graph.nodes import Constant, Graph, Node, Value
from ptq.graph.norm_folding import fold
from ptq.graph.pixels import on_pixels
from ptq.graph.tracing import trace

__all__ = [
    "Constant",
    "Graph",
    "Node",
    "UnsupportedError",
    "Value",
    "fold",
    "on_pixels",
    "trace",
]
