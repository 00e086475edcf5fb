"""The roof: each runtime's product is right, and the fastest counts."""

import numpy as np
import pytest
import torch

from ptq.bench import roofline
from ptq.engines import onnx_runtime, openvino
from ptq.measure import timer


@pytest.mark.parametrize("by", ["onnx", "openvino"])
def test_a_product_of_codes_is_computed(by):
    run = getattr(roofline, f"_by_{by}")(32, threads=1)
    found = run(torch.zeros(1))  # 32 products of one, on a grid of 32 steps
    assert found.dtype == torch.uint8 and found.shape == (32, 32)
    assert (found == 1).all()


def test_torch_multiplies_where_no_runtime_is(monkeypatch):
    for engine in (onnx_runtime, openvino):
        monkeypatch.setattr(engine, "available", lambda: "it is missing")
    (only,) = roofline._integers()
    assert (only(32, threads=1)(torch.zeros(1)) == 32).all()


def test_the_fastest_size_and_runtime_count(monkeypatch):
    def told(modules, images, plan, rounds, seed):
        seconds = {
            name: np.full((2, rounds), float(i + 1))
            for i, name in enumerate(modules)
        }
        return [timer.Samples(seconds, []) for _ in plan]

    monkeypatch.setattr(timer, "compare", told)
    found = roofline.peaks([1, 2], seed=0)
    assert list(found) == ["1", "2"] and found["1"] == found["2"]
    small, large = (side**3 for side in roofline.SIDES)
    # Two runtimes: places 3 and 4 of the small size, 7 and 8 of the large.
    assert found["1"] == {
        "FP32": large / 5,
        "BF16": large / 6,
        "INT8": max(small / 3, large / 7),
        "copy": 8 * roofline.COPIED / 9,
    }
