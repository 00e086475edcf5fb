"""Networks that go wrong silently, each beside its right value."""

import pytest
import torch
from attainable import attainable, sqnr, truth
from traps import TRAPS

from ptq.engines import onnx_runtime
from ptq.engines.parity import steps_apart
from ptq.quantizer.quantizing import quantize

# What the simulation's own choices may cost, in dB.
SLACK = 3


@pytest.fixture(scope="module")
def patches():
    """Images of 4x4 patches and some noise, in [-1, 1]."""
    generator = torch.Generator().manual_seed(0)
    size = {"dtype": torch.uint8, "generator": generator}
    pixels = torch.randint(0, 256, (32, 3, 4, 4), **size)
    pixels = pixels.repeat_interleave(4, 2).repeat_interleave(4, 3).int()
    noise = torch.randint(-20, 21, pixels.shape, generator=generator)
    return (pixels + noise).clamp(0, 255) / 127.5 - 1


@pytest.fixture(params=TRAPS)
def trap(request, patches):
    with torch.random.fork_rng():
        torch.manual_seed(1)
        network = TRAPS[request.param]().train()
        with torch.no_grad():
            for _ in range(20):
                network(patches)
    return network.eval()


def test_trap_is_right(trap, patches):
    want = truth(trap, patches)
    network = quantize(trap, patches)
    folded = network.graph(patches)
    torch.testing.assert_close(
        folded.double(), want, rtol=0, atol=1e-4 * float(want.abs().max())
    )
    right = attainable(trap, patches)
    assert sqnr(want, network(patches)) > right - SLACK
    run = onnx_runtime.load(network, threads=1)
    assert sqnr(want, run(patches)) > right - SLACK
    assert max(steps_apart(network, patches).values()) <= 1


@pytest.mark.filterwarnings("ignore:images range")
@pytest.mark.parametrize("name", ["the input itself", "means"])
def test_pixels_beyond_the_calibration_are_clipped(name, patches):
    network = quantize(TRAPS[name]().eval(), patches)
    apart = steps_apart(network, 1.5 * patches)
    assert max(apart.values()) <= 1
    clipped = (1.5 * patches).clamp(-1, 128 / 127)  # the ends of the grid
    assert torch.equal(network(1.5 * patches), network(clipped))
