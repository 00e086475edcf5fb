"""The reference "networks": choices over trainings, and measured again."""

import numpy as np
import pandas as pd
from torch import Tensor

from ptq import paths
from ptq.evidence import intervals, network_pairs
from ptq.evidence.intervals import Interval
from ptq.experiment import committed_sweeps, network_study, results
from ptq.experiment.network_study import CHOICES, FLOAT
from ptq.networks import recipes

# What decides a record besides the network.
DECIDES = ("seed", "calibration_images", "test_images")


def changes(frame: pd.DataFrame) -> dict[tuple[str, str], np.ndarray]:
    """Changes of accuracy (shares), (trainings,), by network and choice.

    ``frame`` is the reference: its rows are networks, trainings and choices,
    ``FLOAT`` among these. Networks stand in the order of the registry.
    """
    return {
        (network, choice): change
        for network in recipes.NETWORKS
        for choice, change in committed_sweeps.changes(
            frame, network, CHOICES, FLOAT
        ).items()
    }


def gain(
    found: dict[tuple[str, str], np.ndarray], better: str, worse: str
) -> Interval:
    """What one choice gains over another, a share, over all trainings.

    ``found`` are the ``changes``, (trainings,) each. The interval is that of
    the mean of these trainings, of whichever network.
    """
    return intervals.mean(np.concatenate(gains(found, better, worse)))


def gains(
    found: dict[tuple[str, str], np.ndarray], better: str, worse: str
) -> list[np.ndarray]:
    """The same by network and training: shares, (trainings,) each."""
    return [
        found[network, better] - found[network, worse]
        for network, choice in found
        if choice == better
    ]


def measured_again(lab, frame: pd.DataFrame, manifest: dict) -> pd.DataFrame:
    """Measure a part of the reference again: shipped networks, BN folded.

    How many depends on the run's test images; records that ``lab`` has by
    the same settings count. Returns ``committed_sweeps.agreement``.
    """
    there = lab.shipped()
    same = all(lab.settings[n] == there.settings[n] for n in DECIDES)
    folder = (lab if same else there).run_folder / "networks"
    made = (*network_study.FOLDED, FLOAT)
    pairs = [(n, c) for c in made for n in recipes.NETWORKS]
    count = lab.settings["test_images"]
    known = frame[frame.train_seed == 42].set_index(["network", "strategy"])
    asked = committed_sweeps.repeated(pairs, count, fewest=1)
    records = [_record(there, *pair, folder) for pair in asked]
    return committed_sweeps.agreement(known.loc[asked], records, manifest)


def _record(there, network: str, choice: str, folder):
    models = there.run_folder / paths.MODELS
    of = network_study.subject(there.cifar, network, models)
    images, labels = there.test_images, there.test_labels
    return network_study.record(of, choice, images, labels, folder / network)


def compared(
    records: dict[str, dict[str, results.Record]], labels: Tensor
) -> dict[tuple[str, str], network_pairs.Paired]:
    """Each choice against its float network, by network and choice.

    ``records`` are by network and choice, ``FLOAT`` among these; ``labels``
    is int64 (N,). Holm's correction is over all pairs.
    """
    pairs = {
        (network, name): (of[FLOAT].predictions, made.predictions)
        for network, of in records.items()
        for name, made in of.items()
        if name != FLOAT
    }
    return network_pairs.compared(pairs, labels.numpy())
