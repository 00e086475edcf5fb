"""Every CNN family of torchvision: traced, folded, quantized, run."""

import pytest
import torch
import zoo

from ptq.data import image_sets
from ptq.engines import onnx_runtime
from ptq.engines.onnx_agreement import steps_apart
from ptq.graph import fold, trace
from ptq.quantizer.making import quantize

WARMING, IMAGES = 16, 8
OTHERS = [name for name in zoo.members() if name not in zoo.SMALLEST]


@pytest.fixture(scope="module")
def images(cifar):
    return image_sets.normalize(cifar.train_images[:WARMING])


def check(name, images):
    network, images = zoo.member(name), zoo.resized(images, zoo.side(name))
    zoo.warm(network, images)
    images = images[:IMAGES]
    quantized = quantize(network, images)
    with torch.no_grad():
        want = network(images)
    torch.testing.assert_close(
        quantized.graph(images),
        want,
        rtol=0,
        atol=1e-4 * float(want.abs().max()),
    )
    # Refuses where one that must run in integers does not.
    run = onnx_runtime.load(quantized, threads=1)
    assert max(steps_apart(quantized, images).values()) <= 1
    same = run(images).argmax(1) == quantized(images).argmax(1)
    assert same.sum() >= IMAGES - 1


@pytest.mark.parametrize("name", zoo.SMALLEST)
def test_smallest_of_each_family(name, images):
    check(name, images)


def test_large_networks_are_traced(images):
    network = zoo.member("vgg11")
    assert sum(p.numel() for p in network.parameters()) > zoo.LARGE
    folded = fold(trace(network, images[:2]))
    assert [n.op for n in folded.nodes.values()].count("convolution") == 8


@pytest.mark.slow
@pytest.mark.parametrize("name", OTHERS)
def test_every_member(name, images):
    network = zoo.member(name)
    if sum(p.numel() for p in network.parameters()) > zoo.LARGE:
        fold(trace(network, images[:2]))
    else:
        check(name, images)
