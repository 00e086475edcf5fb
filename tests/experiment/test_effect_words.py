"""Effects of factors, and changes over trainings, in words."""

import pandas as pd

from ptq.book import tables
from ptq.evidence import replicates
from ptq.experiment import effect_words, factors


def test_changes_stand_beside_the_worst_seed():
    changes = pd.DataFrame(
        {
            "fp32": [0.0] * 5,
            "naive": [-0.010, -0.011, -0.009, -0.010, -0.010],
            "folded": [-0.002, 0.001, 0.001, -0.001, 0.001],
        }
    )
    pairs = [("naive", "fp32"), ("folded", "fp32")]
    orders = replicates.orderings(changes, pairs)
    lost, even = tables.designs.change_rows(orders, changes)
    assert lost["strategy"] == "Naive"
    assert lost["mean change (points)"] == "-1.00"
    assert lost["95 % interval"].startswith("-1.09 to -0.9")
    assert lost["worst seed"] == "-1.10" and lost["verdict"] == "worse"
    assert even["verdict"] == "non-inferior"


def effects(**values):
    """Effects in points, shown where they are a tenth or more."""
    rows = {
        term: (
            value,
            value - 0.01,
            value + 0.01,
            0,
            1.0 - (abs(value) >= 0.1),
        )
        for term, value in values.items()
    }
    columns = ["value", "low", "high", "p", "p_holm"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns)


def test_effects_are_ranked_in_words():
    table = effects(
        **{name: 0.01 * i for i, name in enumerate(factors.FACTORS)},
        **{"folded × bits": 0.03, "bits × observer": -0.2},
    )
    table.loc["bits", ["value", "p_holm"]] = -1.6, 0.001
    found = effect_words.ranked(table)
    assert found.terms[:3] == ["bits", "bits × observer", "corrected"]
    assert found.first.startswith("activation bits: 7 → 8 (-1.60), then ")
    assert found.first.count("then") == 3
    assert found.pair == "activation bits × observer (-0.20)"
    assert found.pair_word == "shown"
    assert "activation bits" not in found.unseen
    assert found.unseen.count(";") == len(factors.FACTORS) - 2
    rows = tables.designs.effect_rows({"accuracy": table}, found.terms)
    assert rows[0]["factor, or pair"] == "activation bits: 7 → 8"
    assert rows[0]["accuracy (points)"] == "-1.600"
    assert rows[0]["on the accuracy"] == "shown"
    assert rows[2]["on the accuracy"] == "not shown"


def test_no_factor_may_be_left_unseen():
    table = effects(**dict.fromkeys(factors.FACTORS, 0.5), **{"a × b": 0.01})
    table = table.rename({"a × b": "bits × images"})
    found = effect_words.ranked(table)
    assert (found.unseen, found.pair_word) == ("none", "not shown")


def test_an_order_is_named_by_its_strategies():
    changes = pd.DataFrame(
        {"naive": [0.0, 0.1, 0.3], "folded": [0.2, 0.4, 0]}
    )
    orders = replicates.orderings(changes, [("folded", "naive")])
    (row,) = tables.designs.order_rows(orders)
    assert row["claim"] == "Folded over Naive"
    assert row["seeds ahead"] == "2 of 3"
    assert row["difference (points)"] == "+6.67"
