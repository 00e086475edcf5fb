"""The sweep of roundings: what is tried, paired, chosen and measured."""

import numpy as np
import pandas as pd
import pytest
from small_network import pixels_of

from ptq.book.tables import rounding as tables
from ptq.data import cifar10
from ptq.evidence.intervals import Interval
from ptq.experiment import network_study, rounding_sweep
from ptq.experiment.network_study import FLOAT
from ptq.methods.roundings import ROUNDINGS
from ptq.networks import recipes
from ptq.registry import UnknownNameError


def table(seeds=(1, 2), lost=None, right=None):
    """A reference in which a record loses what ``lost`` says, in shares."""
    rows = []
    for network in recipes.NETWORKS:
        for seed in seeds:
            for name in (FLOAT, *rounding_sweep.cases(network)):
                loss = 0.001 * seed + (lost or {}).get((network, name), 0.01)
                rows.append(
                    {
                        "network": network,
                        "train_seed": seed,
                        "strategy": name,
                        "accuracy": 0.9 - (loss if name != FLOAT else 0),
                        "validation_correct": (right or {}).get(name, 800),
                        "cpu_seconds": 3.0 if "adaround" in name else 1.5,
                        "file_bytes": 24_000,
                    }
                )
    return pd.DataFrame(rows)


def test_every_method_that_is_tried_has_a_name_in_words():
    for network in recipes.NETWORKS:
        for case in rounding_sweep.cases(network).values():
            assert case.label == ROUNDINGS[case.rounding].label
    with pytest.raises(UnknownNameError, match="did you mean descent"):
        ROUNDINGS.row("decent")


def test_gains_pair_a_method_with_the_next_cheaper_one():
    lost = {(n, "w2a4_gptq"): 0.4 for n in recipes.NETWORKS}
    changes = rounding_sweep.changes(table(lost=lost))
    gains = {
        (better.name, worse.rounding): shares
        for (better, worse), shares in rounding_sweep.gains(changes).items()
    }
    assert gains["w2a4_gptq", "nearest"] == pytest.approx([-0.39] * 8)
    assert gains["w2a4_descent_own", "gptq"] == pytest.approx([0.39] * 8)
    assert len(gains["w2a4_adaround", "descent"]) == 2  # one network


def test_the_choice_asks_validation_images_and_takes_the_cheaper_of_equals():
    frame = table(right={"w4a4_gptq": 850, "w4a4_descent": 850})
    assert rounding_sweep.chosen(frame, "resnet8", (4, 4)).rounding == "gptq"


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (Interval(-0.4, -0.45, -0.35), tables.REACHED),
        (Interval(-0.4, -0.6, -0.2), tables.ON_AVERAGE),
        (Interval(-0.6, -0.7, -0.1), tables.MISSED),
        (Interval(-0.4, float("nan"), float("nan")), tables.REACHED),
    ],
)
def test_a_level_is_reached_only_if_the_interval_lies_within(change, word):
    assert tables.level_word(change, 0.5) == word


def test_tables_have_every_method_and_network_once():
    frame = table(lost={("resnet8", "w3a3_descent"): 0.1})
    rows = tables.method_rows(frame)
    names = [(row["bits"], row["method"]) for row in rows]
    assert len(set(names)) == len(names) == 13
    assert names[0] == ("W4A8", "nearest")
    w3a3 = dict(zip(names, rows, strict=True))["W3A3", "descent toward float"]
    assert w3a3["ResNet8"].startswith("-10.15 ± ")
    levels = tables.level_rows(frame)
    missed = [r["bits"] for r in levels if r["level"] == tables.MISSED]
    assert "W3A3" in missed
    one = table(seeds=[1])
    assert tables.level_rows(one)[0]["change (points)"] == "-1.10"
    gains = rounding_sweep.gains(rounding_sweep.changes(one))
    alone = [r["verdict"] for r in tables.gain_rows(gains)]
    assert alone.count("one network") == 2
    changes = rounding_sweep.changes(frame)
    rows = tables.gain_rows(rounding_sweep.gains(changes))
    assert [row["networks"] for row in rows].count(2) == 2


def test_a_text_is_told_what_the_tables_say():
    lost = {("resnet8", "w2a4_gptq"): 0.4, ("depthwise", "w4a4_gptq"): 0.05}
    told = tables.told(table(lost=lost))
    assert told["resnet8_w2a4_gptq"] == pytest.approx(-40.15)
    assert told["slower"] == 2 and told["w2a4_gptq_kb"] == 24
    assert "depthwise CNN W4A4 (-1.15)" in told[tables.REACHED]
    assert "ResNet8 W4A8 (-1.15)" in told[tables.MISSED]
    assert told["shown"] == "none"


def test_records_hold_what_the_table_asks(tmp_path):
    """Of a trained network, on few images; a second call reads them."""
    cifar = cifar10.load()
    of = network_study.subject(
        cifar, "compact_cnn", tmp_path, calibration_images=16
    )
    images = pixels_of(20, 3, 32, 32), cifar.test_labels[:20]
    names = [FLOAT, "w4a4_nearest"]
    made = rounding_sweep.records(of, names, *images, tmp_path)
    assert [record.strategy for record in made] == names
    told = made[1].parameters
    assert (told["weight_bits"], told["activation_bits"]) == (4, 4)
    assert told["rounding"] == "nearest" and told["cpu_seconds"] >= 0
    assert made[1].file_bytes < made[0].file_bytes / 7
    again = rounding_sweep.records(of, names, *images, tmp_path)
    for record, same in zip(made, again, strict=True):
        assert np.array_equal(record.predictions, same.predictions)
        assert record.parameters == same.parameters
