"""The book's networks below eight bits, as measured records."""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from ptq.engines import onnx_file
from ptq.evidence import paired_tests
from ptq.experiment import network_study, results, source_hash
from ptq.experiment.network_study import Subject
from ptq.graph import Graph
from ptq.measure import resources
from ptq.methods.least_error_grids import least_error_grids
from ptq.quantizer import quantizing
from ptq.quantizer.network import QuantizedNetwork


def quantized(
    of: Subject,
    weights: int,
    activations: int,
    graph: Graph | None = None,
    **recipe,
) -> QuantizedNetwork:
    """The network with few bits inside.

    The first and the last layer keep 8 bits, and so does what no inner layer
    reads. ``graph`` stands in for the folded one; ``recipe`` is what
    ``quantizing.quantize`` takes besides.
    """
    bits = quantizing.inner_bits(
        of.quantize("per_channel"), weights, activations
    )
    return quantizing.quantize(
        of.folded() if graph is None else graph,
        of.calibration,
        normalization=of.normalization,
        **bits,
        **recipe,
    )


def narrowed(of: Subject, weights: int, activations: int) -> QuantizedNetwork:
    """``quantized`` by ranges and grids of weights of least error."""
    made = quantized(of, weights, activations, observer="mse")
    return least_error_grids(made)


def record(
    of: Subject,
    name: str,
    make: Callable[[], QuantizedNetwork],
    images: Tensor,
    labels: Tensor,
    folder: Path,
    coded: bool = False,
    code: str = "",
    **told,
) -> results.Record:
    """The record of the network that ``make`` gives: kept, or measured.

    ``name`` says all that ``make`` depends on besides ``of``, the code of
    the science and ``code``, that of its own module. ``images`` and
    ``labels`` are the test's, uint8 (N, 3, 32, 32) and int64 (N,).
    ``file_bytes`` are those of the packed file, entropy ``coded`` or not;
    ``told`` joins the record's parameters, and so do ``cpu_seconds``, what
    ``make`` took. Codes run widened to eight bits in ONNX Runtime.
    """
    known = network_study.record_key(of, name, len(images))
    key = source_hash.of(known, Path(__file__).read_text(), code)

    def measure() -> results.Record:
        start = time.process_time()
        network = make()
        seconds = round(time.process_time() - start, 2)
        table = network.layers()
        file = onnx_file.model(network).SerializeToString()
        made = file, table.bits.to_dict(), int(table.bytes.sum())
        found = network_study.measured(of, name, key, made, images, labels)
        more = found.parameters | told | {"cpu_seconds": seconds}
        size = resources.packed_bytes(network, coded)
        return replace(found, parameters=more, file_bytes=size)

    return results.kept(folder, name, key, measure)


def with_flips(
    found: results.Record, base: results.Record, labels: Tensor, folder: Path
) -> results.Record:
    """A record that tells what is lost and gained against another, kept.

    Its parameters ``lost`` and ``gained`` count test images on which only
    ``base``, and only this one, is right. ``labels`` are theirs, int64 (N,);
    ``folder`` keeps the record.
    """
    if "lost" in found.parameters:
        return found
    pair = base.predictions, found.predictions
    flips = paired_tests.flips(*pair, labels.numpy(), classes=10)
    told = {"lost": flips.lost, "gained": flips.gained}
    found = replace(found, parameters=found.parameters | told)
    found.save(folder)
    return found
