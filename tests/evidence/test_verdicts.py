"""Intervals cover what they promise; verdicts follow from counts."""

import itertools
import math

import nbformat
import numpy as np
import pytest
from scipy import stats

from ptq.evidence import intervals, paired_tests, time_ratios
from ptq.evidence.intervals import Interval
from ptq.evidence.paired_tests import Flips
from ptq.running import sweep_plan

SIMULATIONS = 4000


@pytest.mark.parametrize("share", [0.5, 0.72, 0.95])
def test_accuracy_interval_covers(share):
    counts = np.random.default_rng(1).binomial(1000, share, SIMULATIONS)
    found = {c: intervals.wilson(int(c), 1000) for c in set(counts)}
    covered = [found[c].low <= share <= found[c].high for c in counts]
    assert 0.93 < np.mean(covered) < 0.97


@pytest.mark.parametrize(
    ("lost", "gained"), [(0.02, 0.02), (0.03, 0.01), (0.15, 0.10)]
)
def test_difference_interval_covers(lost, gained):
    n = 1000
    draws = np.random.default_rng(2).multinomial(
        n, [lost, gained, 1 - lost - gained], SIMULATIONS
    )
    covered = []
    for a, b, _ in draws:
        found = paired_tests.difference(Flips(int(a), int(b), n, 1.0))
        covered.append(found.low <= gained - lost <= found.high)
    assert 0.93 < np.mean(covered) < 0.97


@pytest.mark.parametrize("changed", [10, 25, 195, 1000])
def test_smallest_detectable_is_the_edge_of_mcnemars_test(changed):
    net = round(paired_tests.smallest_detectable(changed, 10_000) * 10_000)
    edge, below = ((changed - k) // 2 for k in (net, net - 2))
    assert stats.binomtest(edge, changed).pvalue < 0.05
    assert stats.binomtest(below, changed).pvalue >= 0.05


@pytest.mark.parametrize("changed", [0, 1, 5])
def test_few_changes_can_show_nothing(changed):
    assert paired_tests.smallest_detectable(changed, 10_000) == math.inf


def test_no_accuracy_changes_more_than_predictions_do():
    generator = np.random.default_rng(4)
    for _ in range(200):
        labels, first, second = generator.integers(0, 3, (3, 50))
        found = paired_tests.flips(first, second, labels)
        change = abs(found.gained - found.lost) / 50
        assert change <= paired_tests.disagreement(first, second)


def test_disagreement_by_hand():
    first, second = np.array([1, 2, 3, 4]), np.array([1, 2, 0, 0])
    assert paired_tests.disagreement(first, second) == 0.5
    with pytest.raises(ValueError, match="4 in reference, 2 in other"):
        paired_tests.disagreement(first, second[:2])


def test_holm_by_hand():
    # 0.01·4, 0.02·3, 0.03·2 raised to the one before, 0.5·1.
    found = paired_tests.holm([0.03, 0.01, 0.5, 0.02])
    assert found == pytest.approx([0.06, 0.04, 0.5, 0.06])


def test_holm_keeps_the_error_of_a_whole_table():
    generator = np.random.default_rng(5)
    tables = generator.uniform(size=(SIMULATIONS, 8))
    wrong = np.mean(
        [min(paired_tests.holm(row.tolist())) < 0.05 for row in tables]
    )
    assert 0.035 < wrong < 0.065


@pytest.mark.parametrize(
    ("lost", "gained", "expected"),
    [
        (200, 100, "worse"),
        (100, 200, "better"),
        (50, 50, "non-inferior"),
        (400, 380, "no difference shown"),
    ],
)
def test_verdict(lost, gained, expected):
    p = stats.binomtest(lost, lost + gained).pvalue
    found = Flips(lost, gained, 10_000, p)
    assert paired_tests.verdict(found, p) == expected


def test_verdict_needs_the_adjusted_p():
    found = Flips(60, 90, 10_000, 0.018)
    verdicts = [paired_tests.verdict(found, p) for p in (0.018, 8 * 0.018)]
    assert verdicts == ["better", "non-inferior"]


def test_non_inferiority_depends_on_the_margin():
    found = Flips(105, 95, 10_000, 0.5)
    verdicts = [paired_tests.verdict(found, 1.0, m) for m in (0.002, 0.005)]
    assert verdicts == ["no difference shown", "non-inferior"]


def test_verdicts_are_of_four_words():
    words = {
        paired_tests.verdict(Flips(a, b, 1000, 1.0), p)
        for a, b, p in itertools.product((5, 50), (5, 50), (0.01, 0.5))
    }
    assert words == {"better", "worse", "non-inferior", "no difference shown"}


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("found = lab.times(64)", True),
        ("timer.compare(pair, images, plan, 3, 0)", True),
        ("timer.parts(pair, images, 3, 1, 0)", True),
        ("run_times.of_networks(lab, 'own', pair)", True),
        ("started = time.time()", False),
        ("tables.timing_rows(timings, names)", False),
    ],
)
def test_use_of_the_timer_is_recognized(code, expected):
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(code)]
    )
    assert sweep_plan.times(nbformat.writes(notebook)) is expected


@pytest.mark.parametrize(
    ("interval", "floor", "expected"),
    [
        ((1.4, 1.3, 1.5), (1.0, 0.9, 1.1), "faster"),
        ((0.7, 0.6, 0.8), (1.0, 0.9, 1.1), "slower"),
        ((1.2, 1.05, 1.3), (1.0, 0.9, 1.1), "no difference shown"),
        ((1.1, 0.95, 1.3), (1.0, 1.0, 1.0), "no difference shown"),
        ((5.0, math.nan, math.nan), (1.0, 1.0, 1.0), "too few rounds"),
        ((5.0, 4.9, 5.1), (1.0, math.nan, math.nan), "too few rounds"),
    ],
)
def test_time_verdict_needs_to_leave_the_noise(interval, floor, expected):
    found = time_ratios.time_verdict(Interval(*interval), Interval(*floor))
    assert found == expected


def test_decomposition_of_constructed_times():
    noise = np.random.default_rng(6).lognormal(0, 0.01, (5, 4))
    first, second = time_ratios.decomposition([k * noise for k in (8, 4, 1)])
    assert first.value == pytest.approx(1 / 3)
    assert second.value == pytest.approx(2 / 3)
    assert first.low <= 1 / 3 + 1e-9 and first.high >= 1 / 3 - 1e-9


def test_decomposition_holds_the_share_of_the_next_session():
    generator = np.random.default_rng(7)
    covered = []
    for _ in range(1000):
        noise = generator.lognormal(0, 0.2, (3, 9, 5))
        steps = [k * row for k, row in zip((8, 4, 1), noise, strict=True)]
        found = time_ratios.decomposition([step[:-1] for step in steps])[0]
        came = time_ratios.decomposition([step[-1:] for step in steps])[0]
        covered.append(found.low <= came.value <= found.high)
    assert 0.92 < np.mean(covered) < 0.98


@pytest.mark.parametrize("seed", range(4))
def test_what_counts_all_changed_predictions_is_never_too_narrow(seed):
    rng = np.random.default_rng(seed)
    labels, one, other = rng.integers(0, 4, (3, 500))
    true = paired_tests.difference(paired_tests.flips(one, other, labels))
    net = int((other == labels).sum() - (one == labels).sum())
    wide = paired_tests.widest(net, int((one != other).sum()), 500)
    assert wide.value == pytest.approx(true.value)
    assert wide.low <= true.low and wide.high >= true.high
