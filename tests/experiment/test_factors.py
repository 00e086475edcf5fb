"""The factorial's variants: what each level does, and their draws."""

import pytest
import torch

from ptq.data import cifar10, image_sets
from ptq.engines import eager_layers
from ptq.experiment import factors, strategies
from ptq.graph import module_outputs
from ptq.measure import inference
from ptq.registry import UnknownNameError

Variant = factors.Variant


@pytest.mark.parametrize(
    ("variant", "strategy"),
    [
        (Variant(images=64), "naive"),
        (Variant(folded=True, images=64), "folded"),
        (Variant(folded=True, fc1_fused=True, images=64), "folded_fused"),
        (Variant(folded=True, corrected=True, images=64), "bias_correction"),
    ],
)
def test_a_variant_is_the_strategy_of_its_levels(
    variant, strategy, network, images, pixels
):
    built = factors.build(network, images, variant)
    named = strategies.build(strategy, network, images)
    assert torch.equal(
        inference.logits(built, pixels, (0.5, 0.5)),
        inference.logits(named, pixels, (0.5, 0.5)),
    )


def test_the_factorial_is_full_and_its_names_differ():
    every = factors.factorial()
    assert len({variant.name for variant in every}) == 2**7
    half = factors.factorial(bits=8)
    assert set(half) == {v for v in every if v.bits == 8}


@pytest.mark.parametrize("variant", factors.factorial(images=100)[::5])
def test_every_variant_is_near_the_float_network(variant, network, pixels):
    seen = image_sets.normalize(pixels.repeat(2, 1, 1, 1), 0.5, 0.5)
    built = factors.build(network, seen, variant)
    wanted = inference.logits(network, pixels, (0.5, 0.5)).argmax(1)
    found = inference.logits(built, pixels, (0.5, 0.5)).argmax(1)
    assert (wanted == found).float().mean() > 0.85


def test_levels_change_what_their_names_say(network, images):
    def of(**levels):
        return factors.build(network, images, Variant(images=64, **levels))

    plain, wide = of(folded=True), of(folded=True, bits=8)
    scales = [
        eager_layers.activation_scales(q)["conv1"][0] for q in (plain, wide)
    ]
    assert scales[0] / scales[1] == pytest.approx(255 / 127, rel=1e-5)
    layer = eager_layers.quantized_layers(of(folded=True, per_channel=True))[
        "conv1"
    ]
    assert len(layer.weight().q_per_channel_scales()) == 32
    clipped = of(folded=True, observer="histogram")
    ranges = [
        eager_layers.activation_scales(q)["conv2"] for q in (plain, clipped)
    ]
    assert ranges[1][0] < ranges[0][0]


def test_bias_correction_reaches_unfolded_convolutions(network, images):
    plain, shifted = (
        factors.build(network, images, Variant(images=64, corrected=c))
        for c in (False, True)
    )
    wanted = module_outputs.capture(network, ["conv2"], images)["conv2"]
    errors = []
    for quantized in (plain, shifted):
        layer = eager_layers.quantized_layers(quantized)["conv2"]
        inputs = module_outputs.capture(
            quantized, ["module.conv2"], images, at="input"
        )["module.conv2"]
        found = eager_layers.pre_activation(layer, inputs)
        errors.append((wanted - found).mean((0, 2, 3)).abs().max())
    assert errors[1] < errors[0] / 10


def test_zero_biases_change_no_prediction(network, pixels):
    given = factors.with_biases(network)
    torch.testing.assert_close(
        inference.logits(given, pixels, (0.5, 0.5)),
        inference.logits(network, pixels, (0.5, 0.5)),
    )
    assert network.conv1.bias is None


def test_bad_levels_are_refused(network, images):
    with pytest.raises(ValueError, match="expected 100 or more"):
        factors.build(network, images, Variant())
    with pytest.raises(UnknownNameError, match="minmax, moving_average"):
        factors.build(network, images, Variant(observer="best", images=8))


class TestDraws:
    def test_sources_give_what_they_name(self, cifar):
        train, validation = image_sets.split(42)
        for source, pool in (("training", train), ("validation", validation)):
            drawn = factors.draw_images(cifar, source, 50, 3, 42)
            assert torch.equal(
                drawn, cifar.train_images[image_sets.draw(pool, 50, 3)]
            )
        dogs = train[
            cifar.train_labels[train] == cifar10.CLASSES.index("dog")
        ]
        known = {p.numpy().tobytes() for p in cifar.train_images[dogs]}
        one = factors.draw_images(cifar, "one class", 20, 15, 42)
        assert all(p.numpy().tobytes() in known for p in one)

    @pytest.mark.parametrize("source", factors.SOURCES)
    def test_fewer_images_are_the_first_ones(self, source, cifar):
        few, many = (
            factors.draw_images(cifar, source, n, 5, 42) for n in (8, 32)
        )
        assert torch.equal(few, many[:8])
        other = factors.draw_images(cifar, source, 8, 6, 42)
        assert not torch.equal(few, other)

    def test_an_unknown_source_is_refused(self, cifar):
        with pytest.raises(ValueError, match="training, validation, noise"):
            factors.draw_images(cifar, "test", 8, 0, 42)
