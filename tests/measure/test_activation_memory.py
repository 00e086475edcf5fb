"""Peaks of activation memory, against sums made by hand."""

import torch
from small_network import small
from torch import nn
from torch.nn import functional as F

from ptq.graph import fold, trace
from ptq.measure import activation_memory
from ptq.quantizer.quantizing import quantize

PIXELS = 16 * 16


class Residual(nn.Module):
    """A block whose input is read again at its end, 4 and 8 channels."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(4)
        self.wide = nn.Conv2d(4, 8, 3, padding=1)
        self.narrow = nn.Conv2d(8, 4, 3, padding=1)
        self.fc = nn.Linear(4 * 64, 10)

    def forward(self, x):
        x = self.bn(self.stem(x)).relu()
        x = F.relu(x + self.narrow(self.wide(x).relu()))
        return self.fc(F.max_pool2d(x, 2).flatten(1))


def images():
    generator = torch.Generator().manual_seed(2)
    return torch.rand(16, 3, 16, 16, generator=generator) * 2 - 1


def test_a_residual_network_by_hand():
    """The most lives while ``narrow`` runs: x, what it reads, its result.

    stem: 3 + 4 channels; wide: 4 + 8; narrow: 4 (x) + 8 + 4; sum: 4 + 4 + 4;
    pooling: 4 + 1. The ReLUs, and the reshape, are in place.
    """
    network = Residual().eval()
    network.bn.running_mean.normal_(0, 0.1)
    made = quantize(network, images())
    exact = activation_memory.of_float(made.graph)
    codes = activation_memory.of_codes(made)
    assert (exact.bytes, exact.node) == (4 * 16 * PIXELS, "narrow")
    assert (codes.bytes, codes.node) == (16 * PIXELS, "narrow")


def test_a_relu_with_a_second_reader_needs_memory_of_its_own():
    class Second(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 8, 3, padding=1)
            self.fc = nn.Linear(8 * PIXELS, 10)

        def forward(self, x):
            x = self.conv(x)
            return self.fc((x + x.relu()).flatten(1))

    graph = fold(trace(Second().eval(), images()))
    peak = activation_memory.of_float(graph)
    assert peak.bytes == 4 * 3 * 8 * PIXELS  # x, its ReLU, and their sum


def test_functions_in_float_need_float_beside_the_codes():
    """conv: 8 channels of 8 x 8; the SiLU's input and result in float.

    While it runs there are the ReLU's codes (read again by the sum), those
    of ``wide``, its own result's, and both of the latter in float.
    """
    made = quantize(small(), images())
    codes = activation_memory.of_codes(made)
    of_one = 8 * 8 * 8
    assert codes.node == "act"
    grid = made.grid("act")
    result = of_one if grid else 4 * of_one
    beside = 4 * of_one * (2 if grid else 1)
    assert codes.bytes == 2 * of_one + result + beside


def test_kept_layers_count_in_float():
    network = Residual().eval()
    network.bn.running_mean.normal_(0, 0.1)
    made = quantize(network, images(), keep_float=["wide"])
    less = quantize(network, images())
    assert (
        activation_memory.of_codes(less).bytes
        < activation_memory.of_codes(made).bytes
    )
