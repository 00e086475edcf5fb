"""Verdicts on constructed cases, and an engine that really saturates."""

import itertools
import math
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

from ptq.book import claims, tables
from ptq.engines import eager_layers, eager_settings, saturating_sums
from ptq.evidence import intervals, time_ratios
from ptq.evidence.intervals import Interval
from ptq.evidence.paired_tests import Flips
from ptq.experiment import results, saturation, strategies
from ptq.measure import host, inference, timer

SIMULATIONS = 2000


def flips(lost, gained, n=10_000):
    p = stats.binomtest(lost, lost + gained).pvalue
    return Flips(lost, gained, n, float(p))


@pytest.mark.parametrize(
    ("first", "second", "low", "high"),
    # Newcombe (1998), table II, method 10.
    [
        ((48, 80), (56, 70), 0.0524, 0.3339),
        ((3, 10), (9, 10), 0.1705, 0.8090),
        ((0, 29), (5, 56), -0.0381, 0.1926),
        ((0, 10), (10, 10), 0.6075, 1.0000),
    ],
)
def test_difference_of_shares_as_published(first, second, low, high):
    found = intervals.newcombe(*first, *second)
    assert (found.low, found.high) == pytest.approx((low, high), abs=6e-5)


def test_difference_of_shares_covers():
    generator = np.random.default_rng(1)
    drawn = generator.binomial(1000, [0.70, 0.72], (SIMULATIONS, 2))
    found = [intervals.newcombe(int(a), 1000, int(b), 1000) for a, b in drawn]
    covered = np.mean([f.low <= 0.02 <= f.high for f in found])
    assert 0.93 < covered < 0.97


def test_intervals_of_a_few_values_cover():
    generator = np.random.default_rng(2)
    values = generator.normal(3, 2, (SIMULATIONS, 6))
    inside = []
    for row in values:
        means, one_more = (
            intervals.mean(row[:5]),
            intervals.prediction_interval(row[:5]),
        )
        inside.append(
            (
                means.low <= 3 <= means.high,
                one_more.low <= row[5] <= one_more.high,
            )
        )
    assert np.mean(inside, axis=0) == pytest.approx([0.95, 0.95], abs=0.02)


@pytest.mark.parametrize(
    "interval", [intervals.mean, intervals.prediction_interval]
)
def test_one_value_has_no_interval(interval):
    with pytest.raises(ValueError, match="at least 2"):
        interval(np.array([0.7]))


@pytest.mark.parametrize(
    ("paper", "ours", "expected"),
    [
        (545194, 545194, claims.rules.REPRODUCED),
        (545194, 545195, claims.rules.CONTRADICTED),
        (2.09, 2.0857, claims.rules.REPRODUCED),
        (2.09, 2.0841, claims.rules.CONTRADICTED),
        (77, 76.99, claims.rules.REPRODUCED),
    ],
)
def test_printed(paper, ours, expected):
    assert claims.rules.printed(paper, ours) == expected


@pytest.mark.parametrize(
    ("correct", "n", "expected"),
    [
        (7191, 10_000, claims.rules.REPRODUCED),
        (7100, 10_000, claims.rules.REPRODUCED),
        (7000, 10_000, claims.rules.CONTRADICTED),
        (7400, 10_000, claims.rules.CONTRADICTED),
        (70, 100, claims.rules.REPRODUCED),
    ],
)
def test_accuracy(correct, n, expected):
    assert claims.rules.same_accuracy(71.91, correct, n) == expected


def test_accuracy_asks_the_trainings_where_there_are_some():
    # One more of these would come out at 0.70 ± 0.0068.
    trainings = np.array([0.697, 0.699, 0.700, 0.701, 0.703])
    for percent, expected in (
        (70.5, claims.rules.REPRODUCED),
        (69.4, claims.rules.REPRODUCED),
        (70.9, claims.rules.CONTRADICTED),
        (69.1, claims.rules.CONTRADICTED),
    ):
        # Whatever this run's own count is.
        for correct in (5_000, 7_000):
            found = claims.rules.same_accuracy(
                percent, correct, 10_000, trainings
            )
            assert found == expected


@pytest.mark.parametrize(
    ("gain", "p", "expected"),
    [
        (7, 0.55, claims.rules.NOT_SHOWN),
        (60, 0.001, claims.rules.REPRODUCED),
        (-60, 0.001, claims.rules.CONTRADICTED),
        (60, 0.055, claims.rules.NOT_SHOWN),
    ],
)
def test_order(gain, p, expected):
    assert claims.rules.order(gain, p) == expected


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        (time_ratios.FASTER, claims.rules.REPRODUCED),
        (time_ratios.SLOWER, claims.rules.CONTRADICTED),
        (time_ratios.NOT_SHOWN, claims.rules.NOT_SHOWN),
        (time_ratios.TOO_FEW, claims.rules.NOT_SHOWN),
        (results.NOT_JUDGED, claims.rules.NOT_SHOWN),
    ],
)
def test_faster(word, expected):
    assert claims.rules.faster(word) == expected


def test_what_has_no_bounds_shows_nothing():
    """Times of a busy machine, or of too few rounds."""
    bare = Interval(3.0, math.nan, math.nan)
    assert claims.rules.same_ratio(3.4, bare) == claims.rules.NOT_SHOWN
    assert claims.rules.sole_cause(bare) == claims.rules.NOT_SHOWN
    assert claims.rules.main_cause(bare) == claims.rules.NOT_SHOWN


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (2.8, 3.1, claims.rules.REPRODUCED),
        (2.94, 3.1, claims.rules.REPRODUCED),
        (2.96, 3.1, claims.rules.CONTRADICTED),
        (5.1, 5.7, claims.rules.CONTRADICTED),
    ],
)
def test_ratio_allows_for_the_printed_digit(low, high, expected):
    assert claims.rules.same_ratio(2.9, Interval(3.0, low, high)) == expected


@pytest.mark.parametrize(
    ("rivals", "expected"),
    [
        ([("reproduced", "not shown")] * 2, claims.rules.REPRODUCED),
        ([("reproduced", "contradicted")] * 2, claims.rules.REPRODUCED),
        (
            [("reproduced", "not shown"), ("not shown",) * 2],
            claims.rules.NOT_SHOWN,
        ),
        (
            [("reproduced", "not shown"), ("reproduced", "reproduced")],
            claims.rules.CONTRADICTED,
        ),
        (
            [("contradicted", "not shown"), ("reproduced",) * 2],
            claims.rules.CONTRADICTED,
        ),
    ],
)
def test_best(rivals, expected):
    assert claims.rules.best(rivals) == expected
    assert claims.rules.best(rivals[::-1]) == expected


def test_only_exactly_zero_is_a_no_op():
    assert claims.rules.acts(0.0) == claims.rules.NO_OP
    assert claims.rules.acts(1e-12) == claims.rules.REPRODUCED


@pytest.mark.parametrize(
    ("worst", "control", "expected"),
    [
        ("conv2", 6.2, claims.rules.ARTIFACT),
        ("fc2", 6.2, claims.rules.ARTIFACT),
        ("conv2", 1e-9, claims.rules.REPRODUCED),
        ("fc2", 1e-9, claims.rules.CONTRADICTED),
    ],
)
def test_most_sensitive(worst, control, expected):
    errors = {"conv1": 0.1, "conv2": 0.2, "fc1": 0.2, "fc2": 0.1} | {worst: 1}
    readings = dict.fromkeys(errors, 0.0) | {"conv2": control}
    assert claims.rules.most_sensitive("conv2", errors, readings) == expected


@pytest.mark.parametrize(
    ("low", "high", "sole", "main"),
    [
        (0.3, 0.4, claims.rules.ARTIFACT, claims.rules.CONTRADICTED),
        (0.4, 0.6, claims.rules.ARTIFACT, claims.rules.NOT_SHOWN),
        (0.6, 0.7, claims.rules.ARTIFACT, claims.rules.REPRODUCED),
        (-0.1, 0.1, claims.rules.NOT_SHOWN, claims.rules.CONTRADICTED),
        (-0.2, -0.1, claims.rules.REPRODUCED, claims.rules.CONTRADICTED),
    ],
)
def test_causes(low, high, sole, main):
    share = Interval((low + high) / 2, low, high)
    assert claims.rules.sole_cause(share) == sole
    assert claims.rules.main_cause(share) == main


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (-0.004, 0.001, claims.rules.REPRODUCED),
        (-0.004, -0.001, claims.rules.REPRODUCED),
        (-0.006, 0.004, claims.rules.NOT_SHOWN),
        (-0.006, -0.004, claims.rules.NOT_SHOWN),
        (-0.020, -0.006, claims.rules.CONTRADICTED),
    ],
)
def test_as_good_needs_a_margin(low, high, expected):
    change = Interval((low + high) / 2, low, high)
    assert claims.rules.as_good(change) == expected


def test_bias_beyond_the_printed_digits():
    assert claims.rules.unbiased(-0.005, 0.012) == claims.rules.REPRODUCED
    assert claims.rules.unbiased(-0.22, 0.012) == claims.rules.ARTIFACT


def test_portable():
    assert claims.rules.portable(None) == claims.rules.NOT_TRIED
    nothing = Flips(lost=0, gained=0, n=10_000, p=1.0)
    assert claims.rules.portable(nothing) == claims.rules.REPRODUCED
    assert claims.rules.portable(flips(10, 12)) == claims.rules.NOT_SHOWN
    for lost, gained in ((900, 100), (100, 900)):
        found = flips(lost, gained)
        assert claims.rules.portable(found) == claims.rules.CONTRADICTED


@pytest.fixture
def trainings():
    """Two draws of each of three trainings, out of order."""
    rows = [
        (seed, draw, name, base + shift + 10 * draw, 1000)
        for seed, base in ((3, 700), (1, 720), (2, 710))
        for name, shift in (("naive", 0), ("folded", 5))
        for draw in (2, 1)
    ]
    columns = ["train_seed", "seed", "strategy", "correct", "n"]
    return pd.DataFrame(rows, columns=columns)


def test_a_training_is_asked_with_one_draw(trainings):
    found = claims.rules.per_training(trainings, "naive")
    assert found == pytest.approx([0.73, 0.72, 0.71])


def comparison(scale=1.0):
    """A frame like ``Comparison.frame``, with the paper's own numbers."""
    rows = {}
    for name, row in claims.paper.published().items():
        ratio = row["speedup"] * scale
        rows[name] = {
            "accuracy": row["accuracy"] / 100,
            "correct": round(100 * row["accuracy"]),
            "n": 10_000,
            "milliseconds": row["milliseconds"],
            "speedup": ratio,
            "speedup_low": ratio - 0.01,
            "speedup_high": ratio + 0.01,
            "time_verdict": "faster",
            "file_bytes": round(row["mebibytes"] * tables.cells.MIB * scale),
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def test_the_paper_reproduces_itself():
    found = claims.rules.published_table(comparison())
    assert len(found) == 20
    words = {f.outcome for f in found}
    assert words == {
        claims.rules.REPRODUCED,
        claims.rules.NOT_COMPARABLE,
        claims.rules.BY_DEFINITION,
    }
    assert sum("ms" in f.claim for f in found) == 5


def test_twice_the_paper_does_not():
    found = claims.rules.published_table(comparison(scale=2))
    wrong = [f.claim for f in found if f.outcome == claims.rules.CONTRADICTED]
    assert len(wrong) == 5
    assert all("MiB" in claim for claim in wrong)


@pytest.mark.parametrize("scale", [0.5, 1, 2])
def test_no_time_of_another_machine_is_judged(scale):
    found = claims.rules.published_table(comparison(scale))
    times = [f for f in found if "ms" in f.claim or "speed-up" in f.claim]
    words = [f.outcome for f in times]
    assert len(words) == 10
    assert words.count(claims.rules.NOT_COMPARABLE) == 9
    assert words.count(claims.rules.BY_DEFINITION) == 1


def test_no_word_says_more_than_not_shown():
    """p = 0.055, and all trainings agree: not chance, and not shown."""
    word = claims.rules.order(60, 0.055)
    assert word == "not shown" and word in claims.rules.VERDICTS
    told = " ".join([*claims.rules.VERDICTS, *claims.rules.VERDICTS.values()])
    assert "noise" not in told and "chance" not in told


def test_headline_takes_trainings():
    names = list(claims.paper.published())
    table = pd.DataFrame(
        {
            "train_seed": np.repeat([1, 2, 3], len(names)),
            "seed": 42,
            "strategy": names * 3,
            "correct": np.repeat([500, 501, 502], len(names)),
            "n": 1000,
        }
    )
    found = claims.rules.published_table(comparison(), table)
    verdicts = {f.outcome for f in found if "top-1" in f.claim}
    assert verdicts == {claims.rules.CONTRADICTED}


def test_every_claim_has_a_place_and_a_source():
    for part in ("counts", "claims"):
        for name in claims.paper.published(part):
            found = claims.rules.finding(
                part, name, "ours", claims.rules.REPRODUCED
            )
            assert found.claim and found.paper
            assert found.where.startswith("sec-")
    with pytest.raises(KeyError):
        claims.rules.finding(
            "claims", "winner", "ours", claims.rules.REPRODUCED
        )


def test_table_links():
    entry = claims.rules.finding(
        "counts", "parameters", "7", claims.rules.CONTRADICTED
    )
    row = claims.rules.table([entry]).iloc[0]
    assert row["paper"] == "545,194" and row["ours"] == "7"
    assert row["shown in"] == "{ref}`sec-cost`"


def test_pairs_saturate_by_hand():
    x = torch.tensor([[255, 255, 1, 0], [255, 0, 255, 0], [255, 255, 2, 2]])
    w = torch.tensor([127, 127, 5, 9])
    found = saturating_sums.sum_in_pairs(x, w)
    assert found.tolist() == [32_772, 255 * 132, 32_795]
    assert saturating_sums.sum_in_pairs(x[0], -w) == -32_768 - 5


def test_seven_bits_never_saturate():
    for codes in itertools.product((0, 127), (0, 127)):
        for weights in itertools.product((-128, 127), (-128, 127)):
            x, w = torch.tensor(codes), torch.tensor(weights)
            assert saturating_sums.sum_in_pairs(x, w) == int((x * w).sum())


@pytest.mark.parametrize("name", eager_settings.available())
def test_engine_sums_what_fits(name):
    eager_settings.select(name)
    for x, w in zip(*saturation.codes(50), strict=True):
        # Halved, no pair exceeds 16 bits.
        exact = int(((x // 2).long() * w.long()).sum())
        found = eager_layers.linear_sum(x // 2, w)
        assert abs(found - exact) <= eager_layers.SUM_STEP / 2


def test_random_codes_tell_the_two_sums_apart():
    x, w = saturation.codes()
    exact = (x.long() * w.long()).sum(1)
    apart = (exact - saturating_sums.sum_in_pairs(x, w)).abs()
    assert (apart > eager_layers.SUM_STEP).sum() >= 10


@pytest.fixture(scope="module")
def saturation_runs(network, images, pixels):
    return saturation.runs(network, images, pixels)


def has(flag):
    return flag in host.machine()["features"]


def test_runs_are_those_of_the_machine(saturation_runs):
    assert saturation_runs.keys() == saturation.limits().keys()
    assert ("AVX2 only" in saturation_runs) == (
        host.machine()["architecture"] == "x86_64"
        and saturation.ENGINE in eager_settings.available()
    )
    unlimited = saturation_runs["all"]
    eager_settings.select(saturation.engine())
    assert unlimited.saturates == saturation.saturates()
    assert not (unlimited.saturates and has("avx512_vnni"))


def test_sums_are_exact_or_added_in_pairs(saturation_runs):
    x, w = saturation.codes()
    exact = (x.long() * w.long()).sum(1)
    for found in saturation_runs.values():
        told = (
            saturating_sums.sum_in_pairs(x, w) if found.saturates else exact
        )
        assert (found.sums - told).abs().max() <= eager_layers.SUM_STEP / 2


def test_process_predicts_as_the_same_engine_here(
    saturation_runs, network, images, pixels
):
    eager_settings.select(saturation.engine())
    for bits in saturation.BITS:
        with timer.pinned_threads(1):
            here = strategies.quantized(
                network, images, qconfig=eager_settings.QConfig(bits=bits)
            )
            found = inference.logits(here, pixels, (0.5, 0.5)).argmax(1)
        assert torch.equal(
            saturation_runs["all"].predictions[bits], found.to(torch.uint8)
        )


def test_engine_limited_to_avx2_saturates(saturation_runs):
    if len(saturation_runs) == 1 or not has("avx2"):
        pytest.skip("needs torch's onednn engine on an x86 processor")
    limited, unlimited = (
        saturation_runs[title] for title in ("AVX2 only", "all")
    )
    assert limited.saturates
    apart = limited.predictions[7] != unlimited.predictions[7]
    # Sums are equal, but kernels may scale them with other last digits.
    assert apart.float().mean() <= 0.02
    pair = saturation.exact_and_clipped([unlimited, limited])
    assert pair == (None if unlimited.saturates else (unlimited, limited))


def run(saturates):
    return saturation.Predictions(saturates, torch.zeros(0), {})


def test_two_runs_that_saturate_are_not_compared():
    exact, clipped = run(False), run(True)
    for found in ([exact, clipped], [clipped, exact]):
        assert saturation.exact_and_clipped(found) == (exact, clipped)
    for found in ([exact], [clipped], [exact] * 2, [clipped] * 2):
        assert saturation.exact_and_clipped(found) is None


def test_limit_means_nothing_on_other_machines(monkeypatch):
    monkeypatch.setattr(saturation.platform, "machine", lambda: "aarch64")
    assert saturation.limits() == {"all": ""}
    monkeypatch.setattr(saturation.platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(eager_settings, "available", lambda: ["qnnpack"])
    assert saturation.engine() == "qnnpack"
    assert saturation.limits() == {"all": ""}


def test_failing_process_is_reported(monkeypatch, network, images, pixels):
    monkeypatch.setattr(saturation.sys, "executable", shutil.which("false"))
    with pytest.raises(
        RuntimeError, match="ptq.experiment.saturation failed"
    ):
        saturation.runs(network, images, pixels)
