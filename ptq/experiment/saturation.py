"""Sums of two products of bytes, in 16 bits: when they saturate.

Processors of the x86 family without VNNI multiply bytes in pairs and add the
two products in 16 bits. Sums of seven-bit codes fit, those of eight-bit codes
may not.
"""

import os
import platform
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ptq import paths
from ptq.engines import eager_layers, eager_settings, torch_eager
from ptq.evidence import network_pairs
from ptq.evidence.paired_tests import Flips
from ptq.experiment import strategies
from ptq.measure import inference, timer
from ptq.networks import recipes

SWITCH = "ONEDNN_MAX_CPU_ISA"
ENGINE = "onednn"
NETWORK = "compact_cnn"
BITS = (7, 8)


def saturates() -> bool:
    """Whether the selected engine clips 255 · 127 + 255 · 127 = 64,770."""
    x = torch.tensor([255, 255], dtype=torch.uint8)
    w = torch.tensor([127, 127], dtype=torch.int8)
    return (
        eager_layers.linear_sum(x, w) < 2 * 255 * 127 - eager_layers.SUM_STEP
    )


def codes(count: int = 200) -> tuple[Tensor, Tensor]:
    """Random uint8 and int8 codes, (count, 8), to try an engine with."""
    generator = torch.Generator().manual_seed(0)
    shape = (count, 8)
    x = torch.randint(0, 256, shape, generator=generator)
    w = torch.randint(-128, 128, shape, generator=generator)
    return x.to(torch.uint8), w.to(torch.int8)


@dataclass(frozen=True)
class Predictions:
    """What one engine computes: by activation bits, uint8 (N,) classes.

    ``sums`` is what its kernel computes from ``codes``, int64 (count,);
    ``saturates`` says whether the sum of two products is clipped.
    """

    saturates: bool
    sums: Tensor
    predictions: dict[int, Tensor]


def engine() -> str:
    """The engine to test: one that obeys a limit, if this machine has it."""
    return (
        ENGINE
        if ENGINE in eager_settings.available()
        else eager_settings.choose()
    )


def limits() -> dict[str, str]:
    """Title of each run that this machine can do, to its limit.

    A limit is a value of ONEDNN_MAX_CPU_ISA, empty for none. Only one engine,
    on one family of processors, obeys it.
    """
    x86 = platform.machine().lower() in ("x86_64", "amd64")
    older = {"AVX2 only": "AVX2"} if engine() == ENGINE and x86 else {}
    return {"all": ""} | older


def runs(
    network: nn.Module, calibration: Tensor, images: Tensor
) -> dict[str, Predictions]:
    """Predictions of two quantized networks under each limit, by its title.

    They are the folded network with seven- and with eight-bit activations.
    Both are calibrated here, once: a limit changes the float kernels too.
    ``calibration`` is float32, ``images`` uint8, both (N, 3, 32, 32).
    RuntimeError where the process of a run fails, with what it wrote.
    """
    with paths.scratch_folder() as folder:
        torch.save(images, folder / "images.pt")
        with timer.pinned_threads(1), eager_settings.selected(engine()):
            for bits in BITS:
                built = _build(network, calibration, bits)
                torch_eager.save_state(built, folder / f"{bits}.pt")
        return {
            title: _run(folder, limit) for title, limit in limits().items()
        }


def exact_and_clipped(found: list[Predictions]) -> tuple | None:
    """An exact run and one that saturates; None unless there are both."""
    by_kind = {run.saturates: run for run in found}
    return (by_kind[False], by_kind[True]) if len(by_kind) == 2 else None


def cost(found: dict[str, Predictions], labels: np.ndarray) -> Flips | None:
    """What saturation changes with eight bits; None without both runs.

    The exact run is the reference; ``labels`` (N,) are the true classes.
    """
    if not (pair := exact_and_clipped(list(found.values()))):
        return None
    exact, clipped = (one.predictions[8].numpy() for one in pair)
    return network_pairs.compared({"": (exact, clipped)}, labels)[""]


def disagreeing(found: dict[str, Predictions], bits: int) -> int:
    """For how many images the first and the last run predict otherwise."""
    predicted = [run.predictions[bits] for run in found.values()]
    return int((predicted[0] != predicted[-1]).sum())


def told(
    found: dict[str, Predictions], labels: np.ndarray
) -> tuple[str, str]:
    """What the runs show, in words: with eight bits, and with seven.

    ``labels`` (N,) are the true classes of the images.
    """
    name, apart = engine(), disagreeing(found, 7)
    if changed := cost(found, labels):
        points = 100 * (changed.gained - changed.lost) / changed.n
        eight = f"{name} saturates once it is limited to AVX2. This moves "
        eight += f"the accuracy with eight bits by {points:+.2f} points"
    elif found["all"].saturates:
        eight = f"{name} saturates without any limit, so no exact run with "
        eight += "eight bits is here to compare with; seven bits come nearest"
    else:
        eight = f"{name} saturates in no run, so the trap is not shown"
    if len(found) == 1:
        return eight, "There is no second run to compare predictions with"
    if apart:
        seven = f"With seven bits, the runs predict {apart} images otherwise"
        return eight, seven
    return eight, "With seven bits, both runs give the same predictions"


def _build(network: nn.Module, calibration: Tensor, bits: int) -> nn.Module:
    qconfig = eager_settings.QConfig(bits=bits)
    return strategies.quantized(network, calibration, qconfig=qconfig)


def _run(folder: Path, limit: str) -> Predictions:
    """Run a new process, since oneDNN reads its limit only once."""
    environment = {k: v for k, v in os.environ.items() if k != SWITCH}
    if limit:
        environment[SWITCH] = limit
    done = subprocess.run(
        [sys.executable, "-m", "ptq.experiment.saturation", str(folder)],
        cwd=paths.REPOSITORY,
        env=environment,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise RuntimeError(
            f"ptq.experiment.saturation failed:\n{done.stderr}"
        )
    found = torch.load(folder / "predictions.pt", weights_only=True)
    return Predictions(**found)


def _work(folder: Path) -> None:
    """What the process does: load both networks, save their predictions."""
    eager_settings.select(engine())
    row = recipes.get(NETWORK)
    images = torch.load(folder / "images.pt", weights_only=True)
    predictions = {}
    for bits in BITS:
        # Any weights and any calibration give the structure to fill.
        built = _build(
            recipes.untrained(NETWORK, 0), torch.ones(1, *row.shape), bits
        )
        torch_eager.load_state(built, folder / f"{bits}.pt")
        logits = inference.logits(built, images, row.normalization)
        predictions[bits] = logits.argmax(1).to(torch.uint8)
    sums = [
        eager_layers.linear_sum(x, w) for x, w in zip(*codes(), strict=True)
    ]
    found = Predictions(saturates(), torch.tensor(sums), predictions)
    torch.save(vars(found), folder / "predictions.pt")


if __name__ == "__main__":
    with timer.pinned_threads(1):
        _work(Path(sys.argv[1]))
