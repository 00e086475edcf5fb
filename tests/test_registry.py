"""Tables of things by name: what each row of a table owes its caller."""

import pytest
import torch

from ptq import data, engines
from ptq.cli import commands
from ptq.engines import eager_layers, eager_settings, torch_eager
from ptq.experiment import strategies
from ptq.measure import resources
from ptq.methods.rounding_methods import ROUNDINGS
from ptq.networks import recipes
from ptq.quantizer import activation_grids
from ptq.quantizer.quantizing import quantize
from ptq.registry import UnknownNameError

QUANTIZE = commands.COMMANDS["quantize"]

TABLES = (
    activation_grids.OBSERVERS,
    data.DATA_SETS,
    eager_settings.OBSERVERS,
    engines.ENGINES,
    recipes.NETWORKS,
    ROUNDINGS,
    strategies.STRATEGIES,
)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.kind)
def test_an_unknown_name_is_refused_with_those_known(table):
    kind, name = table.kind, next(iter(table))
    with pytest.raises(UnknownNameError) as caught:
        table.row(f"{name}s")
    told = str(caught.value)
    assert told.startswith(f"{kind}='{name}s': expected one of ")
    assert all(known in told for known in table)
    assert told.endswith(f"; did you mean {name}?")
    with pytest.raises(UnknownNameError, match=name):
        table.row("")


def test_quantize_refuses_an_observer_that_it_does_not_offer(images):
    with pytest.raises(UnknownNameError, match=r"observer='mse2'.*mse\?"):
        quantize(torch.nn.Conv2d(3, 4, 3), images, observer="mse2")


@pytest.mark.parametrize("table", [activation_grids.OBSERVERS, ROUNDINGS])
def test_quantize_offers_all_of_a_table(table):
    option = next(p for p in QUANTIZE.params if p.name == table.kind)
    assert list(option.type.choices) == list(table)


@pytest.mark.parametrize("name", data.DATA_SETS)
def test_a_data_set_tells_its_classes_and_shape(name):
    module = data.get(name)
    assert len(set(module.CLASSES)) == len(module.CLASSES) > 1
    assert len(module.SHAPE) == 3
    assert callable(module.load)


@pytest.mark.parametrize("name", recipes.NETWORKS)
def test_a_network_takes_its_images_and_tells_its_classes(name):
    row, network = recipes.get(name), recipes.untrained(name, 1).eval()
    pixels = torch.tensor([0, 255], dtype=torch.uint8)
    x = row.normalize(pixels[:, None, None, None].expand(-1, *row.shape))
    mean, std = row.normalization
    ends = [(0 - mean) / std, (1 - mean) / std]
    assert x[:, 0, 0, 0].tolist() == pytest.approx(ends)
    with torch.no_grad():
        assert network(x).shape == (2, len(row.classes))
    assert min(resources.macs(network, row.shape).values()) > 0
    assert recipes.of(name, seed=3).network == name
    again = recipes.untrained(name, 1).state_dict()
    for key, tensor in network.state_dict().items():
        assert torch.equal(tensor, again[key])


@pytest.mark.parametrize("name", strategies.STRATEGIES)
def test_a_strategy_quantizes_what_it_says(name, network, images):
    row = strategies.get(name)
    assert row.name == name and row.label
    built = strategies.build(name, network, images)
    integer = {n for n, bits in row.bits.items() if bits < 32}
    assert set(eager_layers.quantized_layers(built)) == integer


@pytest.mark.parametrize("name", eager_settings.OBSERVERS)
def test_an_observer_chooses_a_range_within_the_values(name, images):
    qconfig = eager_settings.QConfig(observer=name)
    watched = torch_eager.prepare(
        torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3)), qconfig=qconfig
    )
    watched(images)
    low, high = torch_eager.observed(watched)["quant"]
    assert images.min() <= low < high <= images.max()
