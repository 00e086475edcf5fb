"""The reference "smallest": how small a network's file can get, and at what.

Decisions look at validation images only: which price of a bit to take, and
which bits a layer gets. The levels were set before anything was measured.
"""

from dataclasses import replace
from pathlib import Path

from torch import Tensor

from ptq.evidence import paired_tests
from ptq.experiment import low_bits, network_study, results
from ptq.experiment.network_study import FLOAT, Subject
from ptq.methods.coordinate_descent import coordinate_descent
from ptq.methods.least_error_grids import least_error_grids
from ptq.methods.rate_distortion import fisher_information, rate_distortion
from ptq.quantizer import making
from ptq.quantizer.network import QuantizedNetwork

NAME = "smallest"
# So many calibration images tell which outputs matter.
TELLING = 1000
# Bits of the grids that a price starts from; other layers keep 8.
START = dict.fromkeys(
    ("compact_cnn", "compact_cnn_tuned"), {"conv2": 4, "fc1": 3}
)
# Of one large layer, without a price: the rest has 8 bits.
PLAIN = {"fc1_4": 4, "fc1_2": 2}
INNER = 4


def price_name(price: float) -> str:
    """What the row of a price, in nats for a bit, is called."""
    return f"price_{price:g}"


def made(of: Subject, name: str) -> QuantizedNetwork:
    """The network of a row: of ``PLAIN``, or of a ``price_name``.

    Rounded toward the float network on the calibration images.
    """
    if name in PLAIN:
        start = started(of, {"fc1": PLAIN[name]})
        return coordinate_descent(start, of.calibration)
    network = of.quantize("per_channel")
    inner = dict.fromkeys(list(network.integers)[1:-1], INNER)
    bits = START.get(of.name, inner)
    start = started(of, bits)
    few = network.normalized(of.calibration[:TELLING])
    matters = fisher_information(network.graph, few)
    price = float(name.removeprefix("price_"))
    prices = dict.fromkeys(bits, price)
    return rate_distortion(start, of.calibration, prices, matters)


def started(of: Subject, bits: dict[str, int]) -> QuantizedNetwork:
    """The network with these bits of weights by layer, else 8."""
    network = making.quantize(
        of.network,
        of.calibration,
        observer="mse",
        normalization=of.normalization,
        weight_bits=bits,
    )
    return least_error_grids(network)


def record(
    of: Subject, name: str, images: Tensor, labels: Tensor, folder: Path
) -> results.Record:
    """The record of a row or of ``FLOAT``, from ``folder`` or measured.

    Its parameters have ``lost`` and ``gained``: test images on which only
    the float network is right, and only this one.
    ``images`` and ``labels`` are the test's, uint8 (N, 3, 32, 32) and int64
    (N,).
    """
    exact = network_study.record(of, FLOAT, images, labels, folder)
    if name == FLOAT:
        return exact
    found = low_bits.record(
        of,
        name,
        lambda: made(of, name),
        images,
        labels,
        folder,
        coded=name not in PLAIN,
        code=Path(__file__).read_text(),
    )
    pair = exact.predictions, found.predictions
    flips = paired_tests.flips(*pair, labels.numpy(), classes=10)
    told = {"lost": flips.lost, "gained": flips.gained}
    found = replace(found, parameters=found.parameters | told)
    found.save(folder)
    return found
