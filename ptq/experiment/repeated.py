"""A part of a committed sweep, measured again beside its rows."""

import pandas as pd
from torch import Tensor

from ptq.experiment import committed_sweeps
from ptq.experiment.factors import Variant
from ptq.experiment.laboratory import Experiment
from ptq.experiment.results import Record
from ptq.measure import timer


def variants(
    there: Experiment,
    chosen: list[Variant],
    images: Tensor,
    table: pd.DataFrame,
    manifest: dict,
    **levels,
) -> pd.DataFrame:
    """Measure variants again: ``committed_sweeps.agreement`` of each.

    ``images`` is uint8 (N, 3, 32, 32), the draw that calibrates; ``table``
    has one row for each variant, of the same draw. Errors as of
    ``evaluate_variant``; KeyError where a variant has no row.
    """
    with timer.pinned_threads(1):
        records = [
            there.evaluate_variant(variant, images, **levels)
            for variant in chosen
        ]
    return _beside(records, table, manifest)


def strategies(
    there: Experiment, chosen: list[str], table: pd.DataFrame, manifest: dict
) -> pd.DataFrame:
    """The same for named strategies, with the laboratory's own draw."""
    with timer.pinned_threads(1):
        records = [there.measure(name) for name in chosen]
    return _beside(records, table, manifest)


def _beside(
    records: list[Record], table: pd.DataFrame, manifest: dict
) -> pd.DataFrame:
    names = [record.strategy for record in records]
    rows = table.set_index("strategy").loc[names]
    return committed_sweeps.agreement(rows, records, manifest)
