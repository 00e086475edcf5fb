"""Which engine runs a network fastest here, on how many threads.

It is measured, and kept for this machine, these versions and this network.
"""

import hashlib
import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cached_property
from importlib import metadata
from pathlib import Path

from torch import Tensor

from ptq import engines, paths
from ptq.engines.contract import Run
from ptq.evidence import number_text
from ptq.experiment import source_hash
from ptq.graph import UnsupportedError
from ptq.measure import host, interference, timer
from ptq.quantizer.network import QuantizedNetwork

# Ways to run a network of pixels: an engine, and what its ``load`` is told.
# Sums are fused as other tools' files let OpenVINO do; the bench judges the
# accuracy of what then runs.
WAYS = {
    "onnx runtime": ("onnx_runtime", {}),
    "openvino": ("openvino", {}),
    "openvino, sums fused": ("openvino", {"fuse_sums": True}),
}
PACKAGES = {"onnx_runtime": "onnxruntime", "openvino": "openvino"}
# The least of so many times counts, as what disturbs can only slow down.
ROUNDS = 7
# What choices hang on, besides the packages.
MACHINE = ("processor", "architecture", "system", "cores", "features")


@dataclass(frozen=True)
class Choice:
    """One of ``WAYS``, and its number of threads."""

    way: str
    threads: int

    def __str__(self):
        return f"{self.way} on {number_text.threads(self.threads)}"

    def load(self, network: QuantizedNetwork) -> Run:
        """The network there, for uint8 images; errors as of the engine."""
        engine, more = WAYS[self.way]
        load = engines.get(engine).load
        return load(network, self.threads, pixels=True, **more)


class Tuner:
    """Runs one network by what was fastest, for each number of images.

    ``network`` knows how to normalize pixels. Choices are kept in ``folder``
    (in ``paths.cache_folder``), unless the machine was busy; ``again``
    measures them again. ``made`` has those of this object, by (images, most
    threads).
    """

    def __init__(
        self,
        network: QuantizedNetwork,
        again: bool = False,
        folder: Path | None = None,
    ):
        self.network, self._again = network, again
        self._folder = folder or paths.cache_folder() / "tuning"
        self.made: dict[tuple[int, int], Choice] = {}

    def load(self, threads: int) -> Callable[[Tensor], Tensor]:
        """The network on at most so many threads, tuned as it is called.

        It maps uint8 images (N, ...) to logits. Raises UnsupportedError
        where no engine runs it.
        """
        loaded: dict[int, Run] = {}

        def run(images: Tensor) -> Tensor:
            count = len(images)
            if count not in loaded:
                loaded[count] = self.choice(images, threads).load(
                    self.network
                )
            return loaded[count](images)

        return run

    def choice(self, images: Tensor, threads: int) -> Choice:
        """The fastest for so many images, uint8 (N, ...), and threads.

        Raises UnsupportedError where no engine runs the network.
        """
        asked = len(images), threads
        if asked not in self.made:
            file = self._folder / f"{self._key(*asked)}.json"
            found = None if self._again else _kept(file)
            self.made[asked] = found or self._measured(images, threads, file)
        return self.made[asked]

    def _key(self, count: int, threads: int) -> str:
        machine = host.machine()
        facts = {name: machine[name] for name in MACHINE}
        facts["versions"] = [
            metadata.version(package)
            for engine, package in PACKAGES.items()
            if engines.get(engine).available() is True
        ]
        science = source_hash.science_hash()
        return source_hash.of(facts, science, self._file, count, threads)

    @cached_property
    def _file(self) -> str:
        """Hash of the network's file."""
        from ptq.engines import onnx_file

        content = onnx_file.model(self.network, pixels=True)
        return hashlib.sha256(content.SerializeToString()).hexdigest()

    def _has_sums(self) -> bool:
        return any(n.op == "add" for n in self.network.graph.nodes.values())

    def _measured(self, images: Tensor, threads: int, file: Path) -> Choice:
        runs, reasons = {}, []
        for way, (_, more) in WAYS.items():
            if more.get("fuse_sums") and not self._has_sums():
                continue
            for count in sorted({1, threads}):
                choice = Choice(way, count)
                try:
                    runs[choice] = choice.load(self.network)
                except UnsupportedError as error:
                    reasons.append(str(error))
        if not runs:
            raise UnsupportedError("; ".join(dict.fromkeys(reasons)))
        watching = interference.Watch()
        with watching:
            best, seconds = fastest(runs, images)
        if not watching.signs():
            measured = time.strftime("%Y-%m-%d", time.gmtime())
            told = {"seconds": seconds, "measured": measured}
            paths.write_json(file, asdict(best) | told)
        return best


def fastest(runs: dict[Choice, Run], images: Tensor) -> tuple[Choice, float]:
    """The one of the least time, and its seconds; all run in turns.

    ``images`` is (N, ...), as the runs take them.
    """
    least = dict.fromkeys(runs, math.inf)
    for run in runs.values():
        run(images)
    for _ in range(ROUNDS):
        for choice, run in runs.items():
            seconds = timer.loop_seconds(run, images)
            least[choice] = min(least[choice], seconds)
    best = min(least, key=least.get)
    return best, least[best]


def _kept(file: Path) -> Choice | None:
    """What was chosen before; None where no such file can be read."""
    try:
        found = json.loads(file.read_text())
        choice = Choice(str(found["way"]), int(found["threads"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return choice if choice.way in WAYS else None
