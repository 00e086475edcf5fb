"""Tables of ranges: observers, grids of weights, and what repairs them."""

from ptq.evidence.intervals import Interval
from ptq.experiment.range_sweep import (
    CHOICES,
    NETWORKS,
    OBSERVER_WORDS,
    REPAIRS,
    Choice,
)
from ptq.networks import recipes

Changes = dict[tuple[str, str], Interval]


def observer_rows(found: Changes) -> list[dict[str, str]]:
    """Changes in points by observer, a column for each network and bits.

    ``found`` are the ``range_sweep.changes``.
    """
    return [
        {"observer": words}
        | {
            f"{recipes.get(network).label}, {bits} bits": _points(
                found[network, Choice(8, bits, observer).name]
            )
            for bits in (8, 4)
            for network in NETWORKS
        }
        for observer, words in OBSERVER_WORDS.items()
    ]


def repair_rows(found: Changes, per_channel: bool) -> list[dict[str, str]]:
    """Changes in points of 4-bit weights with 8-bit activations, by repair.

    ``found`` are the ``range_sweep.changes``, with their intervals; a column
    a network.
    """
    rows = []
    for words, repair in REPAIRS.items():
        name = Choice(4, per_channel=per_channel, **repair).name
        if name in CHOICES:
            rows.append(
                {"what is done": words}
                | {
                    recipes.get(
                        network
                    ).label: f"{100 * found[network, name]:+.1f}"
                    for network in NETWORKS
                }
            )
    return rows


def _points(change: Interval) -> str:
    return f"{100 * change.value:+.1f}"
