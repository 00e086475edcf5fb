"""The timer: what it runs and when, and whether its intervals hold."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

from ptq.evidence import intervals
from ptq.experiment import interval_coverage, strategies
from ptq.measure import interference, timer

HERE = timer.Conditions(("a", "b", "c"), 2, 1)


class Logged(nn.Module):
    """Tells who ran, also of a copy."""

    ran = []

    def __init__(self, name):
        super().__init__()
        self.name = name

    def forward(self, x):
        Logged.ran.append((self.name, id(self), len(x)))
        return x


@pytest.fixture
def trio(monkeypatch):
    monkeypatch.setattr(timer, "PAUSE", 0)
    # One call a loop, so that calls can be counted.
    monkeypatch.setattr(timer, "LOOP_SECONDS", 0)
    monkeypatch.setattr(Logged, "ran", [])
    return {name: Logged(name) for name in "abc"}


IMAGES = torch.zeros(4, 3, 2, 2)


class Clock:
    """What the timer reads; only work moves it on."""

    now = 0.0

    def perf_counter(self):
        return self.now

    def __deepcopy__(self, memo):
        return self


class Work(nn.Module):
    """Takes as many seconds as it is told, on the clock of the test."""

    def __init__(self, clock, seconds):
        super().__init__()
        self.clock, self.seconds = clock, seconds

    def forward(self, x):
        self.clock.now += self.seconds
        return x


@pytest.fixture
def clock(monkeypatch):
    found = Clock()
    for module in (timer, interference):
        monkeypatch.setattr(module, "time", found)
    return found


@pytest.mark.parametrize("mode", [timer.HOT, timer.COLD])
def test_known_times_are_found(clock, mode):
    pair = {"eight": Work(clock, 8), "two": Work(clock, 2)}
    plan = [timer.Conditions(tuple(pair), 4, 1, mode)]
    seconds = timer.compare(pair, IMAGES, plan, 5, seed=0)[0].seconds
    found = {name: taken.tolist() for name, taken in seconds.items()}
    assert found == {"eight": [[8] * 5], "two": [[2] * 5], "A/A": [[8] * 5]}


def test_known_times_of_parts_are_found(clock):
    both = nn.Sequential(Work(clock, 4), Work(clock, 1))
    network = nn.Sequential(Work(clock, 2), both)
    found, _ = timer.parts(
        {"one": network}, IMAGES, 3, 1, seed=0, inner=("1.1",)
    )
    parts = {name: taken.tolist() for name, taken in found["one"].items()}
    assert parts == {"0": [[2] * 3], "1": [[5] * 3], "1.1": [[1] * 3]}


@pytest.mark.parametrize(
    ("rounds", "expected"),
    [(1, [1]), (2, [2]), (5, [5]), (10, [4, 3, 3]), (40, [5] * 8)],
)
def test_rounds_spread_over_sessions(rounds, expected):
    assert timer.sessions_of(rounds) == expected


def test_every_network_runs_in_every_round_of_every_session(trio):
    found = timer.compare(trio, IMAGES, [HERE], 12, seed=0)[0]
    assert found.seconds.keys() == {"a", "b", "c", "A/A"}
    for seconds in found.seconds.values():
        assert seconds.shape == (4, 3)
        assert (seconds > 0).all()
    assert {size for _, _, size in Logged.ran} == {2}
    # A copy for each session, and one more of the first network.
    copies = {(name, where) for name, where, _ in Logged.ran}
    assert all(where != id(trio[name]) for name, where in copies)


def order_of(conditions, trio, seed):
    Logged.ran.clear()
    timer.compare(trio, IMAGES, [conditions], 3, seed)
    # Behind two calls of each, which tell how long a loop must be.
    return [(name, where) for name, where, _ in Logged.ran[8:]]


def test_hot_stands_behind_its_own_call_and_cold_behind_others(trio):
    hot = order_of(HERE, trio, seed=0)
    assert hot[::2] == hot[1::2] and len(hot) == 3 * 2 * 4
    cold = timer.Conditions(HERE.names, 2, 1, timer.COLD)
    ran = order_of(cold, trio, seed=0)
    assert len(ran) == 3 * 4
    for start in (0, 4, 8):
        assert len(set(ran[start : start + 4])) == 4


def test_order_is_drawn_by_the_seed(trio):
    names = [
        [name for name, _ in order_of(HERE, trio, seed)] for seed in (0, 0, 1)
    ]
    assert names[0] == names[1] != names[2]
    rounds = np.array(names[0][::2]).reshape(3, 4)
    assert len({"".join(r) for r in rounds}) > 1


def test_threads_are_put_back(trio):
    before = torch.get_num_threads()
    timer.compare(trio, IMAGES, [HERE], 1, seed=0)
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("rounds", [0, -1])
def test_no_rounds_are_refused(trio, rounds):
    with pytest.raises(ValueError, match="rounds.*expected"):
        timer.compare(trio, IMAGES, [HERE], rounds, seed=0)


def test_too_few_images_are_refused(trio):
    with pytest.raises(ValueError, match="1 images.*at least 2"):
        timer.compare(trio, IMAGES[:1], [HERE], 1, seed=0)


def test_parts_are_named_and_counted(network, images, monkeypatch):
    monkeypatch.setattr(timer, "PAUSE", 0)
    mixed = strategies.mixed_precision_published(network, images)
    pair = {"float": network, "mixed": mixed}
    inner = ("conv2.0", "relu2.1")
    found, _ = timer.parts(pair, images, 12, 1, seed=0, inner=inner)
    parts = {name for name, _ in network.named_children()}
    assert found["float"].keys() == parts
    assert found["mixed"].keys() == parts | set(inner)
    for taken in found.values():
        for seconds in taken.values():
            assert seconds.shape == (4, 3) and (seconds >= 0).all()
    # A part takes no longer than what it is a part of.
    inside = found["mixed"]
    assert (inside["conv2.0"] <= inside["conv2"]).all()
    assert not any(m._forward_hooks for m in network.modules())


def test_unknown_parts_are_refused(network, images):
    with pytest.raises(ValueError, match="conv3.*no network has"):
        timer.parts({"float": network}, images, 1, 1, 0, inner=("conv3",))


def test_a_program_beside_is_seen(network, images, monkeypatch):
    """Two busy processes on every core are a sign, whatever they slow."""
    monkeypatch.setattr(timer, "PAUSE", 0)
    monkeypatch.setattr(timer, "LOOP_SECONDS", 0)
    code = "print(flush=True)\nwhile True: pass"
    beside = [
        subprocess.Popen(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True
        )
        for _ in range(2 * (os.cpu_count() or 1))
    ]
    try:
        for process in beside:
            process.stdout.readline()
        plan = [timer.Conditions(("fp32",), 16, 1)]
        nets = {"fp32": network}
        few = images[:1].repeat(16, 1, 1, 1)
        found = timer.compare(nets, few, plan, 4, seed=0)[0]
    finally:
        for process in beside:
            process.kill()
            process.wait()
    assert any("other programs" in sign for sign in found.busy)


def samples(seconds):
    return timer.Samples({"a": np.full((3, 4), seconds)}, [])


@pytest.mark.parametrize(
    ("one", "two", "expected"), [(1.0, 1.4, False), (1.0, 110.0, True)]
)
def test_threads_that_starve_each_other_are_seen(one, two, expected):
    plan = [timer.Conditions(("a",), 1, n) for n in (1, 2)]
    found = [samples(one), samples(two)]
    assert timer.starved(plan[0], plan, found) == []
    assert bool(timer.starved(plan[1], plan, found)) is expected


def test_threads_are_compared_on_the_same_network():
    """A plan may have several networks; a small one is no slow thread."""
    plan = [
        timer.Conditions((name,), 1, threads)
        for name, threads in (("a", 1), ("small", 1), ("a", 2))
    ]
    found = [
        timer.Samples({one.names[0]: np.full((3, 4), seconds)}, [])
        for one, seconds in zip(plan, (1.0, 0.01, 1.2), strict=True)
    ]
    assert timer.starved(plan[2], plan, found) == []


@pytest.mark.parametrize("clock", interval_coverage.CLOCKS)
def test_the_next_session_lies_in_the_interval(clock):
    """In about 95 % of the cases; equal networks are told apart in few."""
    found = interval_coverage.simulated(
        interval_coverage.CLOCKS[clock], 1000, seed=3
    )
    inside = intervals.wilson(found["inside"], found["trials"])
    assert inside.value > 0.92 and inside.high > 0.93
    assert found["judged"] <= 0.05 * found["trials"]


@pytest.mark.parametrize("clock", interval_coverage.CLOCKS)
def test_one_session_alone_would_not_cover(clock):
    """What the interval was before: rounds of one session, drawn again."""
    rng = np.random.default_rng(4)
    inside = 0
    for _ in range(300):
        first, second = interval_coverage.CLOCKS[clock](rng, 2, 40)
        drawn = rng.integers(0, 40, (200, 40))
        ratios = np.median((first[0] / second[0])[drawn], 1)
        low, high = np.percentile(ratios, [2.5, 97.5])
        came = np.median(first[1] / second[1])
        inside += low <= came <= high
    assert inside < 0.8 * 300


def test_real_results_have_the_shape_that_is_counted(monkeypatch):
    monkeypatch.setattr(timer, "PAUSE", 0)
    monkeypatch.setattr(interval_coverage, "ROUNDS", 12)
    found = interval_coverage.one_result(seed=0)
    assert {"once", "equal", "twice", "A/A", "busy"} == found.keys()
    assert np.shape(found["twice"]) == (4, 3)
