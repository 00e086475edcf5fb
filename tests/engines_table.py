"""What each engine was executed on: book/reference/engines.csv

``python tests/engines_table.py`` adds this machine's rows, or replaces those
that it wrote before for the same processor and versions.
"""

import csv
from importlib import metadata
from pathlib import Path

from small_network import pixels_of, small

from ptq import engines
from ptq.engines import float_engines
from ptq.measure import host
from ptq.quantizer.making import quantize

FILE = Path(__file__).parents[1] / "book" / "reference" / "engines.csv"
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
    package = "torch"
    for engine, needed in PACKAGES.items():
        package = needed if name.startswith(engine) else package
    version = f"{package} {metadata.version(package)}"
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


def read():
    """The committed rows."""
    if not FILE.exists():
        return []
    with FILE.open(newline="") as file:
        return list(csv.DictReader(file))


def main():
    made = list(rows())
    place = [{key: one[key] for key in COLUMNS[:3]} for one in made]
    kept = [r for r in read() if {k: r[k] for k in COLUMNS[:3]} not in place]
    with FILE.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(kept + made)


if __name__ == "__main__":
    main()
