"""The reference "corruptions": what quantization costs on worse images."""

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd
from torch import Tensor
from torch.nn import functional

from ptq import paths
from ptq.data.corruptions import CORRUPTIONS, STRENGTHS, corrupted
from ptq.engines import onnx_file, onnx_module
from ptq.evidence import confidence
from ptq.experiment import (
    committed_sweeps,
    corruption_pairs,
    low_bits,
    network_study,
    results,
    source_hash,
)
from ptq.experiment.network_study import FLOAT, Subject
from ptq.experiment.results import Record
from ptq.experiment.rounding_sweep import CALIBRATION, Case
from ptq.measure import host, inference
from ptq.methods.rounding_methods import ROUNDINGS

NAME, INT8 = "corruptions", "int8"
CASES = {"w4a4": Case(4, 4, "descent"), "w2a4": Case(2, 4, "descent")}
# Two bits of weights are asked of one network: the one that they hurt least.
TWO_BITS = "resnet8"
# A chapter measures some of these again.
REPEATED = (
    ("compact_cnn", INT8, "contrast", 5),
    ("resnet8", FLOAT, "noise", 5),
    ("resnet8", "w2a4", "blur", 5),
    ("depthwise", INT8, "jpeg", 3),
)


@dataclass(frozen=True)
class Condition:
    """What images were corrupted by, and how much.

    Strength 0 of "clean" are the images as they are; of a corruption, all
    strengths together; of "all", all strengths of all corruptions.
    """

    corruption: str
    strength: int = 0

    @property
    def name(self) -> str:
        """What a record's name ends with."""
        return self.corruption + f"_{self.strength}" * bool(self.strength)


CLEAN, ALL = Condition("clean"), Condition("all")
GRADED = tuple(Condition(c, s) for c in CORRUPTIONS for s in STRENGTHS)


def together() -> dict[Condition, list[Condition]]:
    """A corruption at all strengths, or all: of what each consists."""
    found = {
        Condition(name): [c for c in GRADED if c.corruption == name]
        for name in CORRUPTIONS
    }
    return found | {ALL: list(GRADED)}


def methods(network: str) -> list[str]:
    """``FLOAT``, and what is compared with it, of a network."""
    return [FLOAT, INT8, "w4a4", *["w2a4"] * (network == TWO_BITS)]


def label(method: str) -> str:
    """A method's bits, as tables call them."""
    return CASES[method].bits if method in CASES else method.upper()


def file_of(of: Subject, method: str) -> tuple[bytes, dict[str, int], int]:
    """The ONNX file of a method, bits by layer and bytes of its numbers.

    As of ``network_study.file_of``. Few bits are rounded as the reference
    "rounding" does it.
    """
    if method not in CASES:
        name = "per_channel" if method == INT8 else method
        return network_study.file_of(of, name)
    case = CASES[method]
    bits = case.weights, case.activations
    start = low_bits.quantized(of, *bits, observer="mse")
    network = ROUNDINGS.row(case.rounding).run(start, of.calibration)
    table = network.layers()
    file = onnx_file.model(network).SerializeToString()
    return file, table.bits.to_dict(), int(table.bytes.sum())


@dataclass(frozen=True)
class Asked:
    """A subject, and the labelled images that its networks are asked about.

    ``images`` are uint8 (N, 3, 32, 32) and ``labels`` int64 (N,); records
    are kept in ``folder``.
    """

    of: Subject
    images: Tensor
    labels: Tensor
    folder: Path
    _made: dict = field(default_factory=dict, init=False, repr=False)
    _shown: dict = field(default_factory=dict, init=False, repr=False)

    def made(self, method: str) -> tuple:
        """Module, bits by layer, bytes of file and of numbers; made once."""
        if method not in self._made:
            file, bits, payload = file_of(self.of, method)
            module = onnx_module.OnnxModule(file, threads=1)
            self._made[method] = module, bits, len(file), payload
        return self._made[method]

    def shown(self, condition: Condition) -> Tensor:
        """Images under a condition, uint8 (N, 3, 32, 32); keeps the last."""
        if condition == CLEAN:
            return self.images
        if condition not in self._shown:
            self._shown.clear()
            how = condition.corruption, condition.strength
            self._shown[condition] = corrupted(self.images, *how)
        return self._shown[condition]

    def outputs(self, method: str, condition: Condition) -> Tensor:
        """Logits, float32 (N, classes)."""
        module, images = self.made(method)[0], self.shown(condition)
        normalization = self.of.normalization
        return inference.logits(
            module, images, normalization, network_study.BATCH
        )

    def record(self, method: str, condition: Condition) -> Record:
        """What a method's network predicts, kept in the folder or measured.

        Its parameters have ``ece``, ``confidence.calibration_error``.
        """
        name = f"{method}_{condition.name}"
        key = network_study.record_key(self.of, name, len(self.images))
        key = source_hash.of(key, Path(__file__).read_text())
        return results.kept(
            self.folder,
            name,
            key,
            lambda: self._measured(name, key, method, condition),
        )

    def _measured(self, name, key, method, condition) -> Record:
        outputs = self.outputs(method, condition)
        _, bits, file_bytes, payload_bytes = self.made(method)
        predictions = outputs.argmax(1)
        sure = outputs.double().softmax(1).numpy()
        return Record(
            strategy=name,
            key=key,
            bits=bits,
            correct=int((predictions == self.labels).sum()),
            n=len(self.labels),
            loss=float(functional.cross_entropy(outputs, self.labels)),
            file_bytes=file_bytes,
            payload_bytes=payload_bytes,
            engine=network_study.engine(),
            parameters={
                "network": self.of.name,
                "method": method,
                "corruption": condition.corruption,
                "strength": condition.strength,
                "ece": confidence.calibration_error(sure, self.labels),
            },
            machine=host.machine(),
            predictions=predictions.byte().numpy(),
        )


def records(asked: Asked) -> list[Record]:
    """Records of all methods and conditions, with what pairs tell.

    Parameters of all but ``FLOAT`` also have what ``corruption_pairs.pair``
    gives, against ``FLOAT`` on the same images. All are saved in the folder
    of ``asked``.
    """
    known = methods(asked.of.name)
    found = {
        (method, condition): asked.record(method, condition)
        for condition in (CLEAN, *GRADED)
        for method in known
    }
    for method in known:
        for condition, parts in together().items():
            of = [found[method, part] for part in parts]
            found[method, condition] = pooled(condition, of)
    exact = asked.outputs(FLOAT, CLEAN).double().softmax(1)
    margins, labels = confidence.margins(exact.numpy()), asked.labels.numpy()
    for (method, condition), record in found.items():
        if method != FLOAT:
            four = (
                found[one, images].predictions
                for images in (condition, CLEAN)
                for one in (FLOAT, method)
            )
            told = record.parameters | corruption_pairs.pair(
                *four, labels, margins
            )
            found[method, condition] = replace(record, parameters=told)
        found[method, condition].save(asked.folder)
    return list(found.values())


def pooled(condition: Condition, parts: list[Record]) -> Record:
    """One record of several conditions: all predictions, one after another.

    ``loss`` and ``ece`` are means over the conditions.
    """
    first = parts[0].parameters
    told = {
        "corruption": condition.corruption,
        "strength": condition.strength,
        "ece": float(np.mean([part.parameters["ece"] for part in parts])),
    }
    return replace(
        parts[0],
        strategy=f"{first['method']}_{condition.name}",
        correct=sum(part.correct for part in parts),
        n=sum(part.n for part in parts),
        loss=float(np.mean([part.loss for part in parts])),
        parameters=first | told,
        predictions=np.concatenate([part.predictions for part in parts]),
    )


def measured_again(lab, frame: pd.DataFrame, manifest: dict) -> pd.DataFrame:
    """Measure a part of the reference again, with shipped networks.

    How many of ``REPEATED`` depends on the run's test images. Returns
    ``committed_sweeps.agreement``.
    """
    there = lab.shipped(int(frame[frame.corruption == "clean"].n.iloc[0]))
    count = lab.settings["test_images"]
    chosen = committed_sweeps.repeated(REPEATED, count, fewest=1)
    asked, made, names = {}, [], []
    for network, method, *how in chosen:
        if network not in asked:
            asked[network] = Asked(
                network_study.subject(
                    there.cifar,
                    network,
                    there.run_folder / paths.MODELS,
                    calibration_images=CALIBRATION,
                ),
                there.test_images,
                there.test_labels,
                there.run_folder / NAME / network,
            )
        made.append(asked[network].record(method, Condition(*how)))
        names.append((network, made[-1].strategy))
    known = frame.set_index(["network", "strategy"]).loc[names]
    return committed_sweeps.agreement(known, made, manifest)
