"""Predictions against those of a reference: a table, a row a network."""

from collections.abc import Hashable

import numpy as np

from ptq.evidence import intervals, network_pairs
from ptq.evidence.network_pairs import Paired
from ptq.experiment.comparison import REFERENCE_ROW


def rows(
    predictions: dict[Hashable, np.ndarray],
    labels: np.ndarray,
    against: dict[Hashable, Hashable],
) -> dict[Hashable, dict[str, str]]:
    """Accuracy of each network, and what differs from its reference, as text.

    Cells by column, by the names of the networks. ``predictions`` hold class
    numbers, ``labels`` the true ones, all (n,). ``against`` names the
    reference of each network that is not one itself; Holm's correction is
    over these. KeyError where a name is unknown, InputError where
    predictions and labels do not fit each other.
    """
    pairs = {
        name: (predictions[other], predictions[name])
        for name, other in against.items()
    }
    judged = network_pairs.compared(pairs, labels)
    return {
        name: _alone(found, labels)
        | _changed(found, predictions[against.get(name, name)])
        | _judged(judged.get(name))
        for name, found in predictions.items()
    }


def _alone(found: np.ndarray, labels: np.ndarray) -> dict[str, str]:
    right = int((found == labels).sum())
    top = 100 * intervals.accuracy(right, len(labels))
    return {
        "top-1 (%)": f"{top.value:.2f}",
        "95 % interval": f"{top.low:.1f}–{top.high:.1f}",
    }


def _changed(found: np.ndarray, reference: np.ndarray) -> dict[str, str]:
    other = found != reference
    return {
        "other predictions": f"{other.sum()}",
        "disagreement (%)": f"{100 * other.mean():.1f}",
    }


def _judged(pair: Paired | None) -> dict[str, str]:
    """Cells of a row that has a reference; of None, those of a reference."""
    cells = ("0 / 0", "–", REFERENCE_ROW)
    if pair:
        lost_gained = f"{pair.lost} / {pair.gained}"
        cells = lost_gained, f"{pair.holm:.2g}", pair.verdict
    return dict(
        zip(("lost / gained", "Holm p", "verdict"), cells, strict=True)
    )
