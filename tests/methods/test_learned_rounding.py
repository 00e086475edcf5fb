"""Rounding that is learned through blocks, and through the whole network."""

import pytest
import torch
import zoo
from small_network import pixels_of, small
from torch import nn

from ptq import graph as graphs
from ptq.methods import block_reconstruction as reconstruction
from ptq.methods import distillation, network_blocks
from ptq.methods.least_error_grids import least_error_grids
from ptq.methods.rounding_methods import LEARNED
from ptq.networks import recipes
from ptq.quantizer import affine, quantizing


@pytest.fixture(scope="module")
def images():
    return pixels_of(64, 3, 16, 16) / 127.5 - 1


def low(network, images, bits=2, **more):
    made = quantizing.quantize(network, images, weight_bits=bits, **more)
    return least_error_grids(made)


def graph_of(network, side=32):
    return graphs.trace(network.eval(), torch.zeros(2, 3, side, side))


def made_networks():
    for name in recipes.NETWORKS:
        yield name, graph_of(recipes.untrained(name, 0))
    for name in ("mobilenet_v2", "googlenet"):
        yield name, graph_of(zoo.member(name))


def layers_of(block):
    return [n.name for n in block if n.op in ("convolution", "linear")]


def test_a_block_hands_on_one_result_only():
    torch.manual_seed(0)
    for name, graph in made_networks():
        found, before = network_blocks.blocks(graph), set()
        assert [n for b in found for n in b] == [*graph.nodes.values()]
        for block in found:
            mine = {node.name for node in block}
            read = {i for node in block for i in node.inputs} - mine
            assert read <= before and len(read) <= 1, name
            assert layers_of(block), name
            before = {block[-1].name}
        x = torch.rand(2, 3, 32, 32)
        value = x
        for block in found:
            value = network_blocks.run_all(block, graph.compute, value)
        assert torch.equal(value, graph(x)), name


def test_blocks_are_residual_ones_and_depthwise_pairs():
    graph = graph_of(recipes.untrained("resnet8", 0))
    sizes = [len(layers_of(b)) for b in network_blocks.blocks(graph)]
    assert sizes == [1, 2, 3, 3, 1]
    graph = graph_of(recipes.untrained("depthwise", 0))
    sizes = [len(layers_of(b)) for b in network_blocks.blocks(graph)]
    assert sizes == [1, *6 * [2], 1]


@pytest.mark.parametrize("bits", [1, 4, 8])
def test_a_differentiable_step_computes_what_integers_do(images, bits):
    made = quantizing.quantize(small(), images, weight_bits=bits)
    compute = network_blocks.differentiable(
        made, {}, network_blocks.straight_through
    )
    found = made.graph.walk(images, compute)
    differ = (found - made(images)).abs() / made.grid("fc").scale
    # Float sums may fall on the other side of half a code.
    assert differ.max() <= 2 and (differ < 0.5).float().mean() > 0.95


def test_gradients_pass_inside_the_grid_only():
    grid = affine.affine_grid(torch.tensor(-1.0), torch.tensor(2.0), 0, 15)
    x = torch.tensor([-1.5, -0.93, 0.04, 1.7, 2.6], requires_grad=True)
    y = network_blocks.straight_through(x, grid)
    assert torch.equal(y, affine.fake_quantize(x.detach(), grid))
    y.sum().backward()
    assert x.grad.tolist() == [0, 1, 1, 1, 0]


class Alike(nn.Module):
    """Two weights of 0.4 behind two inputs that are nearly alike."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(2, 2, bias=False)
        with torch.no_grad():
            self.fc.weight.copy_(torch.tensor([[0.4, 0.4], [1.0, -1.0]]))

    def forward(self, x):
        return self.fc(x)


def test_by_hand_errors_of_alike_inputs_add_up():
    """0.4 + 0.4 is rounded to 0 + 0, though 1 + 0 is nearer."""
    draw = torch.Generator().manual_seed(0)
    one = torch.rand(256, 1, generator=draw)
    x = torch.cat([one, one + 0.01 * torch.rand(256, 1, generator=draw)], 1)
    # One scale of 1 for both outputs, and codes of -1, 0 and 1.
    start = quantizing.quantize(Alike(), x, weight_bits=2, per_channel=False)
    assert start.integers["fc"].codes.tolist() == [[0, 0], [1, -1]]
    made = reconstruction.block_reconstruction(start, x)
    codes = made.integers["fc"].codes
    assert sorted(codes[0].tolist()) == [0, 1]
    assert codes[1].tolist() == [1, -1]


def distance(network, images):
    """How far predictions are from the float network's, in nats."""
    exact = network.graph(images).log_softmax(1)
    found = network(images).log_softmax(1)
    return float((exact.exp() * (exact - found)).sum(1).mean())


@pytest.mark.parametrize("bits", [2, 4])
def test_blocks_come_nearer_to_the_float_network(images, bits):
    start = low(small(), images, bits)
    before = {n: one.codes.clone() for n, one in start.integers.items()}
    made = reconstruction.block_reconstruction(start, images, steps=150)
    for name, layer in start.integers.items():
        assert torch.equal(layer.codes, before[name])
        least, most = made.integers[name].codes.aminmax()
        assert layer.grid.qmin <= least and most <= layer.grid.qmax
        assert torch.equal(made.integers[name].grid.scale, layer.grid.scale)
    assert distance(made, images) < distance(start, images)


@pytest.mark.parametrize("bits", [2, 3])
def test_distillation_comes_nearer_to_the_float_network(images, bits):
    start = low(small(), images, bits)
    made = distillation.distillation(start, images, steps=100)
    assert distance(made, images) < distance(start, images)
    codes = made.integers["conv"].codes
    assert codes.min() >= start.integers["conv"].grid.qmin


def test_too_large_a_rate_loses_what_descent_had(images, monkeypatch):
    start = low(small(), images, 4)
    for name in distillation.RATES:
        monkeypatch.setitem(distillation.RATES, name, 0.5)
    made = distillation.distillation(start, images, steps=50)
    assert distance(made, images) > distance(start, images)


@pytest.mark.parametrize("name", ["blocks", "dropped", "distilled"])
def test_the_seed_decides(images, name):
    start = low(small(), images)
    learn = {
        "blocks": reconstruction.block_reconstruction,
        "dropped": lambda *a, **k: reconstruction.block_reconstruction(
            *a, drop=0.5, **k
        ),
        "distilled": distillation.distillation,
    }[name]
    assert name in LEARNED
    one, two, other = (
        learn(start, images, steps=20, seed=seed)(images)
        for seed in (0, 0, 1)
    )
    assert torch.equal(one, two) and not torch.equal(one, other)


@pytest.mark.parametrize(
    "learn",
    [reconstruction.block_reconstruction, distillation.distillation],
)
def test_signs_stay_and_float_layers_too(images, learn):
    start = low(small(), images, {"wide": 1, "conv": 2}, keep_float=["fc"])
    made = learn(start, images, steps=10)
    signs = [net.integers["wide"].codes for net in (start, made)]
    assert torch.equal(*signs) and "fc" not in made.integers
    assert made(images).isfinite().all()
