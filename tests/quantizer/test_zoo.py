"""Every CNN family of torchvision: traced, folded, quantized, run."""

import pytest
import zoo
import zoo_table

from ptq.graph import fold, trace

OTHERS = [name for name in zoo.members() if name not in zoo.SMALLEST]
MEASURED = ("fold error", "codes apart", "engine noise", "same of 8")


@pytest.fixture(scope="module")
def images(cifar):
    return zoo_table.images(cifar)


def check(name, images):
    """A row of the table, and what it must be.

    Untrained networks give nearly the same logits to all images, so a code
    of rounding may decide a prediction: it may be another one only where
    quantization itself could change it, and the runtime's roundings must
    move logits less than quantization does.
    """
    found = zoo_table.row(name, images)
    assert found["fold error"] <= 1e-4
    if found["parameters"] > zoo.LARGE:
        assert found[zoo_table.COLUMNS[-1]] == zoo_table.TOO_LARGE
        return
    assert found["integers"] == found["layers"] > 0
    assert found["codes apart"] <= 1
    assert found["engine noise"] <= 1
    assert found["clear"] == 0
    # The committed table tells the same of this network.
    told = zoo_table.read()[name]
    for column in set(zoo_table.COLUMNS) - set(MEASURED):
        assert told[column] == str(found[column])


@pytest.mark.parametrize("name", zoo.SMALLEST)
def test_smallest_of_each_family(name, images):
    check(name, images)


def test_large_networks_are_traced(images):
    network = zoo.member("vgg11")
    assert sum(p.numel() for p in network.parameters()) > zoo.LARGE
    folded = fold(trace(network, images[:2]))
    assert [n.op for n in folded.nodes.values()].count("convolution") == 8


def test_the_table_has_every_member():
    """What stands there passes; what cannot be is named with its reason."""
    rows = zoo_table.read()
    assert list(rows) == zoo.members()
    for name, told in rows.items():
        assert float(told["fold error"]) <= 1e-4, name
        if int(told["parameters"]) > zoo.LARGE:
            assert told[zoo_table.COLUMNS[-1]] == zoo_table.TOO_LARGE
        else:
            assert told["layers"] == told["integers"], name
            assert int(told["codes apart"]) <= 1, name
            assert float(told["engine noise"]) <= 1, name


@pytest.mark.slow
@pytest.mark.parametrize("name", OTHERS)
def test_every_member(name, images):
    check(name, images)
