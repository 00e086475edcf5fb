"""Equalization and biases without data: by hand, and on whole networks."""

import pytest
import torch
from small_network import pixels_of, small
from torch import nn

from ptq import graph as graphs
from ptq.engines import integers, onnx_runtime
from ptq.methods.channel_bounds import bounds
from ptq.methods.equalization import equalize, pairs
from ptq.quantizer import making
from ptq.quantizer.network import QuantizedNetwork

IMAGES = pixels_of(32, 3, 8, 8).float() / 128 - 1


def seeded(make, seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = make().eval()
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                nn.init.normal_(module.running_mean, 0, 0.2)
                nn.init.uniform_(module.running_var, 0.1, 1)
                nn.init.uniform_(module.weight, 0.05, 3)
                nn.init.normal_(module.bias)
    return network


def block(channels, made, groups=1, act=nn.ReLU6, size=3, stride=1):
    conv = nn.Conv2d(
        *(channels, made, size, stride, size // 2),
        groups=groups,
        bias=False,
    )
    return nn.Sequential(conv, nn.BatchNorm2d(made), act())


NETWORKS = {
    "depthwise": lambda: nn.Sequential(
        block(3, 8),
        block(8, 8, groups=8),
        block(8, 12, size=1),
        block(12, 12, groups=12, stride=2),
        block(12, 16, size=1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(16, 5),
    ),
    "grouped": lambda: nn.Sequential(
        block(3, 8), block(8, 4, groups=2), block(4, 8, groups=4, act=nn.ReLU)
    ),
    "flattened": lambda: nn.Sequential(
        block(3, 6, act=nn.ReLU),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(96, 7),
        nn.ReLU6(),
        nn.Linear(7, 5),
    ),
    "bound when flat": lambda: nn.Sequential(
        block(3, 6, act=nn.Identity),
        nn.Flatten(),
        nn.ReLU6(),
        nn.Linear(384, 5),
    ),
    "residual": lambda: small(),
}


def folded(network):
    return graphs.fold(graphs.trace(network, IMAGES))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", NETWORKS)
def test_equalized_network_is_the_same_in_float(name, seed):
    graph = folded(seeded(NETWORKS[name], seed))
    images = 3 * IMAGES  # far enough for ReLU6 to cut
    made, _ = equalize(graph)
    before, after = graph(images), made(images)
    assert (before - after).abs().max() < 1e-4 * before.abs().max()
    if name == "residual":
        assert pairs(graph) == []
    else:
        assert not torch.equal(*(g(images) for g in (graph, made)))


def quantized(graph, **bits):
    return making.quantize(graph, IMAGES, **bits)


def test_bounds_of_channels_run_in_integers_and_in_a_file(tmp_path):
    """Where ReLU6 is cut by channel, each engine agrees to one code."""
    graph, _ = equalize(folded(seeded(NETWORKS["depthwise"])))
    assert sum(n.op == "minimum" for n in graph.nodes.values()) == 5
    network = quantized(graph)
    step = float(network.grid(graph.output).scale)
    wanted = network(IMAGES)
    for engine in (integers, onnx_runtime):
        run = engine.load(network)
        in_float = [r.operator for r in run.ran if r.precision == "float"]
        assert engine is onnx_runtime or not in_float
        assert (run(IMAGES) - wanted).abs().max() < 1.01 * step
    network.save(tmp_path / "network.ptq")
    again = QuantizedNetwork.load(tmp_path / "network.ptq")
    assert torch.equal(again(IMAGES), wanted)


@pytest.mark.parametrize("name", ["depthwise", "flattened"])
def test_channels_are_cut_where_the_float_network_cuts_them(name):
    """Inside each range of its own, codes may round but not clip."""
    before = folded(seeded(NETWORKS[name], 1))
    after, by = equalize(before)
    cut = [n for n in before.nodes.values() if bounds(before, n) is not None]
    for node in cut:
        if node.name in by:
            found = bounds(after, after.nodes[node.name])
            assert torch.allclose(
                found * by[node.name], torch.tensor(6.0).double()
            )
    assert cut
