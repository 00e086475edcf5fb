"""Ratios of times, with the interval of the next session."""

from dataclasses import astuple

import diptest
import numpy as np

from ptq.evidence import checks, intervals
from ptq.evidence.intervals import Interval

# Below that, times have no interval and no verdict.
MIN_ROUNDS, MIN_SESSIONS = 10, 3
# How far a network's ratio to itself may be from 1 on a quiet machine.
FLOOR = 0.05
# How much longer than usual a session may take on a quiet machine.
SLOW_SESSION = 1.5
FASTER, SLOWER = "faster", "slower"
NOT_SHOWN, TOO_FEW = "no difference shown", "too few rounds"


def enough(seconds: np.ndarray) -> bool:
    """Whether times (sessions, rounds) are enough for an interval."""
    return len(seconds) >= MIN_SESSIONS and np.size(seconds) >= MIN_ROUNDS


def speedup(reference: np.ndarray, other: np.ndarray) -> Interval:
    """How many times faster ``other`` is than ``reference``.

    Both hold seconds, (sessions, rounds), of the same rounds. The ratio of a
    session is the median of those of its rounds: what slows a round down
    slows both. The value is the geometric mean over sessions; the interval
    is where the ratio of the next session lies, with 95 % (Student's
    prediction of one more value, on the logarithm, as in ``prediction``).
    Bounds are NaN below ten rounds or three sessions. InputError where the
    shapes differ or a time is not positive.
    """
    return mean_ratio([(reference, other)])


def mean_ratio(pairs: list[tuple[np.ndarray, np.ndarray]]) -> Interval:
    """Geometric mean, over pairs of networks, of the ratio of their times.

    Each pair holds the seconds (sessions, rounds) of a first and a second
    network; ratios, first to second, and the interval are as in ``speedup``.
    It does not hold for other pairs. Errors as there.
    """
    seconds = _times([times for pair in pairs for times in pair])
    logs = np.log(seconds)
    ratios = np.median(logs[::2] - logs[1::2], axis=-1)  # (pairs, sessions)
    found = _next_session(ratios.mean(axis=0), seconds[0])
    return Interval(*(float(np.exp(v)) for v in astuple(found)))


def decomposition(steps: list[np.ndarray]) -> list[Interval]:
    """Share of each step in the whole speed-up from the first to the last.

    ``steps`` holds the seconds (sessions, rounds) of successive variants, of
    the same rounds. Shares are of the logarithm of the speed-up, so that
    they add up to 1; intervals are those of the next session. Errors as in
    ``speedup``.
    """
    seconds = _times(steps)
    logs = np.median(-np.diff(np.log(seconds), axis=0), axis=-1)
    shares = logs / logs.sum(axis=0)
    return [_next_session(share, seconds[0]) for share in shares]


def share(part: np.ndarray, extra: np.ndarray) -> Interval:
    """Share of a part in the extra time of a slower network.

    Both hold seconds, (sessions, rounds), of the same rounds; ``extra`` is a
    difference, which one noisy round can make negative. So a session's share
    is a ratio of medians. The value is the mean over sessions, the interval
    that of the next session. All are NaN where the median of a session is
    not above zero: its time was not extra. InputError where the shapes
    differ or a number is not finite.
    """
    seconds = _finite([part, extra])
    own, whole = np.median(seconds, axis=-1)
    if not (whole > 0).all():
        return Interval(*3 * [float("nan")])
    return _next_session(own / whole, seconds[0])


def _next_session(values: np.ndarray, seconds: np.ndarray) -> Interval:
    """Mean over sessions, and where the next one's value lies with 95 %."""
    if enough(seconds):
        return intervals.prediction_interval(values)
    return Interval(float(np.mean(values)), float("nan"), float("nan"))


def _times(seconds: list[np.ndarray]) -> np.ndarray:
    found = _finite(seconds)
    if not (found > 0).all():
        raise checks.InputError("times: expected positive, finite seconds")
    return found


def _finite(seconds: list[np.ndarray]) -> np.ndarray:
    shapes = sorted({np.shape(times) for times in seconds})
    if len(shapes) != 1 or len(shapes[0]) != 2 or 0 in shapes[0]:
        raise checks.InputError(
            f"times of shapes {shapes}: expected (sessions, rounds), the "
            "same for all networks"
        )
    found = np.array(seconds, dtype=float)
    if not np.isfinite(found).all():
        raise checks.InputError("times: expected positive, finite seconds")
    return found


def time_verdict(found: Interval, floor: Interval) -> str:
    """The verdict on a speed-up, given the ratio of one network to itself.

    "faster" or "slower" only where the whole interval lies beyond that of
    ``floor``, the timer's own error; "too few rounds" without intervals.
    """
    if np.isnan([found.low, floor.low]).any():
        return TOO_FEW
    if found.low > max(floor.high, 1):
        return FASTER
    if found.high < min(floor.low, 1):
        return SLOWER
    return NOT_SHOWN


def told(found: Interval, word: str) -> str:
    """A ratio with the verdict on it, as a sentence quotes it.

    "1.05 (1.00–1.11; no difference shown)"; "1.90 (not judged)" where there
    are no bounds.
    """
    text = f"{found:.2f}"
    if text.endswith(")"):
        return f"{text[:-1]}; {word})"
    return f"{text} ({word})"


def unsteady(seconds: np.ndarray, twin: np.ndarray) -> list[str]:
    """A sentence if a network seems faster or slower than itself.

    Both hold its seconds, (sessions, rounds), of the same rounds, from two
    copies. InputError as of ``speedup``.
    """
    floor = speedup(seconds, twin)
    found = [v for v in astuple(floor) if not np.isnan(v)]
    if min(found) >= 1 - FLOOR and max(found) <= 1 + FLOOR:
        return []
    span = " to ".join(f"{v:.2f}" for v in sorted({min(found), max(found)}))
    return [f"a network against itself came out as {span} times as fast"]


def uneven(seconds: np.ndarray) -> list[str]:
    """A sentence if a session took far longer than the others.

    ``seconds`` is (sessions, rounds), of one network: no ratio shows what
    slows all networks down alike.
    """
    usual = np.median(seconds, axis=1)
    times = usual.max() / np.median(usual)
    if times <= SLOW_SESSION:
        return []
    return [
        f"one of {len(usual)} sessions took {times:.1f} times as long as the "
        "median one"
    ]


def humps(seconds: np.ndarray) -> tuple[float, float] | None:
    """Medians of the two peaks of times (sessions, rounds), if there are two.

    There are two where Hartigan's dip test (Hartigan and Hartigan, 1985)
    rejects one at 1 % and the medians on both sides of the best split are 5 %
    apart or more; else None.
    """
    logs = np.sort(np.log(seconds), axis=None)
    if len(logs) < MIN_ROUNDS or diptest.diptest(logs)[1] >= 0.01:
        return None
    within = [
        logs[:i].var() * i + logs[i:].var() * (len(logs) - i)
        for i in range(1, len(logs))
    ]
    split = int(np.argmin(within)) + 1
    low, high = (float(np.exp(np.median(p))) for p in np.split(logs, [split]))
    return (low, high) if high > 1.05 * low else None


def pareto(cost: dict[str, float], value: dict[str, float]) -> list[str]:
    """Names that no other beats in cost without losing value, or the reverse.

    Cheapest first. Of equals in both, the first named stays. InputError
    where the names differ, or a number is not finite.
    """
    if cost.keys() != value.keys():
        odd = sorted(cost.keys() ^ value.keys())
        raise checks.InputError(f"cost and value: only one names {odd}")
    for name, numbers in (("cost", cost), ("value", value)):
        checks.sample(list(numbers.values()) or [0], name, 1)
    names, best = [], -np.inf
    for name in sorted(cost, key=lambda n: (cost[n], -value[n])):
        if value[name] > best:
            names.append(name)
            best = value[name]
    return names
