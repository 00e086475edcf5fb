"""Ours beside Brevitas below eight bits: book/reference/brevitas.csv

``python tests/brevitas_table.py NETWORK ...`` writes rows for networks of the
book (``TRIED``, if none is named) and each of ``BITS``, or replaces those of
the same versions. It needs ``requirements-brevitas.txt``.

Brevitas does the steps of its own command for image classification: BN
folded, ranges calibrated, weights rounded, biases corrected. Its "layerwise"
quantization is taken, which may give other bits to the first and the last
layer: what a layer reads is quantized, and sums stay in float.
"""

import copy
import sys
from argparse import Namespace

import pandas as pd
import torch
from brevitas.export.inference import quant_inference_mode
from brevitas.graph.quantize import (
    layerwise_quantize,
    preprocess_for_quantize,
)
from brevitas_examples.imagenet_classification.ptq import (
    learned_round_utils,
    ptq_common,
)
from other_tools import in_integers, predicted, rows, timed, write
from torch import nn

from ptq import paths
from ptq.data import image_sets
from ptq.experiment import low_bits, rounding_sweep
from ptq.methods.rounding_methods import ROUNDINGS

FILE = paths.REFERENCE / "brevitas.csv"
TRIED, BITS = ("resnet8", "depthwise"), ((2, 4), (4, 4))
TEST_IMAGES = 2000  # Brevitas' layers take a minute for 10,000
BATCH = 64  # of its command, as all that is not said here
# Its command's defaults, for the one kind of the three that AdaRound has.
LEARNED = Namespace(
    learned_round="hard_sigmoid",
    learned_round_mode="layerwise",
    learned_round_loss="regularised_mse",
    learned_round_iters=1000,
    learned_round_lr=1e-3,
    learned_round_lr_scheduler=None,
    learned_round_batch_size=1,
)
ROUNDED = {
    "Brevitas, GPTQ": lambda model, batches: ptq_common.apply_gptq(
        batches, model, create_weight_orig=True
    ),
    "Brevitas, Qronos": ptq_common.apply_qronos,
    "Brevitas, learned rounding": lambda model, batches: (
        learned_round_utils.apply_learned_round(model, batches, LEARNED)
    ),
}


def layer_map(weights, activations):
    """Brevitas' layers of so many bits, weights on grids of least error."""
    return ptq_common.create_quant_maps(
        dtype=torch.float32,
        bias_bit_width=32,
        weight_bit_width=weights,
        weight_param_method="mse",
        weight_scale_type="float_scale",
        weight_quant_type="sym",
        weight_quant_granularity="per_channel",
        weight_narrow_range=False,
        weight_quant_format="int",
        act_quant_format="int",
        act_bit_width=activations,
        act_scale_type="float_scale",
        act_scale_computation_type="static",
        act_param_method="stats",
        act_quant_type="asym",
        act_quant_granularity="per_tensor",
        act_quant_percentile=99.999,
    )[1]


def theirs(of, bits, rounded):
    """Brevitas' network of a subject; its first and last layer: 8 bits."""
    images = image_sets.normalize(of.calibration, *of.normalization)
    batches = [(some, None) for some in images.split(BATCH)]
    model = preprocess_for_quantize(
        copy.deepcopy(of.network), relu6_to_relu=False
    )
    layers = [
        name
        for name, one in model.named_modules()
        if isinstance(one, nn.Conv2d | nn.Linear)
    ]
    for asked, others in ((bits, layers[:: len(layers) - 1]), ((8, 8), None)):
        others = layers[1:-1] if others is None else others
        model = layerwise_quantize(model, layer_map(*asked), others)
    with torch.no_grad():
        model(images[:BATCH])  # makes its grids of weights
    ptq_common.calibrate(batches, model)
    rounded(model, batches)
    ptq_common.apply_bias_correction(batches, model)
    return model.eval()


def ours(of, bits, rounding):
    """Our network of a subject, by a name of ``ROUNDINGS``."""
    network = low_bits.quantized(of, *bits, observer="mse")
    return ROUNDINGS.row(rounding).run(network, of.calibration)


def compared(of, bits, images, labels):
    """A row for our method, chosen on validation images, and for theirs."""
    known = pd.read_csv(paths.REFERENCE / "rounding.csv")
    chosen = rounding_sweep.chosen(known, of.name, bits)
    network, seconds = timed(ours, of, bits, chosen.rounding)
    mine = predicted(in_integers(network), of, images)
    found = {f"ours, {chosen.label}": (mine, seconds)}
    for name, rounded in ROUNDED.items():
        model, seconds = timed(theirs, of, bits, rounded)
        with torch.no_grad(), quant_inference_mode(model):
            model(image_sets.normalize(images[:1], *of.normalization))
            found[name] = predicted(model, of, images), seconds
    packages = "brevitas", "torch"
    return rows(of, chosen.bits, found, images, labels, packages)


if __name__ == "__main__":
    write(FILE, sys.argv[1:] or TRIED, BITS, compared, TEST_IMAGES)
