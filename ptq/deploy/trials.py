"""Trials of a network: ways to quantize it, each asked and kept."""

import json
import time
from bisect import bisect_left
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ptq import paths
from ptq.deploy.choice import Choice, Trial, worded
from ptq.deploy.inputs import Inputs
from ptq.deploy.outputs import asked, digest, sealed, unsealed
from ptq.engines import onnx_file, onnx_runtime
from ptq.engines.onnx_module import OnnxModule
from ptq.evidence import intervals, paired_tests
from ptq.evidence.checks import InputError
from ptq.experiment import source_hash
from ptq.judge import judgement, wording
from ptq.measure import resources
from ptq.quantizer.network import QuantizedNetwork


class Trials:
    """Makes trials on the images of ``given``; keeps each by its key.

    ``given.test`` are the images that decide, ``base`` is the network at 8
    bits; ``choice`` gets all trials. What is in ``folder`` is not computed
    again. ``tell`` gets a sentence on each trial.
    """

    def __init__(
        self,
        given: Inputs,
        base: QuantizedNetwork,
        choice: Choice,
        folder: Path,
        tell: Callable[[str], None],
    ):
        self.given, self.choice = given, choice
        self.folder, self.tell = folder, tell
        content = onnx_file.float_model(base.graph).SerializeToString()
        exact = OnnxModule(content)
        self._float = asked(
            lambda part: exact(base.normalized(part)), given.test
        ).numpy()
        self._key = digest(
            source_hash.science_hash(),
            Path(__file__).read_text(),
            content,
            repr(base.normalization),
            *(given.calibration, given.test),
        )

    def made(self, recipe: dict) -> Trial:
        """The trial of a recipe, as of ``Trial``; the choice gets it, too.

        Raises UnsupportedError where it cannot be made or does not run,
        InputError where the float network is right no more often than by
        chance.
        """
        done, (bits, method) = self.choice.trials, worded(recipe)
        self.tell(f"trial {len(done) + 1}, {bits}, {method}")
        path = self._path(recipe)
        if (kept := unsealed(path)) is not None:
            found = json.loads(kept)
        else:
            found = self._measured(recipe)
            content = json.dumps(found).encode()
            paths.write_whole(path, sealed(content, path.stem))
        both = {"float": self._float, "it": np.array(found["predictions"])}
        judged = judgement.judge(both, self.given.labels, self.choice.margin)
        (row,) = judged.rows
        trial = Trial(
            recipe,
            *(bits, method, found["bytes"]),
            *(row.change, row.lost, row.gained, row.disagreement),
            *(row.verdict, row.non_inferior, found["cpu_seconds"]),
        )
        done.append(trial)
        return trial

    def _path(self, recipe: dict) -> Path:
        told = json.dumps(recipe, sort_keys=True)
        return self.folder / f"{digest(self._key, told)[:32]}.json"

    def _measured(self, recipe: dict) -> dict:
        """What is kept of a trial; the rest needs margin and labels."""
        start = time.process_time()
        network = self.given.quantized(**recipe)
        seconds = time.process_time() - start
        runner = onnx_runtime.load(network)
        return {
            "bytes": resources.packed_bytes(network),
            "cpu_seconds": round(seconds, 2),
            "predictions": asked(runner, self.given.test).argmax(1).tolist(),
        }


def check_number(images: int, labelled: bool, margin: float) -> None:
    """InputError where so many images could show nothing at ``margin``.

    That is where a network that predicts exactly as the float one would not
    be shown to lose less than the margin, a share.
    """

    def decides(count: int) -> bool:
        if labelled:
            same = paired_tests.Flips(0, 0, count, 1.0)
            return paired_tests.excludes(same, margin)
        return intervals.wilson(0, count).high < margin

    if not decides(images):
        more = bisect_left(range(images, 10**7), True, key=decides)
        raise InputError(
            f"{images:,} images are too few to decide on at a margin of "
            f"{wording.points(margin)} points: expected at least "
            f"{images + more:,}, and as many others to judge; or a larger "
            "margin"
        )
