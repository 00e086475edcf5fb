"""Products of bytes that are added in 16 bits: where they saturate.

Processors of the x86 family without VNNI multiply bytes in pairs and add the
two products in 16 bits. Seven-bit activations always fit; eight-bit ones do
not.
"""

import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from ptq import engines, measure, networks, paths, strategies

LARGEST = 2**15 - 1
SWITCH = "ONEDNN_MAX_CPU_ISA"
ENGINE = "onednn"
BITS = (7, 8)


def sum_in_pairs(x: Tensor, w: Tensor) -> Tensor:
    """Sum of ``x * w`` as an engine without VNNI makes it, int64 (...).

    ``x`` holds uint8 codes and ``w`` int8 codes, (..., K) with K even. The
    two products of neighbours are added in 16 bits, which saturate; the sum
    of the pairs has 32 bits. Equation (eq-pairs).
    """
    products = x.long() * w.long()
    pairs = products.unflatten(-1, (-1, 2)).sum(-1)
    return pairs.clamp(-LARGEST - 1, LARGEST).sum(-1)


def possible() -> bool:
    """Whether torch has the engine here that can be limited."""
    return ENGINE in engines.available()


def saturates() -> bool:
    """Whether the selected engine clips 255 · 127 + 255 · 127 = 64,770."""
    x = torch.tensor([255, 255], dtype=torch.uint8)
    w = torch.tensor([127, 127], dtype=torch.int8)
    return engines.linear_sum(x, w) < 2 * 255 * 127 - engines.SUM_STEP


def codes(count: int = 200) -> tuple[Tensor, Tensor]:
    """Random uint8 and int8 codes, (count, 8), to try an engine with."""
    generator = torch.Generator().manual_seed(0)
    shape = (count, 8)
    x = torch.randint(0, 256, shape, generator=generator)
    w = torch.randint(-128, 128, shape, generator=generator)
    return x.to(torch.uint8), w.to(torch.int8)


@dataclass(frozen=True)
class Answers:
    """What one engine says: by activation bits, uint8 (N,) predictions.

    ``sums`` is what its kernel makes of ``codes``, int64 (count,), and
    ``saturates`` what it makes of two products.
    """

    saturates: bool
    sums: Tensor
    predictions: dict[int, Tensor]


def answers(network: nn.Module, calibration: Tensor, images: Tensor):
    """Answers of the folded network with the selected engine.

    ``calibration`` is float32, ``images`` uint8, both (N, 3, 32, 32).
    """
    found = {}
    for bits in BITS:
        grids = engines.Grids(bits=bits)
        built = strategies.assignment(network, calibration, grids=grids)
        found[bits] = measure.logits(built, images).argmax(1).to(torch.uint8)
    sums = [engines.linear_sum(x, w) for x, w in zip(*codes(), strict=True)]
    return Answers(saturates(), torch.tensor(sums), found)


def answers_limited_to(
    instructions: str, network: nn.Module, calibration: Tensor, images: Tensor
) -> Answers | None:
    """The same in a process whose oneDNN is kept to older instructions.

    ``instructions`` is a value of ONEDNN_MAX_CPU_ISA ("AVX2"), which
    oneDNN reads once, when it first runs: hence the process. An empty one
    sets no limit. None where torch has no such engine here.
    """
    if not possible():
        return None
    environment = os.environ | {"PYTHONPATH": _python_path()}
    environment.pop(SWITCH, None)
    if instructions:
        environment[SWITCH] = instructions
    with tempfile.TemporaryDirectory(prefix="ptq-") as folder:
        given = Path(folder) / "given.pt"
        torch.save((network.state_dict(), calibration, images), given)
        command = [sys.executable, "-m", "ptq.saturation", str(given)]
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True
        )
        if done.returncode:
            raise RuntimeError(f"{command} failed:\n{done.stderr}")
        return Answers(**torch.load(given, weights_only=True))


def _python_path() -> str:
    inherited = os.environ.get("PYTHONPATH")
    return os.pathsep.join(filter(None, [str(paths.REPOSITORY), inherited]))


def _work(given: str) -> None:
    """What the process does: read, answer, write over what it read."""
    state, calibration, images = torch.load(given, weights_only=True)
    network = networks.CompactCNN().eval()
    network.load_state_dict(state)
    engines.select(ENGINE)
    with measure.pinned_threads(1):
        found = answers(network, calibration, images)
    torch.save(vars(found), given)


if __name__ == "__main__":
    _work(sys.argv[1])
