"""Equalization and biases without data: by hand, and on whole networks."""

import pytest
import torch
from small_network import pixels_of, small
from torch import nn

from ptq import graph as graphs
from ptq.engines import integers, onnx_runtime
from ptq.graph.norm_folding import weight_and_bias
from ptq.methods.analytic_bias import correct_biases
from ptq.methods.channel_bounds import bounds
from ptq.methods.equalization import absorb, equalize, pairs
from ptq.methods.normal_moments import (
    clipped_normal,
    divided,
    normal_moments,
)
from ptq.quantizer import quantizing
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
    return quantizing.quantize(graph, IMAGES, **bits)


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


def test_a_graph_is_quantized_like_its_network():
    network = seeded(NETWORKS["grouped"])
    graph = folded(network)
    one, other = (quantizing.quantize(n, IMAGES) for n in (network, graph))
    assert torch.equal(one(IMAGES), other(IMAGES))
    with pytest.raises(graphs.UnsupportedError, match="images have shape"):
        quantizing.quantize(graph, IMAGES[:, :2])


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


def two_layers(first, second, act=nn.ReLU, bias=None):
    """Two layers of 1x1 on single pixels, of these weights."""
    first, second = (
        torch.tensor(w)[:, :, None, None] for w in (first, second)
    )
    network = nn.Sequential(
        nn.Conv2d(first.shape[1], len(first), 1),
        act(),
        nn.Conv2d(second.shape[1], len(second), 1, bias=False),
    )
    with torch.no_grad():
        network[0].weight.copy_(first)
        network[0].bias.copy_(torch.tensor(bias or [0.0] * len(first)))
        network[2].weight.copy_(second)
    return network.eval()


ONE_PIXEL = torch.tensor([1.0, -0.5, 0.25])[:, None, None, None]


def folded_pixel(network):
    return graphs.fold(graphs.trace(network, ONE_PIXEL))


def test_by_hand_a_weak_channel_is_made_as_wide_as_the_other():
    """1/64 and 64 meet at one; nothing is done where one of them is zero."""
    network = two_layers(
        [[1.0], [1 / 64], [0.0]], [[1.0, 64.0, 2.0]], bias=[0, 0.5, 0]
    )
    made, by = equalize(folded_pixel(network))
    weight, bias = weight_and_bias(made, made.nodes["0"])
    assert weight.flatten().tolist() == [1, 1, 0]
    assert bias.tolist() == [0, 32, 0]
    behind, _ = weight_and_bias(made, made.nodes["2"])
    assert behind.flatten().tolist() == [1, 1, 2]
    assert by["0"].tolist() == by["1"].tolist() == [1, 1 / 64, 1]


def test_all_pairs_end_equal():
    """The makers' ranges are the readers', for each channel of each pair."""
    graph, _ = equalize(folded(seeded(NETWORKS["depthwise"])), rounds=60)
    found = pairs(graph)
    assert [(p.first, p.second) for p in found][:2] == [
        ("0.0", "1.0"),
        ("1.0", "2.0"),
    ]
    for pair in found[:-1]:
        weight, bias = weight_and_bias(graph, graph.nodes[pair.first])
        behind, _ = weight_and_bias(graph, graph.nodes[pair.second])
        if len(behind) == len(bias) and behind.shape[1] == 1:  # depthwise
            reads = behind.abs().flatten(1).amax(1)
        else:
            reads = behind.abs().amax((0, 2, 3))
        makes = weight.abs().flatten(1).amax(1)
        assert torch.allclose(makes, reads, rtol=1e-3)


def test_what_was_put_out_of_scale_is_put_back():
    """Per tensor, an uneven network is then as good as an even one."""
    even = seeded(NETWORKS["depthwise"])
    uneven = seeded(NETWORKS["depthwise"])
    with torch.no_grad():
        norm, behind = uneven[0][1], uneven[1][0]
        norm.weight[0] /= 4096
        norm.bias[0] /= 4096
        behind.weight[0] *= 4096
    errors = []
    for graph in (folded(even), folded(uneven), equalize(folded(uneven))[0]):
        network = quantized(graph, per_channel=False)
        wanted = graph(IMAGES)
        errors.append(float((network(IMAGES) - wanted).square().mean()))
    assert errors[1] > 10 * errors[0] and errors[2] < 2 * errors[0]


@pytest.mark.parametrize("act", [nn.ReLU, nn.ReLU6])
def test_absorbed_biases_change_nothing_above_their_share(act):
    """Both channels lie above m - 3 d; ReLU6 cuts where it did."""
    network = two_layers([[1.0], [0.5]], [[1.0, -2.0]], act, bias=[5.5, 3.0])
    graph = folded_pixel(network)
    mean = torch.tensor([5.5, 3.0]).double()
    moments = {"0": (mean, torch.tensor([1.0, 0.25]).double())}
    made, taken = absorb(graph, moments)
    assert taken["0"].tolist() == [2.5, 1.5]
    _, bias = weight_and_bias(made, made.nodes["0"])
    assert bias.tolist() == [3, 1.5]
    assert torch.allclose(made(ONE_PIXEL), graph(ONE_PIXEL))
    assert torch.allclose(equalize(made)[0](ONE_PIXEL), graph(ONE_PIXEL))


def test_biases_are_not_absorbed_by_a_layer_that_pads():
    network = nn.Sequential(
        block(3, 4, act=nn.ReLU), nn.Conv2d(4, 4, 3, padding=1)
    )
    nn.init.constant_(network[0][1].bias, 9)
    graph = graphs.trace(network.eval(), IMAGES)
    _, taken = absorb(graphs.fold(graph), normal_moments(graph))
    assert taken == {}


@pytest.mark.parametrize("ends", [(0, None), (0, 6), (None, 1), (-1, 1)])
def test_clipped_normal_is_what_samples_have(ends):
    mean = torch.tensor([-8.0, -1.0, 0.0, 2.0, 5.5]).double()
    size = torch.tensor([0.5, 2.0, 1.0, 0.1, 3.0]).double()
    generator = torch.Generator().manual_seed(0)
    drawn = torch.randn(400_000, 5, dtype=torch.float64, generator=generator)
    drawn = (mean + size * drawn).clamp(*ends)
    found, variance = clipped_normal(mean, size.square(), *ends)
    assert torch.allclose(found, drawn.mean(0), atol=0.02)
    assert torch.allclose(variance, drawn.var(0), atol=0.05)


def test_moments_are_those_of_normal_images():
    """From BN through ReLU6, a sum, a layer, and an average."""
    network = seeded(lambda: Joined())
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(600, 3, 8, 8, generator=generator)
    with torch.no_grad():  # BN remembers what it sees
        seen = network.conv(images)
        network.bn.running_mean.copy_(seen.mean((0, 2, 3)))
        network.bn.running_var.copy_(seen.var((0, 2, 3)))
    graph = graphs.trace(network, images[:2])
    found, kept = normal_moments(graph), graphs.fold(graph)
    by = equalize(kept)[1]
    assert divided(found, by).keys() == found.keys()

    def visit(node, given):
        result = kept.compute(node, given)
        if node.name in found:
            over = [d for d in range(result.dim()) if d != 1]
            mean, _ = found[node.name]
            error = result.double().mean(over) - mean
            assert error.abs().max() < 0.06, node.name
        return result

    kept.walk(images, visit)
    assert {"conv", "act", "add", "point", "pool", "fc"} <= found.keys()
    assert "input" not in found


class Joined(nn.Module):
    """BN, ReLU6, a sum of two, a 1x1 layer, an average, a linear layer."""

    def __init__(self):
        super().__init__()
        self.conv, self.bn = nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6)
        self.act, self.point = nn.ReLU6(), nn.Conv2d(6, 4, 1)
        self.pool, self.fc = nn.AdaptiveAvgPool2d(1), nn.Linear(4, 3)

    def forward(self, x):
        x = self.act(self.bn(self.conv(x)))
        return self.fc(self.pool(self.point(x + x)).flatten(1))


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_corrected_biases_make_up_for_the_mean_error(groups):
    """Layer by layer, as loops over outputs, inputs and positions say."""
    network = seeded(
        lambda: nn.Sequential(
            block(3, 4), nn.Conv2d(4, 8, 3, groups=groups), nn.ReLU()
        )
    )
    graph = graphs.trace(network, IMAGES)
    moments = normal_moments(graph)
    rounded = quantized(graphs.fold(graph), weight_bits=3)
    made = correct_biases(rounded, moments)
    node, mean = made.graph.nodes["1"], moments["0.2"][0]
    weight, _ = weight_and_bias(made.graph, node)
    layer = made.integers["1"]
    values = layer.codes * layer.grid.scale.double()[:, None, None, None]
    per = 4 // groups
    for out in range(8):
        shift = sum(
            float((values[out, i] - weight[out, i]).sum())
            * float(mean[out // (8 // groups) * per + i])
            for i in range(per)
        )
        unit = float(made.unit(node)[out])
        moved = int(layer.bias[out] - rounded.integers["1"].bias[out])
        assert moved == pytest.approx(-shift / unit, abs=0.6)
    assert torch.equal(*(n.integers["0.0"].bias for n in (made, rounded)))
