"""Intervals cover what they promise; verdicts follow from counts."""

import itertools
import math
from types import SimpleNamespace

import nbformat
import numpy as np
import pytest
import torch
from scipy import stats

from ptq import evidence, grid, measure, strategies
from ptq.evidence import Flips, Interval

SIMULATIONS = 4000


@pytest.mark.parametrize("share", [0.5, 0.72, 0.95])
def test_accuracy_interval_covers(share):
    counts = np.random.default_rng(1).binomial(1000, share, SIMULATIONS)
    found = {c: evidence.accuracy(int(c), 1000) for c in set(counts)}
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
        found = evidence.difference(Flips(int(a), int(b), n, 1.0))
        covered.append(found.low <= gained - lost <= found.high)
    assert 0.93 < np.mean(covered) < 0.97


def test_speedup_interval_covers():
    generator = np.random.default_rng(3)
    covered = []
    for seed in range(2000):
        slow = 2 * generator.lognormal(0, 0.2, 40)
        fast = generator.lognormal(0, 0.2, 40)
        found = evidence.speedup(slow, fast, seed)
        covered.append(found.low <= 2 <= found.high)
    assert 0.93 < np.mean(covered) < 0.97


@pytest.mark.parametrize("changed", [10, 25, 195, 1000])
def test_smallest_detectable_is_the_edge_of_mcnemars_test(changed):
    net = round(evidence.smallest_detectable(changed, 10_000) * 10_000)
    edge, below = ((changed - k) // 2 for k in (net, net - 2))
    assert stats.binomtest(edge, changed).pvalue < 0.05
    assert stats.binomtest(below, changed).pvalue >= 0.05


@pytest.mark.parametrize("changed", [0, 1, 5])
def test_few_changes_can_show_nothing(changed):
    assert evidence.smallest_detectable(changed, 10_000) == math.inf


def test_no_accuracy_changes_more_than_answers_do():
    generator = np.random.default_rng(4)
    for _ in range(200):
        labels, first, second = generator.integers(0, 3, (3, 50))
        found = evidence.flips(first, second, labels)
        change = abs(found.gained - found.lost) / 50
        assert change <= evidence.disagreement(first, second)


def test_disagreement_by_hand():
    first, second = np.array([1, 2, 3, 4]), np.array([1, 2, 0, 0])
    assert evidence.disagreement(first, second) == 0.5
    with pytest.raises(ValueError, match="4 and 2"):
        evidence.disagreement(first, second[:2])


def test_holm_by_hand():
    # 0.01·4, 0.02·3, 0.03·2 raised to the one before, 0.5·1.
    found = evidence.holm([0.03, 0.01, 0.5, 0.02])
    assert found == pytest.approx([0.06, 0.04, 0.5, 0.06])


def test_holm_keeps_the_error_of_a_whole_table():
    generator = np.random.default_rng(5)
    tables = generator.uniform(size=(SIMULATIONS, 8))
    wrong = np.mean(
        [min(evidence.holm(row.tolist())) < 0.05 for row in tables]
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
    assert evidence.verdict(found, p) == expected


def test_verdict_needs_the_adjusted_p():
    found = Flips(60, 90, 10_000, 0.018)
    verdicts = [evidence.verdict(found, p) for p in (0.018, 8 * 0.018)]
    assert verdicts == ["better", "non-inferior"]


def test_non_inferiority_depends_on_the_margin():
    found = Flips(105, 95, 10_000, 0.5)
    verdicts = [evidence.verdict(found, 1.0, m) for m in (0.002, 0.005)]
    assert verdicts == ["no difference shown", "non-inferior"]


def test_verdicts_are_of_four_words():
    words = {
        evidence.verdict(Flips(a, b, 1000, 1.0), p)
        for a, b, p in itertools.product((5, 50), (5, 50), (0.01, 0.5))
    }
    assert words == {"better", "worse", "non-inferior", "no difference shown"}


class Work(torch.nn.Module):
    """Takes as many seconds as it is told, on the clock of the test."""

    def __init__(self, clock, seconds):
        super().__init__()
        self.clock, self.seconds = clock, seconds

    def forward(self, x):
        self.clock.now += self.seconds
        return x


@pytest.fixture
def clock(monkeypatch):
    """What the stopwatch reads; only work moves it on."""
    found = SimpleNamespace(now=0.0)
    found.perf_counter = lambda: found.now
    monkeypatch.setattr(measure, "time", found)
    return found


def test_stopwatch_finds_a_known_ratio(clock):
    images = torch.zeros(4, 3, 8, 8)
    pair = {"eight": Work(clock, 8), "two": Work(clock, 2)}
    seconds = measure.latency(pair, images, 30, threads=1, seed=0)
    assert seconds == {"eight": [8] * 30, "two": [2] * 30, "A/A": [8] * 30}


def test_stopwatch_of_parts_finds_known_times(clock):
    images = torch.zeros(4, 3, 8, 8)
    both = torch.nn.Sequential(Work(clock, 4), Work(clock, 1))
    network = torch.nn.Sequential(Work(clock, 2), both)
    found = measure.module_seconds(
        {"one": network}, images, 3, threads=1, seed=0, inner=("1.1",)
    )
    found = {name: list(taken) for name, taken in found["one"].items()}
    assert found == {"0": [2] * 3, "1": [5] * 3, "1.1": [1] * 3}


def test_stopwatch_of_parts_names_them(network, images):
    mixed = strategies.mixed_precision_published(network, images)
    pair = {"float": network, "mixed": mixed}
    found = measure.module_seconds(
        pair, images, 20, threads=1, seed=0, inner=("conv2.0", "relu2.1")
    )
    parts = {name for name, _ in network.named_children()}
    assert found["float"].keys() == parts
    assert found["mixed"].keys() == parts | {"conv2.0", "relu2.1"}
    for taken in found.values():
        assert all(seconds.shape == (20,) for seconds in taken.values())
        assert all((seconds > 0).all() for seconds in taken.values())
    for inner, whole in (("conv2.0", "conv2"), ("relu2.1", "relu2")):
        assert (found["mixed"][inner] < found["mixed"][whole]).all()
    assert not any(m._forward_hooks for m in network.modules())


def test_stopwatch_of_parts_takes_turns(images):
    ran, order = [], {}

    class Logged(torch.nn.Sequential):
        def forward(self, x):
            ran.append(self.name)
            return super().forward(x)

    trio = {name: Logged(torch.nn.Flatten()) for name in "abc"}
    for name, net in trio.items():
        net.name = name
    for seed in (0, 0, 1):
        ran.clear()
        measure.module_seconds(trio, images[:2], 8, threads=1, seed=seed)
        # An untimed and a timed call each; every network once a round.
        assert ran[::2] == ran[1::2]
        rounds = np.array(ran[::2]).reshape(8, 3)
        assert (np.sort(rounds) == ["a", "b", "c"]).all()
        assert len({"".join(r) for r in rounds}) > 1
        order.setdefault(seed, []).append(rounds.tolist())
    assert order[0][0] == order[0][1] != order[1][0]


def test_stopwatch_of_parts_refuses_unknown_ones(network, images):
    with pytest.raises(ValueError, match="conv3.*no network has"):
        measure.module_seconds(
            {"float": network}, images, 1, 1, seed=0, inner=("conv3",)
        )


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("found = lab.time('x', networks, 64)", True),
        ("measure.latency(pair, images, 3, 1, 0)", True),
        ("measure.module_seconds(pair, images, 3, 1, 0)", True),
        ("latency(pair, images, 3, 1, 0)", True),
        ("started = time.time()", False),
        ("report.timing_rows(timings, seed)", False),
    ],
)
def test_use_of_the_stopwatch_is_recognized(code, expected):
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(code)]
    )
    assert grid.times(nbformat.writes(notebook)) is expected


@pytest.mark.parametrize(
    ("interval", "floor", "expected"),
    [
        ((1.4, 1.3, 1.5), (1.0, 0.9, 1.1), "faster"),
        ((0.7, 0.6, 0.8), (1.0, 0.9, 1.1), "slower"),
        ((1.2, 1.05, 1.3), (1.0, 0.9, 1.1), "no difference shown"),
        ((1.1, 0.95, 1.3), (1.0, 1.0, 1.0), "no difference shown"),
    ],
)
def test_time_verdict_needs_to_leave_the_noise(interval, floor, expected):
    found = evidence.time_verdict(Interval(*interval), Interval(*floor))
    assert found == expected


def test_decomposition_of_constructed_times():
    noise = np.random.default_rng(6).lognormal(0, 0.01, 50)
    steps = [list(k * noise) for k in (8, 4, 1)]
    first, second = evidence.decomposition(steps, seed=0)
    assert first.value == pytest.approx(1 / 3)
    assert second.value == pytest.approx(2 / 3)
    assert first.low <= 1 / 3 <= first.high


def test_decomposition_interval_covers():
    generator = np.random.default_rng(7)
    covered = []
    for seed in range(1000):
        noise = generator.lognormal(0, 0.2, (3, 40))
        steps = [
            list(k * row) for k, row in zip((8, 4, 1), noise, strict=True)
        ]
        found = evidence.decomposition(steps, seed)[0]
        covered.append(found.low <= 1 / 3 <= found.high)
    assert 0.93 < np.mean(covered) < 0.97
