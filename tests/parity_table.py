"""Engines beside exact integers on all test images: book/reference/parity.csv

``python tests/parity_table.py NETWORK ...`` adds this machine's rows for
networks of the book (all of them, if none is named), or replaces those that
it wrote before for the same processor and versions. One file is the default,
one what the bench recommends. Logits of exact integers are kept in
runs/parity.
"""

import sys
from collections import Counter

import numpy as np
import torch
from engines_table import rows_written, version_of

from ptq import engines, paths
from ptq.bench import measuring
from ptq.data import cifar10
from ptq.engines import integers, parity
from ptq.experiment import network_study
from ptq.measure import host, inference
from ptq.networks import recipes
from ptq.quantizer import affine
from ptq.quantizer.quantizing import quantize

FILE = paths.REFERENCE / "parity.csv"
KEYS = ("network", "file", "engine", "version", "features")
COLUMNS = (
    *KEYS,
    *("images", "other predictions", "logits equal (%)"),
    *("worst operation (%)", "largest difference", "causes", "why they flip"),
    "change (points)",
)
# How a file is quantized, beyond the default.
FILES = {
    "default": {},
    "pixels, symmetric": {"on_pixels": True, "symmetric": True},
}
ENGINES = ("onnx_runtime", "openvino")
INSIDE, PIECE = 1000, 500


def exact_logits(network, images, name):
    """Logits of exact integers, piece by piece, each kept."""
    run, found = integers.load(network), []
    for i, piece in enumerate(images.split(PIECE)):
        file = paths.run_folder("runs/parity") / f"{name}-{i}.npy"
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            with paths.whole_file(file) as path, path.open("wb") as out:
                np.save(out, run(piece).numpy())
        found.append(torch.from_numpy(np.load(file)))
    return torch.cat(found)


def row(network, named, engine, images, exact, change):
    """What the page shows of an engine and a network."""
    told = parity.compare(network, images, engine, INSIDE, exact)
    features = " ".join(host.machine()["features"])
    share, ends = 100 * told.share, 100 * told.ends.share
    values = (
        *(*named, engine, version_of(engine), features),
        *(told.images, told.flips, f"{ends:.2f}", f"{share:.4f}"),
        *(told.largest, parity.in_words(told.causes)),
        *(flips(network, engine, images, exact), change),
    )
    return dict(zip(COLUMNS, values, strict=True))


def flips(network, engine, images, exact):
    """For each other prediction: the best classes' distance, and causes."""
    run = engines.get(engine).load(network, threads=1)
    grid, why = network.grid(network.graph.output), Counter()
    found = torch.cat([run(piece) for piece in images.split(PIECE)])
    apart = found.argmax(1) != exact.argmax(1)
    for image, logits in zip(images[apart], exact[apart], strict=True):
        first, second = affine.quantize(logits, grid).topk(2).values
        told = parity.compare(network, image[None], engine)
        causes = " and ".join(sorted(told.causes)) or "none inside"
        why[f"best two {int(first - second)} codes apart, {causes}"] += 1
    return parity.in_words(why)


def rows(name):
    """A row for each file, and each engine that is here."""
    cifar = cifar10.load()
    of = network_study.subject(cifar, name, paths.run_folder() / "models")
    images, labels = cifar.test_images, cifar.test_labels.numpy()
    before = inference.logits(of.network, images, of.normalization)
    for file, given in FILES.items():
        network = quantize(
            of.network,
            of.calibration,
            normalization=of.normalization,
            **given,
        )
        exact = exact_logits(network, images, f"{name}-{file}")
        pair = before.argmax(1).numpy(), exact.argmax(1).numpy()
        change = measuring.change(*pair, labels)
        named = recipes.get(name).label, file
        for engine in ENGINES:
            if engines.get(engine).available() is True:
                yield row(network, named, engine, images, exact, change)


if __name__ == "__main__":
    for asked in sys.argv[1:] or recipes.NETWORKS:
        rows_written(FILE, COLUMNS, KEYS, list(rows(asked)))
