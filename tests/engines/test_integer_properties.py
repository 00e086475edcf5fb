"""Exact integers beside Python's own, which know no width, and torch's."""

import itertools
import math
import random
from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_network import pixels_of, small

from ptq.engines import integers, onnx_file
from ptq.graph import Constant, Graph, Node, UnsupportedError, Value
from ptq.graph.operations import operation
from ptq.quantizer import affine
from ptq.quantizer.affine import Grid
from ptq.quantizer.fixed_point import fixed_point
from ptq.quantizer.network import Layer, QuantizedNetwork
from ptq.quantizer.quantizing import BITS, quantize

few = settings(max_examples=20, derandomize=True, deadline=None)
seeds = st.integers(0, 2**32).map(random.Random)
widths = st.integers(BITS[0], BITS[-1])


def grid_of(coin, bits):
    scale = torch.tensor(coin.uniform(0.5, 2) * 2.0**-bits)
    zero = torch.tensor(coin.randrange(2**bits), dtype=torch.int32)
    return Grid(scale, zero, 0, 2**bits - 1)


def codes_of(coin, shape, grid):
    """Codes minus zero point: the ends are as frequent as all others."""
    found = [
        coin.choice([grid.qmin, grid.qmax, coin.randint(0, grid.qmax)])
        for _ in range(math.prod(shape))
    ]
    return torch.tensor(found).reshape(shape).int() - grid.zero_point


def computed(op, args, inputs, shape, grids, layer=None):
    """What exact integers make of ``inputs``: codes minus zero point."""
    nodes = {
        name: Node(name, "input", (), (-1, *tensor.shape[1:]))
        for name, tensor in inputs.items()
    }
    constants = {}
    if layer is not None:
        constants = {"w": layer.codes.float(), "b": layer.bias.float()}
        args = (args[0], Constant("w"), Constant("b"), *args[1:])
    nodes["node"] = node = Node("node", op, args, shape)
    network = QuantizedNetwork(
        Graph(nodes, constants, "node"),
        {"node": layer} if layer is not None else {},
        grids,
    )
    run = integers.Integers(network)
    reals = {
        name: affine.dequantize(tensor + grids[name].zero_point, grids[name])
        for name, tensor in inputs.items()
    }
    return run.compute(node, inputs), network.compute(node, reals)


def scale_of(grid, channel=0):
    """The number itself: a float32 is a fraction."""
    scale = grid.scale if grid.axis is None else grid.scale[channel]
    return Fraction(scale.item())


def number_of(ratio, bits=31):
    """Multiplier and shift of ``bits`` for a fraction."""
    shift = bits
    while ratio * 2**shift < 2 ** (bits - 1):
        shift += 1
    while ratio * 2**shift >= 2**bits:
        shift -= 1
    shift = min(shift, 62)
    return round(ratio * 2**shift), shift


def onto(grid, total):
    zero = int(grid.zero_point)
    return min(max(total, grid.qmin - zero), grid.qmax - zero)


def scaled(total, ratio, grid):
    multiplier, shift = number_of(ratio)
    return onto(grid, (total * multiplier + 2 ** (shift - 1)) >> shift)


def layer_of(coin, shape, bits, largest_bias):
    most = max(2 ** (bits - 1) - 1, 1)
    codes = [coin.choice([-most, most, coin.randint(-most, most)])]
    codes += [coin.randint(-most, most) for _ in range(math.prod(shape) - 1)]
    scale = torch.tensor([coin.uniform(0.5, 2) for _ in range(shape[0])])
    zero = torch.zeros(shape[0], dtype=torch.int32)
    bias = [
        coin.randint(-largest_bias, largest_bias) for _ in range(shape[0])
    ]
    return Layer(
        torch.tensor(codes).reshape(shape).to(torch.int16),
        Grid(scale * 2.0**-bits, zero, -most, most, 0),
        torch.tensor(bias),
    )


@few
@given(seeds, st.integers(1, 16), st.integers(1, 16), st.integers(1, 16))
def test_a_linear_layer(coin, weight_bits, read_bits, made_bits):
    grids = {
        "x": grid_of(coin, read_bits),
        "node": grid_of(coin, made_bits),
    }
    layer = layer_of(coin, (3, 7), weight_bits, 2**20)
    whole = codes_of(coin, (2, 7), grids["x"])
    found, simulated = computed(
        *("linear", (Value("x"),), {"x": whole}, (-1, 3), grids, layer)
    )
    largest = layer.largest_sum(grids["x"])
    for n, o in itertools.product(range(2), range(3)):
        products = zip(
            whole[n].tolist(), layer.codes[o].tolist(), strict=True
        )
        total = int(layer.bias[o]) + sum(a * b for a, b in products)
        assert abs(total) <= largest
        ratio = scale_of(grids["x"]) * scale_of(layer.grid, o)
        ratio /= scale_of(grids["node"])
        wanted = scaled(total, ratio, grids["node"])
        assert int(found[n, o]) == wanted
        exact = onto(grids["node"], total * ratio)
        assert abs(wanted - exact) <= Fraction(1, 2) + abs(exact) / 2**31
        mine = round(float(simulated[n, o]) / grids["node"].scale.item())
        assert abs(mine - wanted) <= 1


@few
@given(seeds, widths, st.integers(1, 8), st.data())
def test_a_convolution(coin, read_bits, weight_bits, data):
    """Stride, padding, dilation and groups, each of its own number."""

    def pairs(least, most):
        return data.draw(st.tuples(*[st.integers(least, most)] * 2))

    stride, padding, dilation = pairs(1, 3), pairs(0, 2), pairs(1, 2)
    groups, kernel = data.draw(st.sampled_from([1, 2, 4])), pairs(1, 3)
    grids = {"x": grid_of(coin, read_bits), "node": grid_of(coin, 8)}
    layer = layer_of(coin, (4, 4 // groups, *kernel), weight_bits, 1000)
    whole = codes_of(coin, (1, 4, 7, 6), grids["x"])
    sizes = [
        (n + 2 * p - d * (k - 1) - 1) // s + 1
        for n, p, d, k, s in zip(
            (7, 6), padding, dilation, kernel, stride, strict=True
        )
    ]
    args = (Value("x"), stride, padding, dilation, groups)
    shape = (-1, 4, *sizes)
    found, simulated = computed(
        *("convolution", args, {"x": whole}, shape, grids, layer)
    )
    assert found.shape == (1, *shape[1:])

    def read(channel, y, x):
        inside = 0 <= y < 7 and 0 <= x < 6
        return int(whole[0, channel, y, x]) if inside else 0

    for o, y, x in itertools.product(range(4), *map(range, sizes)):
        first = o // (4 // groups) * (4 // groups)
        total = int(layer.bias[o]) + sum(
            int(layer.codes[o, c, i, j])
            * read(
                first + c,
                y * stride[0] + i * dilation[0] - padding[0],
                x * stride[1] + j * dilation[1] - padding[1],
            )
            for c in range(4 // groups)
            for i in range(kernel[0])
            for j in range(kernel[1])
        )
        ratio = scale_of(grids["x"]) * scale_of(layer.grid, o)
        ratio /= scale_of(grids["node"])
        wanted = scaled(total, ratio, grids["node"])
        assert int(found[0, o, y, x]) == wanted
        mine = float(simulated[0, o, y, x]) / grids["node"].scale.item()
        assert abs(round(mine) - wanted) <= 1


@few
@given(seeds, widths, widths, widths)
def test_sums_products_and_concatenations(coin, first, second, made):
    grids = {
        "a": grid_of(coin, first),
        "b": grid_of(coin, second),
        "node": grid_of(coin, made),
    }
    a, b = (codes_of(coin, (2, 5), grids[name]) for name in "ab")
    values = Value("a"), Value("b")
    given = {"a": a, "b": b}
    added, _ = computed("add", values, given, (-1, 5), grids)
    multiplied, _ = computed("mul", values, given, (-1, 5), grids)
    joined, _ = computed("cat", (values, 1), given, (-1, 10), grids)
    scales = [scale_of(grids[name]) for name in "ab"]
    step = scale_of(grids["node"])
    _, shift = number_of(max(scales) / step, 30)
    pair = [round(scale / step * 2**shift) for scale in scales]
    for n, i in itertools.product(range(2), range(5)):
        x, y = int(a[n, i]), int(b[n, i])
        total = x * pair[0] + y * pair[1] + 2 ** (shift - 1)
        assert int(added[n, i]) == onto(grids["node"], total >> shift)
        ratio = scales[0] * scales[1] / step
        assert int(multiplied[n, i]) == scaled(x * y, ratio, grids["node"])
        for found, code, scale in (
            (joined[n, i], x, scales[0]),
            (joined[n, 5 + i], y, scales[1]),
        ):
            assert int(found) == scaled(code, scale / step, grids["node"])


@few
@given(seeds, widths, st.data())
def test_means_of_windows(coin, bits, data):
    kernel = data.draw(st.tuples(*[st.integers(1, 4)] * 2))
    stride = data.draw(st.tuples(*[st.integers(1, 3)] * 2))
    padding = tuple(data.draw(st.integers(0, k // 2)) for k in kernel)
    ceil, counts = data.draw(st.booleans()), data.draw(st.booleans())
    settings = (kernel, stride, padding, ceil, counts)
    grids = {"x": grid_of(coin, bits), "node": grid_of(coin, bits)}
    whole = codes_of(coin, (1, 2, 7, 5), grids["x"])
    pooled = operation("average_pool").run(whole.double(), *settings)
    args, shape = (Value("x"), *settings), (-1, *pooled.shape[1:])
    found, _ = computed("average_pool", args, {"x": whole}, shape, grids)
    ratio = scale_of(grids["x"]) / scale_of(grids["node"])
    for c, y, x in itertools.product(*map(range, pooled.shape[1:])):
        sides = []
        for i, d in ((y, 0), (x, 1)):
            low = i * stride[d] - padding[d]
            high = min(low + kernel[d], (7, 5)[d] + padding[d])
            inside = range(max(low, 0), min(high, (7, 5)[d]))
            sides.append((inside, high - low))
        places = itertools.product(*(inside for inside, _ in sides))
        window = [int(whole[0, c, i, j]) for i, j in places]
        count = math.prod(n for _, n in sides) if counts else len(window)
        wanted = scaled(sum(window), ratio / count, grids["node"])
        assert int(found[0, c, y, x]) == wanted


@few
@given(seeds, widths, widths)
def test_tables_of_any_width(coin, read, made):
    grids = {"x": grid_of(coin, read), "node": grid_of(coin, made)}
    whole = codes_of(coin, (1, 2, 20), grids["x"])
    args = Value("x"), 0.25
    found, _ = computed(
        *("leaky_relu", args, {"x": whole}, (-1, 2, 20), grids)
    )
    ratio = scale_of(grids["x"]) / scale_of(grids["node"])
    for code, got in zip(
        whole.flatten().tolist(), found.flatten().tolist(), strict=True
    ):
        exact = onto(grids["node"], max(code, Fraction(code, 4)) * ratio)
        assert abs(got - exact) <= Fraction(1, 2) + Fraction(1, 10**9)


@few
@given(st.integers(-(2**51) + 1, 2**51 - 1), st.floats(2**-40, 2**10))
def test_products_of_wide_sums(total, ratio):
    made = fixed_point(torch.tensor(ratio, dtype=torch.float64))
    multiplier, shift = int(made.multiplier), int(made.shift)
    wanted = (total * multiplier + 2 ** (shift - 1)) >> shift
    assert int(made.wide(torch.tensor(total))) == wanted


def test_halves_are_rounded_up():
    """A multiplier of one half: 1 becomes 1, -1 becomes 0, 3 becomes 2."""
    half = fixed_point(torch.tensor(0.5))
    whole = torch.tensor([1, -1, 3, -3, 2])
    assert half(whole).tolist() == [1, 0, 2, -1, 1]
    assert half.wide(whole).tolist() == [1, 0, 2, -1, 1]


@pytest.mark.filterwarnings("ignore:torch.quantize_per")
@few
@given(seeds, st.sampled_from(["linear", "convolution"]))
def test_torch_has_the_same_codes_of_bytes(coin, op):
    """Torch's quantized kernels scale in float32: one code of rounding."""
    grids = {"x": grid_of(coin, 7), "node": grid_of(coin, 8)}
    shape = (8, 6, 3, 3) if op == "convolution" else (8, 54)
    layer = layer_of(coin, shape, 8, 0)
    size = (2, 6, 8, 8) if op == "convolution" else (2, 54)
    whole = codes_of(coin, size, grids["x"])
    settings = ((1, 1), (1, 1), (1, 1), 1) if len(shape) == 4 else ()
    out = (-1, 8, 8, 8) if len(shape) == 4 else (-1, 8)
    found, _ = computed(
        *(op, (Value("x"), *settings), {"x": whole}, out, grids, layer)
    )
    x = torch.quantize_per_tensor(
        whole * grids["x"].scale,
        *(float(grids["x"].scale), int(grids["x"].zero_point)),
        torch.quint8,
    )
    zero = grids["x"].zero_point
    assert torch.equal(x.int_repr().int(), whole + zero)
    weight = torch.quantize_per_channel(
        affine.dequantize(layer.codes, layer.grid),
        layer.grid.scale.double(),
        torch.zeros(8, dtype=torch.int64),
        *(0, torch.qint8),
    )
    kernels = torch.ao.nn.quantized.functional
    run = kernels.conv2d if len(shape) == 4 else kernels.linear
    padding = {"padding": 1} if len(shape) == 4 else {}
    y = run(
        *(x, weight, None),
        scale=float(grids["node"].scale),
        zero_point=int(grids["node"].zero_point),
        **padding,
    )
    apart = (y.int_repr().int() - grids["node"].zero_point - found).abs()
    assert apart.max() <= 1
    assert (apart > 0).float().mean() <= 0.02


@pytest.fixture(scope="module")
def images():
    return pixels_of(8, 3, 16, 16) / 127.5 - 1


@pytest.mark.parametrize(
    ("weight_bits", "activation_bits"),
    [(1, 1), (1, 8), (8, 1), (2, 3), (9, 8), (8, 11), (12, 16), (16, 16)],
)
def test_a_network_of_any_width(weight_bits, activation_bits, images):
    made = quantize(
        small(),
        images,
        weight_bits=weight_bits,
        activation_bits=activation_bits,
    )
    assert {layer.bits for layer in made.integers.values()} == {weight_bits}
    assert set(made.layers()["input_bits"]) == {activation_bits}
    run = integers.load(made)
    step = made.grid("fc").scale
    assert (run(images) - made(images)).abs().max() <= 1.01 * step
    if max(weight_bits, activation_bits) > 8:
        with pytest.raises(UnsupportedError, match="bits, where ONNX's"):
            onnx_file.model(made)


def test_each_bit_brings_the_network_closer(images):
    wanted, noise = small()(images).detach(), []
    for bits in range(2, 17):
        made = quantize(
            small(), images, weight_bits=bits, activation_bits=bits
        )
        run = integers.load(made)
        noise.append(float((run(images) - wanted).square().mean()))
    assert all(
        after < before
        for before, after in zip(noise[::2], noise[2::2], strict=False)
    )
    # Six decibels a bit: 14 bits are a factor of 2^28.
    assert noise[-1] < noise[0] * 2.0**-24
    wide = made.integers["fc"].largest_sum(made.grid("pool"))
    assert wide >= 2**31 and run.largest["fc"] == wide


def test_sums_that_float32_cannot_hold_are_exact(images):
    """The simulation's, at 8 bits: 2^24 ones more are no other float32."""
    made = quantize(small(), images)
    node, layer = made.graph.nodes["fc"], made.integers["fc"]
    bias = torch.full_like(layer.bias, 2**24)
    made.integers["fc"] = Layer(layer.codes, layer.grid, bias)
    grid = made.grid("pool")
    whole = torch.ones(1, 72)
    sums = made.sums(node, {node.inputs[0]: whole * grid.scale})
    assert sums.long().tolist() == [
        [2**24 + n for n in layer.codes.long().sum(1).tolist()]
    ]
