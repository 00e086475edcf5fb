"""Functions between codes: tables whose entries are exact."""

import math

import pytest
import torch
from small_network import pixels_of, small
from torch import nn

from ptq.engines import onnx_runtime
from ptq.engines.parity import steps_apart
from ptq.quantizer import affine
from ptq.quantizer.quantizing import quantize

SLOPES = [0.1 * i - 0.3 for i in range(8)]


def prelu():
    module = nn.PReLU(8)
    module.weight.data = torch.tensor(SLOPES)
    return module


# A function of channel and number, in Python's own float64.
RIGHT = {
    "SiLU": (nn.SiLU(), lambda c, x: x / (1 + math.exp(-x))),
    "GELU": (nn.GELU(), lambda c, x: x * math.erfc(-x / 2**0.5) / 2),
    "Hardswish": (
        nn.Hardswish(),
        lambda c, x: x * min(max(x + 3, 0), 6) / 6,
    ),
    "sigmoid": (nn.Sigmoid(), lambda c, x: 1 / (1 + math.exp(-x))),
    "LeakyReLU": (nn.LeakyReLU(0.1), lambda c, x: max(x, 0.1 * x)),
    "PReLU": (prelu(), lambda c, x: x if x > 0 else x * SLOPES[c]),
    "Softplus": (
        nn.Softplus(2, 1),
        lambda c, x: x if 2 * x > 1 else math.log1p(math.exp(2 * x)) / 2,
    ),
}


@pytest.fixture(scope="module")
def images():
    return pixels_of(8, 3, 16, 16) / 127.5 - 1


@pytest.mark.parametrize("name", RIGHT)
def test_entries_are_exact(name, images):
    network = small()
    network.act, right = RIGHT[name]
    made = quantize(network, images)
    entries = made.table(made.graph.nodes["act"])
    assert len(entries) == 256 and entries.shape[1] == 8
    given, result = made.grid("wide"), made.grid("act")
    for code in range(256):
        x = (code - int(given.zero_point)) * given.scale.item()
        for channel in range(8):
            exact = right(channel, x) / result.scale.item()
            exact = min(max(exact + int(result.zero_point), 0), 255)
            assert abs(int(entries[code, channel]) - exact) <= 0.5 + 1e-6
    assert "a table of its 256 codes" in made.in_float()["act"]


@pytest.mark.parametrize("name", RIGHT)
def test_network_looks_up_the_entries(name, images):
    network = small()
    network.act, _ = RIGHT[name]
    made, seen = quantize(network, images), {}

    def visit(node, given):
        seen[node.name] = made.compute(node, given)
        return seen[node.name]

    made.graph.walk(images, visit)
    codes = {
        n: affine.quantize(seen[n], made.grid(n)).long()
        for n in ("wide", "act")
    }
    entries = made.table(made.graph.nodes["act"]).long()
    for channel in range(8):
        wanted = entries[codes["wide"][:, channel], channel]
        assert torch.equal(codes["act"][:, channel], wanted)
    run = onnx_runtime.load(made, threads=1)
    assert (run(images) - made(images)).abs().max() <= (
        1.01 * made.grid("fc").scale
    )


def test_kept_in_float_is_no_table(images):
    made = quantize(small(), images, keep_float=["act"])
    assert made.table(made.graph.nodes["act"]) is None
    assert "kept by request" in made.in_float()["act"]


def test_one_slope_for_all_channels_runs_in_integers(images):
    """ONNX Runtime has integers for LeakyRelu, and none for PRelu."""
    network = small()
    network.act = nn.PReLU()
    run = onnx_runtime.load(quantize(network, images), threads=1)
    ran = [one for one in run.ran if one.node == "act"]
    assert {one.precision for one in ran} == {"integer"}


@pytest.mark.parametrize("bits", [8, 5])
@pytest.mark.parametrize("act", [nn.Mish(), nn.Softplus(2, 1)])
def test_what_is_slow_in_float_is_a_table_in_the_file(act, bits, images):
    network = small()
    network.act = act
    made = quantize(network, images, activation_bits=bits)
    run = onnx_runtime.load(made, threads=1)
    ran = {
        one.operator: one.precision for one in run.ran if one.node == "act"
    }
    assert ran["Gather"] == "integer" and "float" not in ran.values()
    assert steps_apart(made, images)["act"] == 0
    kept = quantize(network, images, keep_float=["act"])
    assert max(steps_apart(kept, images).values()) <= 1
