"""The front page's decision map follows from the references, row by row."""

import json

import numpy as np
import pandas as pd
import pytest

from ptq.book.pages import decision_map
from ptq.book.pages.decision_map import simplest
from ptq.evidence.intervals import Interval
from ptq.experiment import committed_sweeps, network_study
from ptq.networks import recipes

SEEDS = 42, 1, 2
FLOAT_RIGHT = 9000
# Images lost in 10,000 and 1,000, by training: more by "nearest" at W2A4.
LOST = {
    ("resnet8", "w8_tensor"): (5, 15, 10),
    ("resnet8", "w8_channel"): (10, 8, 9),
    ("resnet8", "w4a8_nearest"): (10, 40, 25),
    ("resnet8", "w4a8_descent"): (9, 39, 26),
    ("resnet8", "w2a4_nearest"): (3000, 4000, 3500),
    ("resnet8", "w2a4_gptq"): (500, 520, 510),
    ("resnet8", "w2a4_descent"): (300, 320, 310),
}


def measured(network, seeds, strategy, lost=(0, 0, 0), **more):
    return [
        {
            "network": network,
            "train_seed": seed,
            "strategy": strategy,
            "correct": FLOAT_RIGHT - wrong,
            "validation_correct": (FLOAT_RIGHT - wrong) // 10,
            "file_bytes": 50_000,
            "disagreement": 0.04,
        }
        | more
        for seed, wrong in zip(seeds, lost, strict=False)
    ]


def kept(folder, name, rows):
    constant = {"n": 10_000, "validation_images": 1000}
    pd.DataFrame(rows).to_csv(folder / f"{name}.csv", index=False)
    (folder / f"{name}.json").write_text(json.dumps({"constant": constant}))


@pytest.fixture
def folder(tmp_path):
    eight, fewer = [], []
    for network, seeds in (("resnet8", SEEDS), ("compact_cnn", SEEDS[:1])):
        of = network, seeds
        eight += measured(*of, "fp32")
        fewer += measured(*of, "fp32")
        for name, strategy in (
            ("tensor", "per_tensor"),
            ("channel", "per_channel"),
        ):
            eight += measured(*of, strategy, LOST["resnet8", f"w8_{name}"])
        eight += measured(*of, "per_tensor_apart", (1, 1, 1))
        for (_, name), lost in LOST.items():
            bits, rounding = name.split("_")
            if "a" in bits:
                told = {"rounding": rounding, "cpu_seconds": 2.5}
                told |= {
                    "weight_bits": int(bits[1]),
                    "activation_bits": int(bits[3]),
                }
                fewer += measured(*of, name, lost, **told)
    kept(tmp_path, "networks", eight)
    kept(tmp_path, "rounding", fewer)
    return tmp_path


def lines(folder):
    decision_map.write(folder, folder)
    text = (folder / "decision_map.md").read_text()
    return text, [line for line in text.splitlines() if "| ResNet8" in line]


def test_the_simplest_that_is_as_good_is_taken(folder):
    text, (eight, four, two) = lines(folder)
    assert "| W8A8 | per tensor | -0.10 (" in eight
    assert "| W4A8 | nearest | -0.25 (" in four
    assert "| W2A4 | descent toward float | -3.10 (" in two
    for line, word in ((eight, "non-inferior"), (four, "no difference")):
        assert word in line and "| – |" in line
    assert "worse" in two and "+31.90 (" in two and "| 2.5 |" in two
    assert (
        "W8A8: per tensor (2); W4A8: nearest (2); W2A4: descent toward "
        "float (2)."
    ) in text


def test_a_loss_that_holm_leaves_open_is_no_absence_of_loss(folder):
    """Below zero as a whole: the word beside it does not say otherwise."""
    path = folder / "rounding.csv"
    frame = pd.read_csv(path)
    four = (frame.network == "resnet8") & (frame.strategy == "w4a8_nearest")
    frame.loc[four, "correct"] = [8940, 8920, 8955]
    frame.to_csv(path, index=False)
    text, (_, row, _) = lines(folder)
    assert "-0.62 (-1.05 to -0.18) | a loss, not shown over all rows" in row
    assert "3 tests of 3 trainings each" in text
    assert decision_map._word(Interval(-0.006, -0.01, 0.001), 0.2) == (
        "no difference shown"
    )
    assert decision_map._word(Interval(-0.002, -0.003, -0.001), 0.2) == (
        "non-inferior"
    )


def test_one_training_has_the_interval_of_its_images_and_no_verdict(folder):
    text, _ = lines(folder)
    rows = [line for line in text.splitlines() if "| compact CNN" in line]
    assert len(rows) == 3
    assert all("| one training |" in row for row in rows)
    # 1.96 times the root of 0.04 over 10,000 images, in points.
    assert "| W2A4 | descent toward float | -3.00 (-3.39 to -2.61)" in rows[2]
    assert "+27.00 |" in rows[2]


def test_what_no_training_has_in_full_is_named(folder):
    path = folder / "rounding.csv"
    frame = pd.read_csv(path)
    gone = (frame.network == "compact_cnn") & (frame.strategy == "w2a4_gptq")
    frame.loc[gone, "validation_correct"] = np.nan
    frame.to_csv(path, index=False)
    text, _ = lines(folder)
    assert "for no training has all methods: compact CNN at W2A4." in text


def test_what_is_decided_is_decided_on_validation_images(folder):
    """Test images of another order change the numbers, not the choice."""
    before, _ = lines(folder)
    path = folder / "rounding.csv"
    frame = pd.read_csv(path)
    worse = frame.strategy == "w2a4_descent"
    frame.loc[worse, "correct"] -= 2000
    frame["disagreement"] = 0.5
    frame.to_csv(path, index=False)
    text, (*_, two) = lines(folder)
    assert "descent toward float" in two and "-23.10 (" in two
    frame.loc[worse, "validation_correct"] = 0
    frame.to_csv(path, index=False)
    assert "| W2A4 | GPTQ |" in lines(folder)[1][2]


def test_without_the_reference_below_eight_bits_eight_are_told(folder):
    (folder / "rounding.csv").unlink()
    _, found = lines(folder)
    assert len(found) == 1 and "W8A8" in found[0]


def test_a_cheap_method_must_be_near_and_not_shown_worse():
    def taken(*columns):
        return simplest(pd.DataFrame(np.transpose(columns)))

    best = 0.9, 0.9, 0.9
    assert taken((0.899, 0.901, 0.897), best) == 0
    # Shown worse, by little; and not shown, by much.
    assert taken((0.8980, 0.8981, 0.8979), best) == 1
    assert taken((0.9, 0.86, 0.9), best) == 1
    assert taken(best, (0.89, 0.88, 0.9)) == 0


def test_the_best_one_on_validation_images_is_named_with_its_gain(folder):
    """Where a simpler one is taken: what a reader may gain by the other."""
    _, (eight, four, two) = lines(folder)
    assert "| per channel +0.01 (-0.14 to +0.16) |" in eight
    assert "| – | – |" in four and "| – |" in two
    path = folder / "rounding.csv"
    frame = pd.read_csv(path)
    others = frame.strategy.isin(["w2a4_gptq", "w2a4_descent"])
    frame[~others].to_csv(path, index=False)
    assert "| only one tried |" in lines(folder)[1][2]


def test_eight_bits_are_those_of_the_map():
    """Chapter 16 takes what the front page's map says."""
    eight = committed_sweeps.load("networks")[0]
    taken = decision_map.at_eight_bits(eight)
    found, _ = decision_map.rows(decision_map.tried(eight, None))
    known = {row.network: row.method for row in found.itertuples()}
    labels = {n: network_study.CHOICES[c].label for n, c in taken.items()}
    assert labels == known
    assert list(taken) == list(recipes.NETWORKS)


def test_references_of_the_book_make_a_map(tmp_path):
    decision_map.write(tmp_path)
    text = (tmp_path / "decision_map.md").read_text()
    assert "| W8A8 |" in text and ":name: tab-decision-map" in text
