"""The most that this machine computes and moves, measured by the timer.

A network's share of it is how close to the roof it runs (Williams, Waterman
and Patterson, 2009).
"""

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from ptq.bench.competitors import BFLOAT, FLOAT, INTEGER, Loaded, Run
from ptq.measure import timer

COPY = "copy"
SIDE = 1024  # of square matrices
COPIED = 2**25  # float32 numbers, more than caches hold
ROUNDS = 5


def peaks(
    threads: Iterable[int], seed: int, rounds: int = ROUNDS
) -> dict[str, dict[str, float]]:
    """Multiply-accumulates a second, by threads and arithmetic.

    "copy" has the bytes a second that are read and written. The fastest of
    ``rounds`` counts, as whatever disturbs can only slow down.
    """
    work = {FLOAT: _product, BFLOAT: _bfloat, INTEGER: _integers, COPY: _copy}
    modules = {name: Loaded(load) for name, load in work.items()}
    plan = [timer.Conditions(tuple(work), 1, count) for count in threads]
    found = timer.compare(modules, torch.zeros(1, 1), plan, rounds, seed)
    amounts = dict.fromkeys(work, SIDE**3) | {COPY: 2 * 4 * COPIED}
    return {
        str(conditions.threads): {
            name: amount / float(samples.seconds[name].min())
            for name, amount in amounts.items()
        }
        for conditions, samples in zip(plan, found, strict=True)
    }


def _product(threads: int, kind: torch.dtype = torch.float32) -> Run:
    matrix = torch.ones(SIDE, SIDE, dtype=kind)
    return lambda images: matrix @ matrix


def _bfloat(threads: int) -> Run:
    return _product(threads, torch.bfloat16)


def _integers(threads: int) -> Run:
    """uint8 times int8 by ONNX Runtime, else int8 times int8 by torch."""
    try:
        return _by_onnx(threads)
    except ImportError:
        matrix = torch.ones(SIDE, SIDE, dtype=torch.int8)
        return lambda images: torch._int_mm(matrix, matrix)


def _by_onnx(threads: int) -> Run:
    from onnx import TensorProto, helper, numpy_helper

    from ptq.bench.competitors import session

    node = helper.make_node("MatMulInteger", ["images", "w"], ["y"])
    sides = [SIDE, SIDE]
    codes = np.ones(sides, np.int8)
    graph = helper.make_graph(
        [node],
        "product",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, sides)],
        [helper.make_tensor_value_info("y", TensorProto.INT32, sides)],
        [numpy_helper.from_array(codes, "w")],
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8
    )
    run = session(model.SerializeToString(), threads)
    ones = torch.ones(SIDE, SIDE, dtype=torch.uint8)
    return lambda images: run(ones)


def _copy(threads: int) -> Run:
    source = torch.zeros(COPIED)
    target = torch.empty_like(source)

    def run(images: Tensor) -> Tensor:
        return target.copy_(source)

    return run
