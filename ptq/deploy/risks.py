"""What may go wrong with a deployed network, a sentence each."""

import numpy as np
import torch
from torch import Tensor, nn

from ptq.deploy import outputs
from ptq.deploy.choice import Choice
from ptq.engines import onnx_runtime
from ptq.evidence.time_ratios import SLOWER, TOO_FEW
from ptq.experiment.results import NOT_JUDGED
from ptq.judge import wording
from ptq.judge.judgement import Judgement
from ptq.methods import distilled_images
from ptq.quantizer.network import QuantizedNetwork

# Ranges of fewer images than these miss much of what will come.
FEW_IMAGES = 64
# Eight images of the training's kind have at most 0.012, on seven networks;
# with a wrong normalization 0.09 or more.
UNLIKE = 0.05
TIMES = {
    SLOWER: "INT8 is slower than float on this machine",
    TOO_FEW: "too few rounds for a verdict on times",
    NOT_JUDGED: "the machine was busy, so that times are not judged",
}
# Two products with the largest byte fit into 16 bits up to this sum of codes.
PAIR_MOST = np.iinfo(np.int16).max // np.iinfo(np.uint8).max


def of_choice(found: Choice | None) -> list[str]:
    """What was asked of the automatic mode and is not met."""
    if found is None or not found.missed:
        return []
    return [f"not all that was asked: {found.missed}"]


def of_judgement(found: Judgement) -> list[str]:
    """What the images leave open."""
    (row,) = found.rows
    told = []
    if row.accuracy is None:
        told.append(
            "no labels: whether a changed prediction is better or worse is "
            "not known, nor the accuracy"
        )
    if not row.non_inferior:
        told.append(
            f"{found.images:,} images do not exclude a loss of "
            f"{wording.points(found.margin)} points of accuracy"
        )
    if row.hurt:
        names = ", ".join(one.name for one in row.hurt)
        told.append(f"shown to lose accuracy: class {names}")
    return told


def of_images(calibration, test) -> list[str]:
    """What the choice of the images (N, C, H, W) means for the numbers."""
    told = []
    if len(calibration) < FEW_IMAGES:
        told.append(
            f"ranges rest on {len(calibration)} images: others may go beyond"
        )
    seen = {outputs.digest(image) for image in calibration}
    again = sum(outputs.digest(image) in seen for image in test)
    if again:
        told.append(
            f"{again:,} of the {len(test):,} images that judge are also "
            "among those that calibrate"
        )
    return told


def of_training(network: nn.Module, images: Tensor) -> list[str]:
    """Whether the first BN saw other images in training.

    Later ones also tell how far a training had come when it ended.

    ``network`` is the float one, ``images`` float32 (N, C, H, W), normalized.
    """
    try:
        distances = distilled_images.statistics_distances(network)
    except ValueError:  # no BN remembers any
        return []
    with torch.inference_mode():
        found = float(distances(images[:FEW_IMAGES])[0])
    if found < UNLIKE:
        return []
    return [
        "the images are unlike those of the training, by what the first BN "
        f"stored of these (distance {found:.2g}; of alike ones below "
        f"{UNLIKE:g}): is the normalization that of the training?"
    ]


def of_network(network: QuantizedNetwork) -> list[str]:
    """What the network itself brings along."""
    told = list(network.narrow_branches().values())
    if in_float := network.in_float():
        told.append(
            f"{len(in_float)} operations run in float, and conversions "
            "around them: a processor without float units runs none of it"
        )
    if unused := network.graph.unused:
        told.append(f"layers that never run: {', '.join(unused)}")
    if not network.integers:
        told.append("no layer was quantized")
    if (pairs := _saturating(network)) > 0:
        told.append(
            f"in {pairs} layers, sums of two products may saturate on x86 "
            "processors without VNNI: set ONNX Runtime's "
            f"{onnx_runtime.PRECISE} to 1 there"
        )
    return told


def of_times(found) -> list[str]:
    """Where INT8 costs time, or where that is not known; of ``card.Time``."""
    told, where = [], [f"batch {one.batch} {one.mode}" for one in found]
    for word in (SLOWER, TOO_FEW, NOT_JUDGED):
        if places := [
            w
            for w, one in zip(where, found, strict=True)
            if word == one.time_verdict
        ]:
            told.append(f"{TIMES[word]}: {', '.join(places)}")
    return told


def _saturating(network: QuantizedNetwork) -> int:
    """Layers where two weights of one output can exceed 16 bits together."""

    def can(codes) -> bool:
        rows = codes.flatten(1).int()
        pairs = [
            (sign * rows).topk(min(2, rows.shape[1])).values.sum(1)
            for sign in (1, -1)
        ]
        return max(int(pair.max()) for pair in pairs) > PAIR_MOST

    return sum(can(layer.codes) for layer in network.integers.values())
