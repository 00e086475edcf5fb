"""Ours beside NNCF below eight bits: book/reference/nncf.csv

``python tests/nncf_table.py NETWORK ...`` writes rows for networks of the
book (``TRIED``, if none is named) and each of ``MODES``, or replaces those of
the same versions. It needs ``requirements-peers.txt``.

NNCF gives few bits to weights of matrix products alone: here to fc1, a grid
for each output. Convolutions and the last layer have 8 bits, activations
stay in float. Its files are run by OpenVINO.
"""

import sys

import nncf
import openvino
import torch
from other_tools import in_integers, predicted, rows, timed, write

from ptq import paths
from ptq.data import image_sets
from ptq.experiment import smallest_study
from ptq.methods.rate_distortion import rate_distortion

FILE = paths.REFERENCE / "nncf.csv"
TRIED = "compact_cnn", "compact_cnn_tuned"
TEST_IMAGES = 10_000
MODES = {
    bits: nncf.CompressWeightsMode(f"int{bits}_sym") for bits in (4, 3, 2)
}
ROUNDED = {
    "NNCF, nearest": {},
    "NNCF, scale estimation": {"scale_estimation": True},
    "NNCF, GPTQ": {"gptq": True},
}


class Compiled(torch.nn.Module):
    """A model of OpenVINO on one thread, as a network of torch."""

    def __init__(self, model):
        super().__init__()
        one = {"INFERENCE_NUM_THREADS": 1}
        self.run = openvino.Core().compile_model(model, "CPU", one)

    def forward(self, images):
        return torch.from_numpy(self.run(images.numpy())[0])


def ours(of, bits):
    """Our network of a subject: descent toward float, 8-bit activations."""
    start = smallest_study.started(of, {"fc1": bits})
    return rate_distortion(start, of.calibration, {}, {})


def theirs(of, bits, options):
    """NNCF's network of a subject."""
    images = image_sets.normalize(of.calibration, *of.normalization)
    return nncf.compress_weights(
        openvino.convert_model(of.network, example_input=images[:1]),
        mode=MODES[bits],
        group_size=-1,
        ratio=1,
        dataset=nncf.Dataset([one.numpy() for one in images.split(1)]),
        subset_size=len(images),
        **options,
    )


def compared(of, bits, images, labels):
    """A row for our method, and one for each of theirs."""
    network, seconds = timed(ours, of, bits)
    mine = predicted(in_integers(network), of, images)
    found = {"ours, descent toward float": (mine, seconds)}
    for name, options in ROUNDED.items():
        model, seconds = timed(theirs, of, bits, options)
        found[name] = predicted(Compiled(model), of, images), seconds
    packages = "nncf", "openvino", "torch"
    return rows(of, f"fc1: {bits}", found, images, labels, packages)


if __name__ == "__main__":
    write(FILE, sys.argv[1:] or TRIED, MODES, compared, TEST_IMAGES)
