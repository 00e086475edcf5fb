"""Findings on the paper's claims, from cases whose verdict is known."""

import numpy as np
import pandas as pd
import pytest
from made_timings import made_timing

from ptq.book import claims, tables
from ptq.evidence.intervals import Interval
from ptq.evidence.replicates import Ordering
from ptq.experiment import laboratory
from ptq.measure import timer

SECONDS = {
    "fp32": 8.0,
    "fp32_channels_last": 4.0,
    "naive": 2.0,
    "mixed_precision_published": 4.0,
    "mixed_precision_folded": 2.0,
    "folded": 1.0,
    timer.TWIN: 8.0,
}


def timing(busy=(), **other):
    noise = np.random.default_rng(1).normal(1, 1e-3, (7, 4, 5))
    times = SECONDS | other
    seconds = {
        name: value * noise[i]
        for i, (name, value) in enumerate(times.items())
    }
    return made_timing(seconds, batch=64, busy=busy)


def ordering(gain, p):
    found = Interval(gain, gain - 0.001, gain + 0.001)
    return Ordering(found, ahead=5, seeds=5, p=p, p_holm=p)


def orders(gain=0.002, p=0.01):
    return {("folded", n): ordering(gain, p) for n in claims.judged.RIVALS}


def test_causes_share_out_the_logarithm_of_a_speedup():
    found = claims.judged.causes_of_time(timing())
    # Each of two halvings has half of the gap, whichever comes first.
    assert found["mixed_price"].ours.startswith("50 (50–50) % of it")
    assert found["mixed_price"].outcome == claims.rules.ARTIFACT
    assert found["integers"].ours.startswith("33 (33–33) %")
    assert found["integers"].outcome == claims.rules.ARTIFACT
    assert found["ratio"].ours == "8.00 (7.99–8.01) times here"
    assert found["ratio"].outcome == claims.rules.CONTRADICTED


def test_the_lower_share_of_folding_is_judged():
    slow = timing(naive=1.0, mixed_precision_folded=2.0)
    found = claims.judged.causes_of_time(slow)["mixed_price"]
    assert "50 (" in found.ours and "0 (" in found.ours
    assert found.outcome == claims.rules.NOT_SHOWN


def test_a_busy_machine_shows_no_cause():
    found = claims.judged.causes_of_time(timing(busy=["others"]))
    assert {f.outcome for f in found.values()} == {claims.rules.NOT_SHOWN}


@pytest.mark.parametrize(
    ("times", "contest", "verdict", "told"),
    [
        ({}, orders(), "reproduced", "2 shown slower, 0 more"),
        ({"naive": 1.0}, orders(), "not shown", "1 shown slower, 0 more"),
        ({}, orders(-0.002), "contradicted", "2 shown slower, 2 more"),
        ({}, orders(-0.002, 0.2), "reproduced", "2 shown slower, 0 more"),
        ({"naive": 0.5}, orders(), "contradicted", "1 shown slower, 0 more"),
    ],
)
def test_best_by_time_and_no_worse(times, contest, verdict, told):
    found = claims.judged.best(timing(**times), contest)["best"]
    assert found.outcome == verdict and told in found.ours


def test_what_was_done_is_found_in_the_real_network(cifar, tmp_path):
    lab = laboratory.open_experiment(
        run_dir=str(tmp_path), test_images=200, calibration_images=32
    )
    found = claims.judged.sensitivity(lab) | claims.judged.codes(lab)
    assert found["sensitivity"].outcome == claims.rules.ARTIFACT
    assert found["eight_bits"].ours == "128 codes"
    assert found["eight_bits"].outcome == claims.rules.CONTRADICTED
    assert found["all_codes"].outcome == claims.rules.CONTRADICTED
    counted = claims.judged.counts(lab.network)
    assert {f.outcome for f in counted} == {claims.rules.REPRODUCED}


@pytest.mark.parametrize(
    ("gain", "verdict"), [(0, "reproduced"), (-0.02, "contradicted")]
)
def test_samples_compare_sources(gain, verdict):
    draws = pd.DataFrame(
        [
            {
                "images": images,
                "observer": "minmax",
                "source": source,
                "accuracy": 0.7 + shift + seed / 1e4 + (images - 100),
            }
            for source, shift in (("training", gain), ("validation", 0))
            for images in (8, 100)
            for seed in range(9)
        ]
    )
    found = claims.judged.samples(draws)
    assert found["calibration"].outcome == verdict
    assert f"{100 * gain:+.2f} (" in found["calibration"].ours
    assert "9 draws" in found["calibration"].ours
    # 157 batches hold 10,048 images; 2 batches hold 128.
    assert found["mean_time"].ours.startswith("off by -0.5 %")
    assert "-22 % for 100" in found["mean_time"].ours


def test_tally_leaves_out_what_could_not_be_otherwise():
    words = ["reproduced", "by definition", "not comparable", "reproduced"]
    found = [claims.rules.Finding("", "", "", word, "") for word in words]
    assert claims.judged.tally(found) == {"reproduced": 2}


def test_pairs_set_the_paper_beside_ours():
    rows = {
        name: {
            "correct": 7000,
            "n": 10_000,
            "speedup": 4.0,
            "speedup_low": 3.0,
            "speedup_high": 5.0,
        }
        for name in claims.paper.published()
    }
    frame = pd.DataFrame.from_dict(rows, orient="index")
    shares, speedups = claims.paper.pairs(frame).values()
    paper, ours = shares["BN folding"]
    assert paper.value == pytest.approx(71.49) and ours.value == 70
    assert paper.low < 71 < paper.high < 72.5 and ours.high < 71
    paper, ours = speedups["BN folding"]
    assert paper == Interval(3.4, 3.4, 3.4) and ours == Interval(4, 3, 5)


def test_rows_are_paired_with_their_reference():
    labels = np.zeros(200, int)
    worse, same = labels.copy(), labels.copy()
    worse[:20], same[0] = 1, 1
    found = tables.networks.paired(
        {"a": labels, "b": worse, "c": same},
        labels,
        {"b": "a", "c": "b"},
    )
    assert found["a"]["verdict"] == "reference"
    assert found["a"]["other predictions"] == "0"
    assert found["b"]["top-1 (%)"] == "90.00"
    assert found["b"]["lost / gained"] == "20 / 0"
    assert found["b"]["disagreement (%)"] == "10.0"
    assert float(found["b"]["Holm p"]) == pytest.approx(4 / 2**20, rel=0.05)
    assert found["b"]["verdict"] == "worse"
    assert found["c"]["lost / gained"] == "0 / 19"
    assert found["c"]["verdict"] == "better"
