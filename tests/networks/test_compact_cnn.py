"""The network's cost, what it computes inside, and what it is measured by."""

from contextlib import nullcontext

import pytest
import torch

from ptq.data import cifar10
from ptq.experiment import strategies
from ptq.graph import module_outputs
from ptq.measure import inference, resources
from ptq.networks import compact_cnn


def test_cost_by_hand(network):
    assert sum(p.numel() for p in network.parameters()) == 545_194
    assert resources.macs(network, cifar10.SHAPE) == {
        "conv1": 9 * 3 * 32 * 32 * 32,
        "conv2": 9 * 32 * 64 * 16 * 16,
        "fc1": 4096 * 128,
        "fc2": 128 * 10,
    }


def test_capture_gives_inputs_and_outputs(network, images):
    names = ["conv1", "pool1", "fc2"]
    given = module_outputs.capture(network, names, images, at="input")
    put_out = module_outputs.capture(network, names, images)
    assert torch.equal(given["conv1"], images)
    assert torch.equal(put_out["conv1"], network.conv1(images))
    assert torch.equal(put_out["pool1"], network.pool1(given["pool1"]))
    assert torch.equal(put_out["fc2"], network(images))


def test_capture_dequantizes(network, images):
    built = strategies.naive(network, images)
    found = module_outputs.capture(built, ["module.fc2"], images)[
        "module.fc2"
    ]
    assert found.dtype == torch.float32
    assert torch.equal(found, built(images))


@pytest.mark.parametrize("name", ["fc2", "conv9"])
def test_capture_leaves_no_hook_behind(name, images):
    fresh = compact_cnn.CompactCNN()
    known = name in compact_cnn.LAYERS
    with nullcontext() if known else pytest.raises(KeyError, match=name):
        module_outputs.capture(fresh, ["conv1", name], images)
    assert not fresh.conv1._forward_hooks


def test_logits_do_not_depend_on_the_batches(network, pixels):
    many = pixels.repeat(5, 1, 1, 1)
    assert len(many) > inference.EVALUATION_BATCH
    torch.testing.assert_close(
        inference.logits(network, many, (0.5, 0.5)),
        inference.logits(network, pixels, (0.5, 0.5)).repeat(5, 1),
    )


def test_integer_payload_by_hand(network, images):
    built = strategies.folded(network, images)
    biases = 32 + 64 + 128 + 10
    weights = 9 * 3 * 32 + 9 * 32 * 64 + 4096 * 128 + 128 * 10
    # A scale of 4 and a zero point of 8 bytes, for the input and 4 layers.
    assert resources.payload_bytes(built) == weights + 4 * biases + 5 * 12


@pytest.mark.parametrize("name", strategies.STRATEGIES)
def test_bytes_counted_are_the_bytes_of_the_state(name, network, images):
    strategy = strategies.STRATEGIES[name]
    built = strategy.build(network, images)
    folded = not any("bn1.weight" in key for key in built.state_dict())
    counted = resources.counted_bytes(network, strategy.bits, folded)
    assert sum(counted.values()) == resources.payload_bytes(built)
