"""The parity report: agreement is counted, and each fault gets its name."""

from collections import Counter
from dataclasses import replace

import pytest
import torch
from small_network import pixels_of, small

from ptq.data import image_sets
from ptq.engines import integers, parity, parity_causes, saturating_sums
from ptq.engines.contract import Ran
from ptq.engines.inner_codes import walked
from ptq.graph import UnsupportedError
from ptq.quantizer import affine
from ptq.quantizer.network import Layer
from ptq.quantizer.quantizing import quantize


@pytest.fixture(scope="module")
def images():
    return pixels_of(40, 3, 16, 16) / 127.5 - 1


@pytest.fixture(scope="module")
def network(images):
    return quantize(small(), images)


class Silent:
    """Exact integers with a fault: what ``wrong`` makes of some results.

    It is asked for (node, given, codes minus zero point). No codes inside
    are told.
    """

    __name__ = "faulty"

    def __init__(self, wrong, fusion=False, ran=None):
        self.wrong, self.fusion, self.ran = wrong, fusion, ran

    def load(self, network, threads=1):
        run = integers.load(network)
        right = run.compute

        def compute(node, given):
            return self.wrong(node, given, right(node, given))

        run.compute = compute
        run.ran = self.ran or run.ran
        return run


class Engine(Silent):
    """One that tells its codes; by ``fusion``, right where none happens."""

    def inside(self, network, fused=True):
        if self.fusion and not fused:
            return integers.inside(network)
        return walked(network, self.load(network).compute)


def at(name, wrong):
    return lambda node, given, codes: (
        wrong(node, given, codes) if node.name == name else codes
    )


def test_an_engine_agrees_with_the_shipped_networks(shipped, cifar):
    pixels = cifar.train_images[:164]
    images = image_sets.normalize(pixels, 0.5, 0.5)
    made = quantize(shipped, images[:64])
    found = parity.compare(made, images[64:])
    assert found.nodes.keys() == made.graph.nodes.keys()
    assert found.share >= 0.99 and found.largest <= 1
    assert found.flips == found.disturbed == 0
    assert found.causes.keys() <= {parity_causes.TIE, parity_causes.NEAR_TIE}
    assert found.ends.codes == 1000 and found.images == 100


@pytest.mark.slow
def test_an_engine_agrees_on_all_test_images(shipped, cifar):
    calibration = image_sets.normalize(cifar.train_images[:512], 0.5, 0.5)
    made = quantize(shipped, calibration, normalization=(0.5, 0.5))
    found = parity.compare(made, cifar.test_images, inside=1000)
    assert found.share >= 0.99 and found.largest <= 1
    assert found.flips <= 5 and found.disturbed == 0
    assert not found.causes[parity_causes.UNKNOWN]


def test_integers_agree_with_themselves(network, images):
    found = parity.compare(network, images, "integers")
    assert found.first is None and found.share == found.ends.share == 1
    assert str(found) == (
        "integers: 0 of 40 predictions differ; 100.00% of the logits' codes "
        "are equal, none off by more than 0; on equal inputs all codes are "
        "equal"
    )


def with_ties(network):
    """The same codes on grids whose steps are powers of two."""

    def rounded(grid):
        return replace(grid, scale=2 ** grid.scale.log2().round())

    made = network.copy()
    made.grids = {n: rounded(grid) for n, grid in made.grids.items()}
    made.integers = {
        n: replace(layer, grid=rounded(layer.grid))
        for n, layer in made.integers.items()
    }
    return made


def test_ties_are_named(network, images):
    """The simulation rounds halves to even, exact integers upwards."""
    found = parity.compare(with_ties(network), images, "simulation")
    assert found.largest == 1 and found.first == "conv"
    assert found.causes.keys() == {parity_causes.TIE}
    assert found.causes.total() > 20


def nearly(network):
    """The other code where float32 could not tell."""

    def wrong(node, given, codes):
        value = parity_causes.exact_values(network, node, given)
        other = (value - codes).sign().int()
        near = ((value - codes).abs() - 0.5).abs() < 2e-5
        return codes + near * other

    return at("wide", wrong)


@pytest.mark.parametrize(
    ("precision", "cause"),
    [("integer", parity_causes.NEAR_TIE), ("float", parity_causes.FLOAT)],
)
def test_what_float32_cannot_tell_is_named(precision, cause, network, images):
    many = images.repeat(8, 1, 1, 1)
    many = many + torch.linspace(-0.2, 0.2, len(many))[:, None, None, None]
    engine = Engine(nearly(network), ran=[Ran("wide", "Conv", precision)])
    found = parity.compare(network, many.clamp(-1, 1), engine)
    assert found.first == "wide" and found.largest == 1
    assert found.nodes["wide"].causes.keys() == {cause}


@pytest.mark.parametrize("most", [255, 100])
def test_clipping_at_another_end_is_named(most, network, images):
    """At that of a byte, where the grid has seven bits, or below it."""
    made = quantize(small(), images, activation_bits=7)
    owner = made.owners["conv"]
    made.grids[owner] = replace(
        made.grids[owner], scale=made.grids[owner].scale / 1.5
    )
    other = made.copy()
    other.grids[owner] = replace(other.grids[owner], qmax=most)
    wrong = integers.load(other).compute
    engine = Engine(at("conv", lambda node, given, _: wrong(node, given)))
    found = parity.compare(made, images, engine)
    assert found.first == "conv"
    assert found.nodes["conv"].causes.keys() == {parity_causes.CLIPPING}


@pytest.mark.parametrize("order", saturating_sums.ORDERS)
@pytest.mark.parametrize("name", ["wide", "fc"])
def test_saturation_is_named(name, order, network, images):
    """Where weights are as large as codes can be, and of one sign."""
    made = network.copy()
    layer = made.integers[name]
    codes = layer.codes.sign() * 127
    made.integers[name] = Layer(codes, layer.grid, layer.bias)
    node = made.graph.nodes[name]
    read, put = made.grid(node.inputs[0]), made.grid(name)
    made.grids[made.owners[name]] = replace(put, scale=put.scale * 8)
    ratio = made.unit(node, torch.float64) / (8 * put.scale.double())
    ratio = ratio.reshape(-1, *(1 for _ in node.shape[2:]))

    def wrong(node, given, codes):
        zero = int(read.zero_point)
        whole = given[node.inputs[0]] + zero
        layer = made.integers[name]
        sums = saturating_sums.layer_sums(node, layer, whole, zero, order)
        result = (sums * ratio).round().int()
        grid, zero = made.grid(name), int(put.zero_point)
        return result.clamp(grid.qmin - zero, grid.qmax - zero)

    found = parity.compare(made, images, Engine(at(name, wrong)))
    assert found.first == name
    why = found.nodes[name].causes
    assert (
        why[parity_causes.SATURATION] > 0 and not why[parity_causes.UNKNOWN]
    )


def test_fusion_is_named_where_it_is_the_cause(network, images):
    """A sum that is rounded to every second code, then to its own."""
    coarse = at("add", lambda node, given, codes: codes // 2 * 2 + 2)
    found = parity.compare(network, images, Engine(coarse, fusion=True))
    assert found.first == "add" and found.flips >= 0
    assert found.nodes["add"].causes[parity_causes.FUSION] > 0
    assert not found.causes[parity_causes.UNKNOWN]
    found = parity.compare(network, images, Engine(coarse))
    assert found.nodes["add"].causes[parity_causes.UNKNOWN] > 0
    assert not found.causes[parity_causes.FUSION]
    assert "they part at add: unknown (" in str(found)


def test_a_wrong_number_has_no_false_name(network, images):
    """A weight that an engine reads wrong, and one code of three too many."""
    other = network.copy()
    other.integers["wide"].codes[0, 0] += 9
    wrong = integers.load(other).compute
    engine = Engine(at("wide", lambda node, given, _: wrong(node, given)))
    found = parity.compare(network, images, engine)
    why = found.nodes["wide"].causes
    assert why[parity_causes.UNKNOWN] > 0.9 * why.total()


def test_an_engine_without_codes_is_compared_end_to_end(network, images):
    engine = Silent(at("fc", lambda node, given, codes: codes.flip(1)))
    found = parity.compare(network, images, engine)
    assert found.nodes == {} and found.first is None
    assert found.flips > 20 and found.ends.unequal > 200
    assert "no cause can be named" in str(found)


def test_codes_that_asking_changes_are_counted(network, images):
    """Where inner codes are asked for, this one is right."""

    class Shy(Engine):
        def inside(self, network, fused=True):
            return integers.inside(network)

    engine = Shy(at("fc", lambda node, given, codes: codes.flip(1)))
    found = parity.compare(network, images, engine, inside=10)
    assert found.first is None and found.disturbed > 50


def test_some_images_node_by_node(network, images):
    found = parity.compare(network, images, "simulation", inside=10)
    assert found.images == 40 and found.ends.codes == 400
    assert found.nodes["fc"].codes == 100


def test_what_integers_do_not_run_is_refused(images):
    kept = quantize(small(), images, keep_float=["wide"])
    with pytest.raises(UnsupportedError, match="wide: kept in float"):
        parity.compare(kept, images)
    assert max(parity.steps_apart(kept, images).values()) <= 1


def test_causes_in_words():
    why = Counter({parity_causes.TIE: 12, parity_causes.FUSION: 3000})
    assert parity.in_words(why) == "fusion (3,000), tie (12)"
    assert parity.in_words(Counter()) == "-"


def test_pair_sums_are_the_sums_where_nothing_saturates(network, images):
    codes = integers.inside(network)(images)
    for name in ("conv", "fc"):
        node = network.graph.nodes[name]
        layer = network.integers[name]
        layer = replace(layer, codes=layer.codes // 4)
        read = network.grid(node.inputs[0])
        given = {
            node.inputs[0]: affine.dequantize(codes[node.inputs[0]], read)
        }
        small_weights = network.copy()
        small_weights.integers[name] = layer
        wanted = small_weights.sums(node, given).long()
        zero = int(read.zero_point)
        for order in saturating_sums.ORDERS:
            found = saturating_sums.layer_sums(
                node, layer, codes[node.inputs[0]], zero, order
            )
            assert torch.equal(found, wanted)
