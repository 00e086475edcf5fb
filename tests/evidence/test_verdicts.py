"""Intervals cover what they promise; verdicts follow from counts."""

import itertools
import math

import nbformat
import numpy as np
import pytest
from scipy import optimize, stats

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


def _excluded_by_chance(n, gained, margin=0.005):
    """How often a true loss of just the margin is excluded, computed.

    ``gained`` is the true share of gained images.
    """
    lost, found = gained + margin, 0
    for a in range(int(n * lost + 8 * np.sqrt(n * lost)) + 10):
        by_b = stats.binom(n - a, gained / (1 - lost))
        of_a = stats.binom.pmf(a, n, lost)
        for b in range(int(n * gained + 8 * np.sqrt(n * gained)) + 1):
            if paired_tests.excludes(Flips(a, b, n, 1.0), margin):
                found += of_a * by_b.pmf(b)
    return found


@pytest.mark.parametrize(
    ("n", "gained"),
    [(560, 0), (880, 0), (2400, 0), (10_000, 0), (880, 0.001), (1780, 0.001)],
)
def test_a_loss_of_the_margin_is_seldom_excluded(n, gained):
    """The interval alone excludes it in 3.4 to 6.6 % of these cases."""
    assert 0 <= _excluded_by_chance(n, gained) < 0.0255


@pytest.mark.parametrize("lost", [0, 1, 7, 30])
def test_of_losses_alone_wilson_excludes_as_much(lost):
    """So a judgement with labels needs no fewer images than one without."""
    for margin in (0.002, 0.005, 0.02):
        for n in range(300, 12_000, 97):
            found = paired_tests.excludes(Flips(lost, 0, n, 1.0), margin)
            high = intervals.wilson(lost, n).high
            if abs(high - margin) > 1e-9:
                assert found == (high < margin)


def _rejected_by_trying(lost, gained, n, margin):
    """The score test with the best share of gained images found by search."""

    def unlikely(share):
        rest = (n - lost - gained) * math.log(1 - margin - 2 * share)
        gain = gained * math.log(share) if gained else 0
        return -lost * math.log(share + margin) - gain - rest

    share = optimize.minimize_scalar(
        unlikely,
        bounds=(1e-12, 0.1),
        method="bounded",
        options={"xatol": 1e-10},
    ).x
    z = (gained - lost + n * margin) / math.sqrt(
        n * (2 * share + margin - margin**2)
    )
    return z > stats.norm.ppf(0.975)


def test_score_of_a_loss_has_the_likeliest_share():
    """Around the edge, where one image decides."""
    seen = set()
    for gained, more in itertools.product((0, 1, 2, 5, 9, 40), range(28, 40)):
        lost = gained + more
        found = Flips(lost, gained, 10_000, 1.0)
        by_interval = paired_tests.difference(found).low > -0.005
        by_score = _rejected_by_trying(lost, gained, 10_000, 0.005)
        seen.add((by_interval, by_score))
        assert paired_tests.excludes(found) == (by_interval and by_score)
    assert seen == {(True, True), (True, False), (False, False)}


def test_verdict_of_a_pair_asks_more_than_its_interval():
    found = Flips(0, 0, 600, 1.0)
    assert paired_tests.difference(found).low > -0.005
    assert paired_tests.verdict(found, 1.0) == "no difference shown"
    found = Flips(0, 0, 800, 1.0)
    assert paired_tests.verdict(found, 1.0) == "non-inferior"


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
