"""What each engine was executed on: book/reference/engines.csv

``python tests/engines_table.py`` adds this machine's rows, or replaces those
that it wrote before for the same processor and versions.
"""

import csv
from importlib import metadata

from small_network import pixels_of, small

from ptq import engines, paths
from ptq.engines import float_engines
from ptq.measure import host
from ptq.quantizer.quantizing import quantize

FILE = paths.REFERENCE / "engines.csv"
COLUMNS = ("engine", "version", "features", "ran", "exact sums", "layers by")
PACKAGES = {"onnx_runtime": "onnxruntime", "openvino": "openvino"}
LAYERS = ("conv", "wide", "fc")


def rows():
    """A row for each engine, then for each float row of the table."""
    pixels = pixels_of(8, 3, 16, 16)
    network = quantize(small(), pixels, normalization=(0.5, 0.5))
    for name in engines.ENGINES:
        engine, tried = engines.get(name), "–"
        reason = engine.available()
        if reason is True and hasattr(engine, "exact"):
            tried = "yes" if engine.exact() else "no, made safe"
        run = engine.load(network) if reason is True else None
        yield row(name, reason, run, pixels, tried)
    for name in engines.FLOATS:
        reason = float_engines.available(name)
        run = float_engines.load(name, network) if reason is True else None
        yield row(name, reason, run, pixels, "–")


def row(name, reason, run, pixels, tried):
    """What the page shows of an engine; asked for eight images."""
    version = version_of(name)
    features = " ".join(host.machine()["features"])
    found = dict(zip(COLUMNS, (name, version, features), strict=False))
    if reason is not True:
        return found | {"ran": reason}
    run(pixels)
    kinds = {
        f"{one.operator}, {one.precision}": None
        for one in run.ran
        if one.node in LAYERS and one.precision != "conversion"
    }
    more = {"ran": "yes", "exact sums": tried, "layers by": "; ".join(kinds)}
    return found | more


def version_of(engine):
    """The package that runs an engine, and its version."""
    package = "torch"
    for start, needed in PACKAGES.items():
        package = needed if engine.startswith(start) else package
    return f"{package} {metadata.version(package)}"


def rows_written(path, columns, keys, made):
    """Add rows to a table; they replace those of the same keys."""
    kept = []
    if path.exists():
        with path.open(newline="") as file:
            kept = list(csv.DictReader(file))
    place = [[one[key] for key in keys] for one in made]
    kept = [one for one in kept if [one[key] for key in keys] not in place]
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(kept + made)


if __name__ == "__main__":
    rows_written(FILE, COLUMNS, COLUMNS[:3], list(rows()))
