"""The book's networks below eight bits, as measured records."""

import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from ptq.engines import onnx_file
from ptq.experiment import network_study, results, source_hash
from ptq.experiment.network_study import Subject
from ptq.methods.least_error_grids import least_error_grids
from ptq.quantizer import making
from ptq.quantizer.network import QuantizedNetwork


def narrowed(
    of: Subject, weights: int, activations: int, observer: str = "mse"
) -> QuantizedNetwork:
    """The network with few bits inside, its weights on least-error grids.

    The first and the last layer keep 8 bits, and so does what no inner layer
    reads. ``observer`` is one of ``observers.OBSERVERS``.
    """
    made = making.quantize(
        of.network,
        of.calibration,
        observer=observer,
        normalization=of.normalization,
        **making.inner_bits(of.quantize("per_channel"), weights, activations),
    )
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
        size = packed_bytes(network, coded)
        return replace(found, parameters=more, file_bytes=size)

    return results.kept(folder, name, key, measure)


def packed_bytes(network: QuantizedNetwork, coded: bool = False) -> int:
    """The size of the file that ``save`` writes, in bytes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "packed"
        network.save(path, coded)
        return path.stat().st_size
