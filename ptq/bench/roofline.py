"""The most that this machine computes and moves, measured by the timer.

A network's share of it is how close to the roof it runs (Williams, Waterman
and Patterson, 2009).
"""

import functools
from collections.abc import Iterable, Iterator

import numpy as np
import torch
from torch import Tensor

from ptq.bench import competitors
from ptq.bench.competitors import BFLOAT, FLOAT, INTEGER, Load, Loaded, Run
from ptq.engines import onnx_runtime, openvino
from ptq.measure import timer

COPY = "copy"
SIDES = (512, 1024)  # of square matrices: the smaller ones stay in caches
COPIED = 2**25  # float32 numbers, more than caches hold
ROUNDS = 5


def peaks(
    threads: Iterable[int], seed: int, rounds: int = ROUNDS
) -> dict[str, dict[str, float]]:
    """Multiply-accumulates a second, by threads and arithmetic.

    "copy" has the bytes a second that are read and written. The fastest of
    ``rounds``, of two sizes and of all runtimes counts, as whatever disturbs
    can only slow down.
    """
    work = {f"{kind} {i}": one for i, (kind, *one) in enumerate(_work())}
    modules = {name: Loaded(load) for name, (_, load) in work.items()}
    plan = [timer.Conditions(tuple(work), 1, count) for count in threads]
    found = timer.compare(modules, torch.zeros(1, 1), plan, rounds, seed)
    told = {}
    for conditions, samples in zip(plan, found, strict=True):
        best = told[str(conditions.threads)] = {}
        for name, (amount, _) in work.items():
            rate = amount / float(samples.seconds[name].min())
            kind = name.partition(" ")[0]
            best[kind] = max(rate, best.get(kind, 0.0))
    return told


def _work() -> Iterator[tuple[str, int, Load]]:
    """Of each thing to time: its kind, how much it does, and its ``load``."""
    for side in SIDES:
        for kind, load in (
            (FLOAT, _product),
            (BFLOAT, functools.partial(_product, kind=torch.bfloat16)),
            *((INTEGER, one) for one in _integers()),
        ):
            yield kind, side**3, functools.partial(load, side)
    yield COPY, 2 * 4 * COPIED, _copy


def _product(
    side: int, threads: int, kind: torch.dtype = torch.float32
) -> Run:
    matrix = torch.ones(side, side, dtype=kind)
    return lambda images: matrix @ matrix


def _integers() -> list:
    """uint8 times int8 by each runtime here; int8 times int8 by torch."""
    known = {onnx_runtime: _by_onnx, openvino: _by_openvino}
    here = [run for one, run in known.items() if one.available() is True]
    return here or [_by_torch]


def _by_torch(side: int, threads: int) -> Run:
    matrix = torch.ones(side, side, dtype=torch.int8)
    return lambda images: torch._int_mm(matrix, matrix)


def _by_onnx(side: int, threads: int) -> Run:
    run = competitors.session(_file(side), threads)
    ones = torch.ones(side, side, dtype=torch.uint8)
    return lambda images: run(ones)


def _by_openvino(side: int, threads: int) -> Run:
    from ptq.engines import openvino_models as models

    made = models.compiled(_file(side), models.settings(threads))
    request, ones = made.create_infer_request(), np.ones((side, side), "u1")

    def run(images: Tensor) -> Tensor:
        found = request.infer({"images": ones}, share_inputs=True)
        return torch.from_numpy(found["logits"])

    return run


def _file(side: int) -> bytes:
    """An ONNX file of a product of codes, (side, side) each."""
    from onnx import TensorProto, helper, numpy_helper

    def value(name: str):
        sides = [side, side]
        return helper.make_tensor_value_info(name, TensorProto.UINT8, sides)

    nodes = [
        ("DequantizeLinear", "images one zero", "x"),
        ("DequantizeLinear", "weight one", "w"),
        ("MatMul", "x w", "y"),
        ("QuantizeLinear", "y side zero", "logits"),
    ]
    constants = {
        "weight": np.ones((side, side), np.int8),
        "one": np.float32(1),
        "side": np.float32(side),
        "zero": np.uint8(0),
    }
    graph = helper.make_graph(
        [helper.make_node(op, i.split(), [o]) for op, i, o in nodes],
        "product",
        [value("images")],
        [value("logits")],
        [
            numpy_helper.from_array(np.array(v), n)
            for n, v in constants.items()
        ],
    )
    opset = [helper.make_opsetid("", 17)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=8)
    return model.SerializeToString()


def _copy(threads: int) -> Run:
    source = torch.zeros(COPIED)
    target = torch.empty_like(source)

    def run(images: Tensor) -> Tensor:
        return target.copy_(source)

    return run
