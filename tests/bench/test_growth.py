"""Plain networks of a given size, and times of each; never a clock."""

import numpy as np
import pytest
import torch
from made_timings import made_timing
from small_network import pixels_of

from ptq.bench import growth
from ptq.engines import onnx_runtime
from ptq.measure import timer
from ptq.quantizer.quantizing import quantize


@pytest.mark.parametrize(("width", "depth"), [(8, 1), (16, 3)])
def test_a_plain_network_has_the_asked_size(width, depth):
    before = torch.get_rng_state()
    made = growth.plain(width, depth, seed=3)
    assert torch.equal(torch.get_rng_state(), before)
    same = growth.plain(width, depth, seed=3).state_dict()
    assert all(torch.equal(same[n], v) for n, v in made.state_dict().items())
    pixels = pixels_of(4, 3, growth.SIDE, growth.SIDE)
    network = quantize(made, pixels, normalization=(0.5, 0.5))
    macs = network.layers()["macs"].tolist()
    area = 9 * growth.SIDE**2
    inner = [area * width**2] * (depth - 1)
    assert macs == [area * 3 * width, *inner, 10 * width]
    # What is timed as INT8 runs by integers: else this is refused.
    onnx_runtime.load(network, 1)


def test_one_thing_changes_at_a_time(monkeypatch):
    monkeypatch.setattr(
        growth, "VALUES", {"batch": (16, 2), "width": (8, 32), "depth": (1,)}
    )
    found = growth.measured(rounds=1, seed=0)
    assert list(found) == ["batch", "width", "depth", "threads"]
    assert list(found["width"]) == [8, 32] and 1 in found["threads"]
    base = found["batch"][16]
    assert found["width"][32] is base and found["threads"][1] is base
    for values in found.values():
        for timing in values.values():
            assert [*timing.seconds] == ["FP32", "INT8", timer.TWIN]
    assert {v: t.batch for v, t in found["batch"].items()} == {16: 16, 2: 2}
    assert all(t.threads == n for n, t in found["threads"].items())
    names = {t.name for of in found.values() for t in of.values()}
    assert len(names) == 3 + len(found["threads"])
    sized = growth.by_size(found)
    assert {t.name for t in sized.values()} == names
    assert sized["batch 16, width 8, depth 4, one thread"].name.startswith(
        "growth-width8-depth4-batch16"
    )


@pytest.mark.parametrize(
    ("last", "busy", "word"),
    [
        (0.25, [], "more"),
        (1, [], "less"),
        (0.5, [], "no difference shown"),
        (0.25, ["others"], "not judged"),
    ],
)
def test_a_gain_grows_where_both_ends_are_judged(last, busy, word):
    noise = np.random.default_rng(0).normal(1, 0.01, (2, 4, 5))

    def times(share):
        return made_timing({"FP32": noise[0], "INT8": share * noise[1]})

    ends = {8: times(0.5), 64: times(last)}
    ends[64].busy.extend(busy)
    assert growth.gain(ends | {16: times(0.1)}) == word
