"""What the sweep over factors shows, in words."""

from dataclasses import dataclass

import pandas as pd

from ptq.evidence.thresholds import SIGNIFICANCE
from ptq.experiment import factors


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
