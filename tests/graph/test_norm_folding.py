"""BN folded: by exact numbers, and where it must not be."""

import pytest
import torch
from torch import nn

from ptq.graph import fold, trace


def network(*modules):
    made = nn.Sequential(*modules)
    generator = torch.Generator().manual_seed(3)
    for module in made:
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            for tensor, low in (
                *((module.running_mean, -1.0), (module.running_var, 0.2)),
                *((module.weight, -2.0), (module.bias, -1.0)),
            ):
                with torch.no_grad():
                    tensor.uniform_(low, 2.0, generator=generator)
    return made.eval()


def folded(made, *shape):
    images = torch.rand(4, *shape, generator=torch.Generator().manual_seed(0))
    graph = fold(trace(made, images))
    with torch.no_grad():
        want = made(images)
    torch.testing.assert_close(graph(images), want, rtol=1e-4, atol=1e-4)
    return graph


def words(graph):
    return [node.op for node in graph.nodes.values()][1:]


def test_weights_and_bias_are_the_formula():
    made = network(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2, eps=0.5))
    conv, bn = made
    with torch.no_grad():
        conv.weight.copy_(torch.tensor([3.0, 5.0]).reshape(2, 1, 1, 1))
        conv.bias.copy_(torch.tensor([1.0, 2.0]))
        bn.running_mean.copy_(torch.tensor([4.0, -2.0]))
        bn.running_var.copy_(torch.tensor([3.5, 0.0]))  # roots 2, sqrt 0.5
        bn.weight.copy_(torch.tensor([-4.0, 0.0]))
        bn.bias.copy_(torch.tensor([0.5, 7.0]))
    graph = folded(made, 1, 3, 3)
    weight, bias = graph.filled(graph.nodes["0"].args[1:3], {})
    assert weight.flatten().tolist() == [-6.0, 0.0]  # 3 (-4 / 2), and 0
    assert bias.tolist() == [6.5, 7.0]  # (1 - 4) (-2) + 0.5, and the shift


def test_behind_convolutions_and_linear_layers():
    graph = folded(
        network(
            nn.Conv2d(3, 6, 3, groups=3, bias=False),
            *(nn.BatchNorm2d(6), nn.BatchNorm2d(6), nn.ReLU()),
            nn.ConvTranspose2d(6, 4, 3, 2, groups=2),
            *(nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(676, 8)),
            nn.BatchNorm1d(8),
        ),
        *(3, 8, 8),
    )
    assert "batch_norm" not in words(graph)
    assert words(graph).count("convolution") == 2


def test_in_front_where_no_padding_is():
    graph = folded(
        network(
            *(nn.BatchNorm2d(4), nn.Conv2d(4, 6, 3, groups=2)),
            *(nn.Flatten(), nn.BatchNorm1d(216), nn.Linear(216, 5)),
        ),
        *(4, 8, 8),
    )
    assert words(graph) == ["convolution", "reshape", "linear"]


def test_in_front_of_padding_it_is_a_depthwise_convolution():
    graph = folded(
        network(nn.BatchNorm2d(4), nn.Conv2d(4, 6, 3, padding=1)), 4, 8, 8
    )
    first, second = list(graph.nodes.values())[1:]
    assert first.name == "0" and first.args[6] == 4  # groups
    assert graph.filled(first.args[1], {}).shape == (4, 1, 1, 1)
    assert second.name == "1"


def test_a_second_reader_keeps_the_convolution_as_it_is():
    class Both(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.bn = network(
                nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)
            )

        def forward(self, x):
            x = self.conv(x)
            return (self.bn(x) - x).flatten(1)

    made = Both().eval()
    graph = folded(made, 3, 4, 4)
    weight, _ = graph.filled(graph.nodes["conv"].args[1:3], {})
    assert torch.equal(weight, made.conv.weight)


@pytest.mark.parametrize("rank", [2, 3])
def test_rows_are_not_channels(rank):
    """BN of (N, L, C) normalizes L, a linear layer puts out C."""
    made = network(nn.Linear(6, 5), nn.BatchNorm1d(5))
    if rank == 2:
        assert words(folded(made, 6)) == ["linear"]
    else:
        graph = folded(made, 5, 6)
        assert words(graph)[0] == "linear"
        weight, _ = graph.filled(graph.nodes["0"].args[1:3], {})
        assert torch.equal(weight, made[0].weight)


def test_folding_leaves_the_graph_as_it_is():
    made = network(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Flatten())
    images = torch.rand(2, 3, 4, 4)
    graph = trace(made, images)
    before, numbers = list(graph.nodes), dict(graph.constants)
    fold(graph)
    assert list(graph.nodes) == before and "1" in graph.nodes
    assert all(graph.constants[n] is numbers[n] for n in numbers)
