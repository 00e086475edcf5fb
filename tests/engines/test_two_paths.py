"""torch's eager path and the new one: equal code for code, and where not.

They differ by choice in four things, each of which is measured here: the
divisor of a weight grid (127.5 and 127), the input's grid (with ties and
without), biases (float32 and int32), and codes beyond the calibrated range
(the eager engine clips at 255, whatever the bits).
"""

import pytest
import torch

from ptq.engines import eager_layers, eager_settings
from ptq.experiment import strategies
from ptq.graph.module_outputs import capture
from ptq.quantizer import affine
from ptq.quantizer.affine import Grid
from ptq.quantizer.network import Layer
from ptq.quantizer.quantizing import quantize

# The eager path's module for each owner of a grid.
OWNERS = {
    "input": "quant",
    "relu1": "conv1",
    "relu2": "conv2",
    "relu3": "fc1",
    "fc2": "fc2",
}
LAYERS = ("conv1", "conv2", "fc1", "fc2")


@pytest.fixture(scope="module", params=[8, 7])
def paths(request, network, images):
    """Both paths of the trained network, per tensor, BN folded."""
    bits = request.param
    eager = strategies.quantized(
        network,
        images,
        fuse_fc1=True,
        qconfig=eager_settings.QConfig(bits=bits),
    )
    new = quantize(network, images, per_channel=False, activation_bits=bits)
    return eager, new, 2**bits - 1


def as_eager(eager, new, most):
    """The new path's network with the eager path's grids and codes."""
    made, scales = new.copy(), eager_layers.activation_scales(eager)
    for owner, name in OWNERS.items():
        scale, zero = map(torch.tensor, scales[name])
        made.grids[owner] = Grid(scale, zero.int(), 0, most)
    for name, layer in eager_layers.quantized_layers(eager).items():
        codes, scale = eager_layers.weight_codes(layer)
        grid = Grid(torch.tensor(scale), torch.tensor(0), -128, 127)
        made.integers[name] = Layer(codes, grid, new.integers[name].bias)
        unit = made.unit(made.graph.nodes[name])
        whole = torch.round(layer.bias().detach() / unit).int()
        made.integers[name] = Layer(codes, grid, whole)
    return made


def codes(eager, made, images):
    """Both paths' codes of each layer, on the eager path's own inputs."""
    own = {"input": "quant"} | {name: f"module.{name}" for name in LAYERS}
    seen, found = capture(eager, own.values(), images), {}

    def visit(node, given):
        result = made.compute(node, given)
        if node.name in OWNERS and node.op == "clamp":
            return seen[f"module.{OWNERS[node.name]}"]  # not clipped again
        if node.name not in own:
            return result
        theirs, grid = seen[own[node.name]], made.grid(node.name)
        found[node.name] = (
            torch.round(theirs / grid.scale) + grid.zero_point,
            affine.quantize(result, grid),
        )
        return theirs

    made.graph.walk(images, visit)
    return found


def test_layers_are_equal_code_for_code(paths, images):
    """On the calibration images, by the same grids and codes.

    Differences of one code are sums nearly halfway between two: a float
    bias and a whole one fall on two sides of it.
    """
    eager, new, most = paths
    found = codes(eager, as_eager(eager, new, most), images)
    theirs, ours = found.pop("input")
    assert torch.equal(theirs.clamp(max=most), ours)
    assert set(found) == set(LAYERS)
    for name, (theirs, ours) in found.items():
        apart = (theirs.clamp(max=most) - ours).abs()
        assert apart.max() <= 1
        assert (apart != 0).float().mean() < 1e-3, name


def test_grids_are_equal_but_for_the_input(paths, images):
    """Folding in float64 instead of float32 moves the last bits."""
    eager, new, most = paths
    scales = eager_layers.activation_scales(eager)
    for owner, name in OWNERS.items():
        scale, zero = scales[name]
        grid = new.grids[owner]
        if owner != "input":
            assert float(grid.scale) == pytest.approx(scale, rel=1e-6)
            assert int(grid.zero_point) == zero
    low, high = images.min(), images.max()
    minmax = affine.affine_grid(low, high, 0, most)
    assert scales["quant"] == (float(minmax.scale), int(minmax.zero_point))
    ties = (images.unique().double() / float(minmax.scale)) % 1 - 0.5
    ours = (images.unique().double() / float(new.grids["input"].scale)) % 1
    assert ties.abs().min() < 1e-4 < (ours - 0.5).abs().min()


def test_weights_are_equal_by_the_same_divisor(paths):
    eager, new, _ = paths
    layers = eager_layers.quantized_layers(eager)
    assert set(layers) == set(LAYERS)
    for name, layer in layers.items():
        node = new.graph.nodes[name]
        weight, bias = new.graph.filled(node.args[1:3], {})
        codes, scale = eager_layers.weight_codes(layer)
        grid = affine.symmetric_grid(weight.abs().max())
        assert float(grid.scale) == pytest.approx(scale, rel=1e-6)
        apart = (affine.quantize(weight, grid) - codes).abs()
        assert apart.max() <= 1 and (apart != 0).float().mean() < 1e-4
        assert torch.allclose(layer.bias().detach(), bias, atol=1e-5)
        ours = new.integers[name]
        assert ours.grid.scale == weight.abs().max() / 127
        assert (ours.codes - codes).abs().max() <= 1


@pytest.mark.filterwarnings("ignore:images range")
def test_beyond_the_calibrated_range_the_eager_engine_clips_at_255(
    paths, images
):
    eager, new, most = paths
    found = codes(eager, as_eager(eager, new, most), 1.5 * images)
    for name in ("input", *LAYERS):
        theirs, ours = found[name]
        assert (theirs.clamp(max=most) - ours).abs().max() <= 1
    assert bool((found["conv1"][0] > most).any()) == (most == 127)
