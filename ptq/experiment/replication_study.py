"""What the sweeps over trainings and over factors show."""

from dataclasses import dataclass

import pandas as pd

from ptq.evidence import intervals, paired_tests, replicates
from ptq.evidence.intervals import Interval
from ptq.evidence.levels import SIGNIFICANCE
from ptq.experiment import factors, strategies

# Naive's network once more: a row of the paper, not a strategy of its own.
TWIN = "bias_correction_published"


@dataclass(frozen=True)
class Change:
    """What a strategy changes (shares) over training seeds, paired by seed.

    ``worst`` is that of the worst seed; ``p_holm`` is adjusted over the
    quantized strategies, and 1 for a float one. ``reach`` is the mean that
    would be shown in four cases of five, NaN where the seeds do not differ.
    """

    mean: Interval
    worst: float
    p_holm: float
    verdict: str
    reach: float


def changes_of(changes: pd.DataFrame) -> dict[str, Change]:
    """Each strategy of ``replicates.drops``, in the order of the book."""
    names = [n for n in strategies.STRATEGIES if n in changes and n != TWIN]
    quantized = [name for name in names if not is_float(name)]
    p_values = [replicates.p_value(changes[n].to_numpy()) for n in quantized]
    adjusted = zip(quantized, paired_tests.holm(p_values), strict=True)
    p_holm = dict.fromkeys(names, 1.0) | dict(adjusted)
    found = {}
    for name in names:
        mean = intervals.mean(changes[name].to_numpy())
        spread = float(changes[name].std())
        found[name] = Change(
            mean,
            float(changes[name].min()),
            p_holm[name],
            paired_tests.verdict(mean, p_holm[name]),
            replicates.smallest_shown(spread, len(changes))
            if spread
            else float("nan"),
        )
    return found


def is_float(name: str) -> bool:
    """Whether a strategy leaves all layers in floating point."""
    return name.startswith("fp32")


@dataclass(frozen=True)
class Ranked:
    """Effects on one response in words, the strongest first.

    ``first`` names the strongest four factors, ``pair`` the strongest
    interaction, ``pair_word`` whether it is shown, ``unseen`` the factors
    whose effect is not shown.
    """

    terms: list[str]
    first: str
    pair: str
    pair_word: str
    unseen: str


def ranked(effects: pd.DataFrame) -> Ranked:
    """Rank a table of ``replicates.effects`` of ``factors.FACTORS``."""
    terms = effects["value"].abs().sort_values(ascending=False).index
    main = [term for term in terms if " × " not in term]
    pair = next(term for term in terms if " × " in term)

    def named(term: str) -> str:
        return f"{factors.in_words(term)} ({effects['value'][term]:+.2f})"

    unseen = [term for term in main if not shown(effects)[term]]
    return Ranked(
        list(terms),
        ", then ".join(map(named, main[:4])),
        named(pair),
        "shown" if shown(effects)[pair] else "not shown",
        "; ".join(map(factors.in_words, unseen)) or "none",
    )


def shown(effects: pd.DataFrame) -> pd.Series:
    """Whether each effect is significant after Holm's correction."""
    return effects.p_holm < SIGNIFICANCE
