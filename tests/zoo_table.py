"""What becomes of each CNN of torchvision, in numbers: book/reference/zoo.csv

``python tests/zoo_table.py`` writes the file anew, a row after each network
(a quarter of an hour on a quiet machine); a row that is there is kept.
"""

import csv
import sys
from pathlib import Path

import torch
import zoo
from agreement import steps_apart

from ptq.data import cifar10, image_sets
from ptq.engines import onnx_runtime
from ptq.graph import UnsupportedError, fold, trace
from ptq.quantizer.making import quantize

FILE = Path(__file__).parents[1] / "book" / "reference" / "zoo.csv"
WARMING, IMAGES = 16, 8
COLUMNS = (
    *("network", "parameters", "side", "layers", "in_integers", "functions"),
    *("fold_error", "codes_apart", "engine_noise", "same", "reason"),
)


def largest(got, want):
    """Largest difference, as a share of the largest value."""
    return float((got - want).abs().max() / want.abs().max())


def row(name, images):
    """A network's row; what is asked of it stands in ``test_zoo``.

    ``fold_error`` is a share of the largest logit; ``codes_apart`` the
    largest difference of a layer's codes between the runtime and the
    simulation, on the runtime's inputs; ``engine_noise`` the distance of
    their logits, as a share of that between simulation and float network;
    ``same`` how many of eight images they predict alike.
    """
    network, images = zoo.member(name), zoo.resized(images, zoo.side(name))
    count = sum(p.numel() for p in network.parameters())
    found = {"network": name, "parameters": count, "side": zoo.side(name)}
    zoo.warm(network, images)
    images = images[:IMAGES]
    with torch.no_grad():
        want = network(images)
    try:
        if count > zoo.LARGE:
            folded = fold(trace(network, images))
            reason = "over 100 million parameters: traced and folded only"
            error = largest(folded(images), want)
            return found | {"fold_error": error, "reason": reason}
        return found | _quantized(network, images, want)
    except UnsupportedError as error:
        return found | {"reason": str(error)}


def _quantized(network, images, want):
    made = quantize(network, images)
    # Refuses where one that must run in integers does not.
    run = onnx_runtime.load(made, threads=1)
    simulated, ran = made(images), run(images)
    noise = (simulated - want).square().mean()
    ops = {made.graph.nodes[name].op for name in made.in_float()}
    same = (simulated.argmax(1) == ran.argmax(1)).sum()
    return {
        "layers": len(made.layers()),
        "in_integers": len(made.integers),
        "functions": " ".join(sorted(ops)),
        "fold_error": largest(made.graph(images), want),
        "codes_apart": max(steps_apart(made, images).values()),
        "engine_noise": float(
            ((ran - simulated).square().mean() / noise).sqrt()
        ),
        "same": int(same),
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
    images = image_sets.normalize(cifar10.load().train_images[:WARMING])
    rows = read()
    for name in zoo.members():
        if name not in rows:
            found = row(name, images)
            rows[name] = {key: shown(value) for key, value in found.items()}
            write({n: rows[n] for n in zoo.members() if n in rows})
            print(name, rows[name], file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
