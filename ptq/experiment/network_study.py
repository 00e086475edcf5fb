"""The book's networks at eight bits in ONNX Runtime, as measured records."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from importlib import metadata
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ptq.data import cifar10, image_sets
from ptq.engines import onnx_file, onnx_module
from ptq.experiment import results, run_times, source_hash
from ptq.graph import Graph
from ptq.measure import channel_ranges, host, inference, timer
from ptq.methods.norm_apart import norm_apart
from ptq.networks import recipes, training
from ptq.quantizer import quantizing
from ptq.quantizer.network import QuantizedNetwork

FLOAT = "fp32"
BATCH = 100  # so many images at once stay in the processor's caches


@dataclass(frozen=True)
class Choice:
    """How a network is quantized, and what tables call that."""

    label: str
    per_channel: bool
    folded: bool = True


CHOICES = {
    "per_channel": Choice("per channel", True),
    "per_tensor": Choice("per tensor", False),
    "per_channel_apart": Choice("per channel, BN apart", True, False),
    "per_tensor_apart": Choice("per tensor, BN apart", False, False),
}
FOLDED = tuple(name for name, made in CHOICES.items() if made.folded)


@dataclass(frozen=True)
class Subject:
    """A trained network, and the images that its quantization may see.

    ``calibration`` and ``validation`` are uint8 (N, 3, 32, 32), of the
    training's own split; ``labels`` are those of ``validation``, int64 (N,).
    ``name`` is one of ``recipes.NETWORKS``.
    """

    name: str
    network: nn.Module
    card: dict
    calibration: Tensor
    validation: Tensor
    labels: Tensor
    _made: dict = field(default_factory=dict, init=False, repr=False)

    @property
    def normalization(self) -> tuple:
        """(mean, std) of pixels in [0, 1], as the network takes them."""
        return recipes.get(self.name).normalization

    def quantize(self, choice: str) -> QuantizedNetwork:
        """The network at eight bits by one of ``CHOICES``, made once."""
        if choice not in self._made:
            asked, network = CHOICES[choice], self.network
            self._made[choice] = quantizing.quantize(
                network if asked.folded else norm_apart(network),
                self.calibration,
                per_channel=asked.per_channel,
                normalization=self.normalization,
            )
        return self._made[choice]

    def folded(self) -> Graph:
        """The float network with BN folded: the reference of all choices."""
        return self.quantize("per_channel").graph


def subject(
    cifar: cifar10.Cifar10,
    name: str,
    folder: Path,
    train_seed: int = 42,
    seed: int = 42,
    calibration_images: int = 100,
) -> Subject:
    """A network of the book: from ``folder``, shipped, or trained now.

    ``seed`` draws the calibration images from its training's own images.
    InputError names the networks that there are.
    """
    recipe = recipes.of(name, train_seed)
    network, card = training.trained(recipe, cifar, folder)
    train, validation = image_sets.split(train_seed)
    drawn = image_sets.draw(train, calibration_images, seed)
    return Subject(
        name,
        network,
        card,
        cifar.train_images[drawn],
        cifar.train_images[validation],
        cifar.train_labels[validation],
    )


def record(
    of: Subject, name: str, images: Tensor, labels: Tensor, folder: Path
) -> results.Record:
    """The record of a choice or of ``FLOAT``: from ``folder``, or measured.

    ``images`` and ``labels`` are the test's, uint8 (N, 3, 32, 32) and int64
    (N,). The parameters of a record have what is found besides:
    ``validation_correct``, of as many validation images as there are test
    images or all 5,000.
    """
    key = record_key(of, name, len(images))
    return results.kept(
        folder,
        name,
        key,
        lambda: measured(of, name, key, file_of(of, name), images, labels),
    )


def file_of(of: Subject, name: str) -> tuple[bytes, dict[str, int], int]:
    """The ONNX file of a choice or of ``FLOAT``, and what is in it.

    The second value is the bits of a weight by layer, the third the bytes
    of weights and biases.
    """
    if name != FLOAT:
        network = of.quantize(name)
        table = network.layers()
        file = onnx_file.model(network).SerializeToString()
        return file, table.bits.to_dict(), int(table.bytes.sum())
    folded = of.folded()
    file = onnx_file.float_model(folded).SerializeToString()
    layers = dict.fromkeys(channel_ranges.weight_ranges(folded), 32)
    numbers = sum(tensor.numel() for tensor in folded.constants.values())
    return file, layers, 4 * numbers


def measured(
    of: Subject,
    name: str,
    key: str,
    made: tuple[bytes, dict[str, int], int],
    images: Tensor,
    labels: Tensor,
) -> results.Record:
    """The record of an ONNX file, run by ONNX Runtime on ``images``.

    ``made`` is as of ``file_of``; ``images`` are uint8 (N, 3, 32, 32) and
    ``labels`` int64 (N,).
    """
    file, bits, payload = made
    module = onnx_module.OnnxModule(file, threads=1)
    sets = images, of.validation[: len(images)]
    outputs, seen = (
        inference.logits(module, x, of.normalization, BATCH) for x in sets
    )
    right = (seen.argmax(1) == of.labels[: len(seen)]).sum()
    predictions = outputs.argmax(1)
    return results.Record(
        strategy=name,
        key=key,
        bits=bits,
        correct=int((predictions == labels).sum()),
        n=len(labels),
        loss=float(functional.cross_entropy(outputs, labels)),
        file_bytes=len(file),
        payload_bytes=payload,
        engine=engine(),
        parameters={
            "network": of.name,
            "test_images": len(images),
            "validation_images": len(seen),
            "validation_correct": int(right),
        },
        machine=host.machine(),
        predictions=predictions.to(torch.uint8).numpy(),
    )


def records(
    lab, subjects: list[Subject], names: Iterable[str]
) -> dict[str, dict[str, results.Record]]:
    """Records of choices on the lab's test images, by network and choice.

    They are kept in the run folder of ``lab``.
    """
    folder = lab.run_folder / "networks"
    names = list(names)
    return {
        of.name: {
            name: record(
                of, name, lab.test_images, lab.test_labels, folder / of.name
            )
            for name in names
        }
        for of in subjects
    }


def predictions(of: Subject, name: str, images: Tensor) -> Tensor:
    """Classes by a choice or ``FLOAT``, int64 (N,), for uint8 images."""
    with timer.pinned_threads(1):
        file, *_ = file_of(of, name)
        module = onnx_module.OnnxModule(file, 1)
        found = inference.logits(module, images, of.normalization, BATCH)
    return found.argmax(1)


def simulated(network: QuantizedNetwork, images: Tensor) -> np.ndarray:
    """Predictions of the simulation, uint8 (N,), for uint8 images."""
    with timer.pinned_threads(1):
        parts = [network(part).argmax(1) for part in images.split(BATCH)]
    return torch.cat(parts).to(torch.uint8).numpy()


def with_parity(
    made: results.Record, of: Subject, images: Tensor
) -> results.Record:
    """A choice's record that also says how often its simulation agrees.

    Its parameters get ``simulated``, the number of ``images``, uint8
    (N, 3, 32, 32), the first ones of the record's; and ``simulated_equal``,
    of how many the simulation predicts the class that the record has.
    """
    found = simulated(of.quantize(made.strategy), images)
    equal = int((found == made.predictions[: len(found)]).sum())
    counted = {"simulated": len(found), "simulated_equal": equal}
    return replace(made, parameters=made.parameters | counted)


def timed(network: str) -> tuple[str, str]:
    """What a time result calls a network: in floats, and at eight bits."""
    return f"{network} FP32", f"{network} INT8"


def times(
    lab, subjects: list[Subject], chosen: dict[str, str]
) -> list[results.Timing]:
    """Times of each network's float file and of its chosen choice's file.

    In ONNX Runtime, all in turns, with the run's number of threads: batch
    64 hot, batch 1 hot and cold. ``chosen`` is by network.
    """
    modules = {}
    for of in subjects:
        pair = zip(timed(of.name), (FLOAT, chosen[of.name]), strict=True)
        for title, name in pair:
            file, *_ = file_of(of, name)
            threads = lab.settings["threads"]
            modules[title] = onnx_module.OnnxModule(file, threads)
    # Half of the rounds: eight networks take their turns in each.
    rounds = max(lab.settings["rounds"] // 2, 2)
    here = replace(
        lab, engine=engine(), settings=lab.settings | {"rounds": rounds}
    )
    return run_times.of_networks(here, "networks", modules)


def record_key(of: Subject, name: str, images: int) -> str:
    """What a record depends on besides the data, as one short text.

    ``images`` is the number of test images.
    """
    drawn = hashlib.sha256(of.calibration.numpy().tobytes()).hexdigest()
    return source_hash.of(
        name,
        of.card["sha256"],
        drawn,
        images,
        source_hash.science_hash(),
        # It makes records, and so is no part of the science's hash.
        Path(__file__).read_text(),
        engine(),
        host.machine()["torch_capability"],
    )


def engine() -> str:
    """What runs the networks, as records name it."""
    return f"ONNX Runtime {metadata.version('onnxruntime')}"
