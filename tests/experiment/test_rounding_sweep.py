"""The sweep of roundings: what is tried, paired, chosen and measured."""

import numpy as np
import pandas as pd
import pytest
from small_network import pixels_of

from ptq.book.tables import rounding as tables
from ptq.data import cifar10
from ptq.evidence import paired_tests
from ptq.evidence.intervals import Interval
from ptq.evidence.paired_tests import Flips
from ptq.experiment import network_study, rounding_sweep
from ptq.experiment.committed_sweeps import ReferenceError
from ptq.experiment.network_study import FLOAT
from ptq.experiment.rounding_sweep import change, steps
from ptq.methods.rounding_methods import ROUNDINGS
from ptq.networks import recipes
from ptq.registry import UnknownNameError


def table(seeds=(1, 2), lost=None, right=None):
    """A reference in which a record loses what ``lost`` says, in shares."""
    rows = []
    for network in recipes.NETWORKS:
        for seed in seeds:
            for name in (FLOAT, *rounding_sweep.cases(network)):
                loss = (lost or {}).get((network, name), 0.01)
                loss = (
                    0 if name == FLOAT else loss + 0.001 * (seed < 3) * seed
                )
                rows.append(
                    {
                        "network": network,
                        "train_seed": seed,
                        "strategy": name,
                        "accuracy": 0.9 - loss,
                        "correct": round(10_000 * (0.9 - loss)),
                        "n": 10_000,
                        "disagreement": 2 * loss,
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


def test_steps_pair_a_method_with_the_next_cheaper_one():
    names = [(two.name, one.rounding) for two, one in steps("resnet8")]
    assert ("w2a4_gptq", "nearest") in names
    assert ("w2a4_adaround", "descent") in names
    assert all(two.bits == one.bits for two, one in steps("depthwise"))
    tried = [two.rounding for two, _ in steps("compact_cnn")]
    assert "adaround" not in tried


def test_a_change_is_paired_by_training():
    frame = table(lost={("resnet8", "w2a4_gptq"): 0.4})
    frame.loc[frame.train_seed == 2, "accuracy"] += 0.05
    found = change(frame, "resnet8", "w2a4_gptq", "w2a4_nearest")
    assert found.value == pytest.approx(-0.39)
    assert found.high - found.low == pytest.approx(0, abs=1e-9)


def test_what_a_reference_lacks_is_named():
    told = "no w4a4_adaround of compact_cnn; `make sweeps` makes it"
    with pytest.raises(ReferenceError, match=told):
        change(table(), "compact_cnn", "w4a4_adaround")


def test_of_one_training_the_interval_is_that_of_images():
    """Never narrower than that of the true flips, 60 lost and 20 gained."""
    frame = table(seeds=[42])
    here = (frame.network == "resnet8") & (frame.strategy == "w4a8_descent")
    frame.loc[here, "correct"] = 8960
    frame.loc[here, "disagreement"] = 0.03
    found = change(frame, "resnet8", "w4a8_descent")
    true = paired_tests.difference(Flips(60, 20, 10_000, 1.0))
    assert found.value == pytest.approx(true.value) == -0.004
    assert found.low < true.low < true.high < found.high < 0
    other = change(frame, "resnet8", "w4a8_descent", "w4a8_nearest")
    assert other.high - other.low > found.high - found.low


def test_the_choice_asks_validation_images_and_takes_the_cheaper_of_equals():
    frame = table(right={"w4a4_gptq": 850, "w4a4_descent": 850})
    assert rounding_sweep.chosen(frame, "resnet8", (4, 4)).rounding == "gptq"


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (Interval(-0.4, -0.45, -0.35), rounding_sweep.REACHED),
        (Interval(-0.4, -0.6, -0.2), rounding_sweep.OPEN),
        # As far beyond the level as the one above is within it.
        (Interval(-0.6, -0.8, -0.4), rounding_sweep.OPEN),
        (Interval(-0.6, -0.7, -0.55), rounding_sweep.MISSED),
        (Interval(-0.4, float("nan"), float("nan")), rounding_sweep.OPEN),
    ],
)
def test_a_level_asks_the_whole_interval_on_both_sides(change, word):
    assert rounding_sweep.level_word(change, 0.5) == word


@pytest.mark.parametrize(
    ("gain", "word"),
    [
        (Interval(0.4, 0.1, 0.7), "without zero"),
        (Interval(-0.4, -0.7, -0.1), "without zero"),
        (Interval(0.4, -0.1, 0.9), "with zero"),
    ],
)
def test_what_is_not_corrected_is_not_called_shown(gain, word):
    assert tables.zero_word(gain) == word


def test_a_gain_of_one_training_is_told_apart():
    frame = table(lost={(n, "w4a4_nearest"): 0.1 for n in recipes.NETWORKS})
    lone = (frame.network == "compact_cnn") & (frame.train_seed == 2)
    told = tables.gains_told(frame[~lone])
    assert told["w4a4_gptq_above"] == (
        "4 of 4 (over images of one training only: compact CNN)"
    )
    assert tables.gains_told(frame)["w4a4_gptq_above"] == "4 of 4"


def test_tables_have_every_method_and_network_once():
    frame = table(lost={("resnet8", "w3a3_descent"): 0.1})
    rows = tables.method_rows(frame)
    names = [(row["bits"], row["method"]) for row in rows]
    assert len(set(names)) == len(names) == 13
    assert names[0] == ("W4A8", "nearest")
    w3a3 = dict(zip(names, rows, strict=True))["W3A3", "descent toward float"]
    assert w3a3["CPU s"] == "1.5"
    dear = [row["CPU s"] for row in rows if "AdaRound" in row["method"]]
    assert dear == ["3.0 (ResNet8, depthwise CNN)"] * 2
    assert w3a3["ResNet8"].startswith("-10.15 ± ")
    levels = tables.level_rows(frame)
    missed = [
        r["bits"] for r in levels if r["level"] == rounding_sweep.MISSED
    ]
    assert "W3A3" in missed
    rows = tables.gain_rows(frame)
    assert [r["bits"] for r in rows] == ["W4A8"] + 3 * ["W4A4"] + 4 * ["W2A4"]
    gains = {(r["bits"], r["method"]): r for r in rows}
    assert gains["W4A4", "AdaRound toward float"]["compact CNN"] == "–"
    assert gains["W2A4", "GPTQ"]["ResNet8"].startswith("+0.00 (")


def test_a_text_is_told_what_the_tables_say():
    lost = {("resnet8", "w2a4_gptq"): 0.4, ("depthwise", "w4a4_gptq"): 0.05}
    frame = table(lost=lost)
    # What some networks alone were asked for is compared there alone.
    dear = frame.network.isin(rounding_sweep.DEAR_NETWORKS)
    frame.loc[~dear, "cpu_seconds"] = 100.0
    told = tables.told(frame)
    assert told["resnet8_w2a4_gptq_interval"].value < -40
    assert told["resnet8_w2a4_gptq_gain"].value == pytest.approx(-39)
    assert told["resnet8_w2a4_gptq_word"] == "without zero"
    assert told["resnet8_w4a4_gptq_word"] == "with zero"
    assert told["w2a4_descent_own_above"] == "1 of 4"
    assert told["w2a4_adaround_above"] == "0 of 2"
    assert told["resnet8_w2a4_gptq"] == pytest.approx(-40.15)
    assert told["better_pairs"] == told["better"].count(";") + 1
    assert told["pairs"] == 28
    assert told["slower"] == 2 and told["w2a4_gptq_kb"] == 24
    assert "depthwise CNN W4A4 (-1.15)" in told[rounding_sweep.REACHED]
    assert "ResNet8 W4A8 (-1.15)" in told[rounding_sweep.MISSED]
    assert "GPTQ over nearest, W2A4, ResNet8" in told["worse"]
    assert "descent, own inputs over GPTQ, W2A4, ResNet8" in told["better"]


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
