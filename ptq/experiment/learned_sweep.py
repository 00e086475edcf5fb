"""The reference "learned": rounding learned through blocks and networks.

These methods take minutes. Each must beat descent, which takes seconds, on
validation images, to earn a place among the others.
"""

from pathlib import Path

import pandas as pd
from torch import Tensor

from ptq.evidence import intervals
from ptq.evidence.intervals import Interval
from ptq.experiment import (
    committed_sweeps,
    results,
    rounding_sweep,
)
from ptq.experiment.network_study import FLOAT, Subject
from ptq.experiment.rounding_sweep import Case
from ptq.methods.rounding_methods import LEARNED

NAME, START = "learned", "descent"
BITS = ((4, 4), (2, 4))
CASES = {
    case.name: case
    for bits in BITS
    for case in (Case(*bits, method) for method in (START, *LEARNED))
}
# All images of the training's split that decide.
VALIDATION = 5000
# Measured again in a chapter: what the others are compared with.
REPEATED = "resnet8", "w4a4_descent"


def base(case: Case) -> Case:
    """What a learned method must beat: descent at the same bits."""
    return CASES[Case(case.weights, case.activations, START).name]


def records(
    of: Subject, images: Tensor, labels: Tensor, folder: Path
) -> list[results.Record]:
    """Records of ``FLOAT`` and all ``CASES``, as of ``rounding_sweep``.

    ``images`` and ``labels`` are the test's, uint8 (N, 3, 32, 32) and int64
    (N,).
    """
    asked = [FLOAT, *CASES], images, labels, folder
    return rounding_sweep.records(of, *asked, CASES, VALIDATION)


def validation_gain(
    frame: pd.DataFrame, network: str, case: Case
) -> Interval:
    """Accuracy gained over ``base`` on validation images, a share.

    ``frame`` is the reference; the interval is that of the mean over
    trainings.
    """
    of = frame[frame.network == network].set_index("train_seed")
    right = of.validation_correct / of.validation_images
    made, before = (
        right[of.strategy == one.name] for one in (case, base(case))
    )
    return intervals.mean((made - before).to_numpy())


def measured_again(lab, frame: pd.DataFrame, manifest: dict) -> pd.DataFrame:
    """Measure what the learned ones start from again, with a shipped network.

    Returns ``committed_sweeps.agreement``.
    """
    network, name = REPEATED
    known = frame[(frame.train_seed == 42) & (frame.network == network)]
    found = rounding_sweep.again(
        lab.shipped(), network, [name], NAME, CASES, VALIDATION
    )
    rows = known.set_index("strategy").loc[[name]]
    return committed_sweeps.agreement(rows, found, manifest)
