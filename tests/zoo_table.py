"""What becomes of each CNN of torchvision, in numbers: book/reference/zoo.csv

``python tests/zoo_table.py`` writes the file anew, a row after each network
(a quarter of an hour on a quiet machine); a row that is there is kept.
"""

import csv
import sys
from pathlib import Path

import torch
import zoo

from ptq.data import cifar10
from ptq.engines import onnx_runtime
from ptq.engines.parity import steps_apart
from ptq.graph import UnsupportedError, fold, trace
from ptq.quantizer.quantizing import quantize

FILE = Path(__file__).parents[1] / "book" / "reference" / "zoo.csv"
WARMING, IMAGES = 16, 8
# What a network is, then what was found; the page shows the names.
COLUMNS = (
    *("network", "parameters", "layers", "integers", "fold error"),
    *("codes apart", "engine noise", "same of 8", "in float, or why not"),
)
TOO_LARGE = "over 100 million parameters: traced and folded only"


def images(data):
    """The first training images of a data set, in [-1, 1]."""
    return data.train_images[:WARMING] / 127.5 - 1


def largest(got, want):
    """Largest difference, as a share of the largest value."""
    return float((got - want).abs().max() / want.abs().max())


def row(name, images):
    """A network's row; what is asked of it stands in ``test_zoo``.

    "fold error" is a share of the largest logit; "codes apart" the largest
    difference of a layer's codes between the runtime and the simulation, on
    the runtime's inputs; "engine noise" the distance of their logits, as a
    share of that between simulation and float network; "same of 8" how many
    images they predict alike. "clear" are those predicted differently by
    more than the noise of quantization.
    """
    network, images = zoo.member(name), zoo.resized(images, zoo.side(name))
    count = sum(p.numel() for p in network.parameters())
    found = {"network": name, "parameters": count}
    zoo.warm(network, images)
    images = images[:IMAGES]
    with torch.no_grad():
        want = network(images)
    try:
        if count <= zoo.LARGE:
            return found | _quantized(network, images, want)
        folded = fold(trace(network, images))
        found["fold error"] = largest(folded(images), want)
        return found | {COLUMNS[-1]: TOO_LARGE}
    except UnsupportedError as error:
        return found | {COLUMNS[-1]: str(error)}


def _quantized(network, images, want):
    made = quantize(network, images)
    # Refuses where one that must run in integers does not.
    run = onnx_runtime.load(made, threads=1)
    simulated, ran = made(images), run(images)
    noise = simulated - want
    ops = {made.graph.nodes[name].op for name in made.in_float()}
    other = simulated.argmax(1) != ran.argmax(1)
    first, second = simulated.topk(2).values.T
    return {
        "layers": len(made.layers()),
        "integers": len(made.integers),
        "fold error": largest(made.graph(images), want),
        "codes apart": max(steps_apart(made, images).values()),
        "engine noise": float((ran - simulated).norm() / noise.norm()),
        "same of 8": int((~other).sum()),
        COLUMNS[-1]: " ".join(sorted(ops)),
        "clear": int(
            (other & (first - second > 2 * noise.abs().max())).sum()
        ),
    }


def shown(value):
    """A number as the table has it: two digits of what is measured."""
    return f"{value:.2g}" if isinstance(value, float) else str(value)


def read():
    """The committed rows, by the network's name; texts."""
    if not FILE.exists():
        return {}
    with FILE.open(newline="") as file:
        return {row["network"]: row for row in csv.DictReader(file)}


def write(rows):
    with FILE.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows.values())


def main():
    given, rows = images(cifar10.load()), read()
    for name in zoo.members():
        if name not in rows:
            found = row(name, given)
            rows[name] = {key: shown(found.get(key, "")) for key in COLUMNS}
            write({n: rows[n] for n in zoo.members() if n in rows})
            print(name, rows[name], file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
